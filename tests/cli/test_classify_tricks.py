"""Tricks of `hyperseg classify`: those of an earlier run are replaced, and left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Hyperseg

Words = tuple[str, ...]
QUIET = ("--quiet", "--no-pictures")
FIRST = ("--method", "lda", "--repeats", "1", "--split", "random_per_class:8", "--refine", "none", *QUIET)


def test_those_of_an_earlier_run_are_replaced_or_left_out(hyperseg: Hyperseg, files: Words, tmp_path: Path) -> None:
    answer = hyperseg("classify", *files, *FIRST, "--trick", "small-areas:20", "--out", "one")
    assert answer.code == 0, answer.err
    again = ("classify", "--from", "one", *QUIET)
    clash = hyperseg(*again, "--refine", "sieve", "--out", "two")
    assert "is the refiner sieve at the end of the chain, which has it already" in clash.error
    asked = {
        "as it was": ((), ["small-areas:pixels=20"], ["lda", "sieve"]),
        "none": (("--trick", "none", "--refine", "sieve"), [], ["lda", "sieve"]),
        "other": (("--trick=ensemble-vote:2", "--refine", "sieve"), ["ensemble-vote:members=2"], ["lda", "sieve"]),
        "bare": (("--trick", "none"), [], ["lda"]),
    }
    for out, (words, tricks, chain) in asked.items():
        answer = hyperseg(*again, *words, "--out", out)
        assert answer.code == 0, answer.err
        record = json.loads((tmp_path / out / "run.json").read_text())
        assert (record["settings"]["tricks"], record["chain"]) == (tricks, chain)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trick", "none", "--trick", "tta"), "--trick none stands alone"),
        (("--method", "lda", "--trick", "tta"), "--trick tta, with the method lda: lda has no setting flips"),
        (("--trick", "oversampling:0.5"), "on a scene share does not count: leave share out"),
        (("--trick", "weighted-ce"), "it is of images and volumes, not of scenes"),
    ],
)
def test_refused(hyperseg: Hyperseg, files: Words, words: Words, said: str) -> None:
    assert said in hyperseg("classify", *files, *words).error
