"""Where the time of a whole `classify` goes: CPU and elapsed seconds by step. Run by hand, with options of `classify`:

OMP_NUM_THREADS=1 python tests/benchmarks/bench_default_run.py indian-pines --out profiled
OMP_NUM_THREADS=1 python tests/benchmarks/bench_default_run.py indian-pines --out profiled --epochs 1 --set min_steps=30

The second line trains next to nothing: what is left is everything else. A timer looks at the stack every few ms
of CPU time; each moment counts for the innermost step of the list below. CPU seconds are those of all threads.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from types import FrameType
from typing import Any

EVERY_S = 0.004
STEPS = {  # end of the file's name, function -> what it is; of several in a stack the innermost
    ("hsi/classical.py", "fit_svm"): "SVM: tuning and fitting",
    ("hsi/classical.py", "predict_map"): "SVM: map",
    ("recipes/training/network.py", "fit_network"): "network: training",
    ("recipes/training/network.py", "centred"): "network: centring",
    ("engine/fit.py", "_validate"): "network: validation",
    ("recipes/training/model.py", "map"): "network: map",
    ("regions/mnf.py", "fit_mnf"): "trees: components",
    ("regions/forest.py", "grow_forest"): "trees: growing",
    ("recipes/refiners/trees.py", "fit"): "trees: fitting and applying",
    ("recipes/refiners/trees.py", "apply"): "trees: fitting and applying",
    ("recipes/refiners/trees.py", "joined"): "trees: fitting and applying",
    ("recipes/refiners/dense_crf.py", "fit"): "dense CRF",
    ("recipes/refiners/dense_crf.py", "apply"): "dense CRF",
    ("recipes/refiners/temperature.py", "fit"): "temperature",
    ("recipes/mapping/applicability.py", "judge_applicability"): "area of applicability",
    ("recipes/run/repeat.py", "score_step"): "scores and leak",
    ("recipes/run/inputs.py", "open_inputs"): "opening the scene",
    ("recipes/run/outputs.py", "draw_figures"): "figures",
    ("recipes/run/answers.py", "draw_answers"): "figures",
    ("report/charts.py", "png"): "figures",
    ("report/reliability.py", "reliability_figure"): "figures",
    ("report/charts.py", "spectra_figure"): "figures",
    ("recipes/run/outputs.py", "finish_run"): "writing files",
    ("recipes/run/repeat.py", "save_repeat"): "writing files",
}
IMPORTING = ("<frozen importlib._bootstrap>", "_find_and_load")
BIG = ("torch._dynamo", "torch", "sklearn", "matplotlib", "rasterio", "jinja2", "rich")


def step_of(frame: FrameType | None) -> str:
    """The innermost step in a stack, or the outermost import of a package of others."""
    found, importing = "", ""
    while frame is not None:
        code = frame.f_code
        if not found:
            found = next(
                (
                    text
                    for (file, name), text in STEPS.items()
                    if code.co_name == name and code.co_filename.endswith(file)
                ),
                "",
            )
        if (code.co_filename, code.co_name) == IMPORTING:
            name = str(frame.f_locals.get("name", ""))
            importing = next((big for big in BIG if name == big or name.startswith(big + ".")), importing)
        frame = frame.f_back
    return f"import of {importing}" if importing else found or "the rest"


def main() -> None:
    cpu: Counter[str] = Counter()
    wall: Counter[str] = Counter()
    began, last = time.perf_counter(), [time.process_time(), time.perf_counter()]

    def look(_: int, frame: FrameType | None) -> None:
        now = time.process_time(), time.perf_counter()
        step = step_of(frame)
        cpu[step] += now[0] - last[0]
        wall[step] += now[1] - last[1]
        last[:] = now

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    from hyperseg.cli import main as command

    sys.argv = ["hyperseg", "classify", *sys.argv[1:]]
    stop: Any = None
    try:
        command()
    except SystemExit as error:
        stop = error.code
    signal.setitimer(signal.ITIMER_PROF, 0)
    print(f"\n{'step':<32}{'CPU s':>8}{'elapsed s':>12}")
    for step, seconds in cpu.most_common():
        print(f"{step:<32}{seconds:>8.2f}{wall[step]:>12.2f}")
    print(f"{'all':<32}{time.process_time():>8.2f}{time.perf_counter() - began:>12.2f}")
    sys.exit(stop)


if __name__ == "__main__":
    main()
