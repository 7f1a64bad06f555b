"""Training, prediction and what surrounds them; knows callables and no method.

| file          | what                                                                       |
|---------------|----------------------------------------------------------------------------|
| `fit`         | the training loop: phases, validation, early stop, checkpoints, resumption |
| `training`    | what a run is made of: `Phase`, `History`, the state a checkpoint holds    |
| `one_cycle`   | what all trainings share: optimiser, averages, bar, checkpoint             |
| `checkpoint`  | that state on disk; `interrupt`: Ctrl-C between steps                      |
| `predict`     | a scene, image or volume through a network, window by window               |
| `forward`     | one window through it; `blend`: overlapping ones; `lanes`: several at once |
| `feed`        | windows to a device and results back, beside its work; `blocks`: how large  |
| `device`      | which device, which precision                                              |
| `distributed` | several processes under torchrun                                           |
| `ema`         | moving averages of weights                                                 |
| `progress`    | progress bars for `fit` and `predict_scene`                                |
"""

from hyperseg.engine.device import choose_device, choose_precision, full_float32
from hyperseg.engine.distributed import from_first, join_processes, leave_processes, rank, share
from hyperseg.engine.ema import Ema
from hyperseg.engine.fit import fit
from hyperseg.engine.lanes import ahead
from hyperseg.engine.predict import decide_scene, predict_scene, predict_tiles, window_features
from hyperseg.engine.progress import scene_progress, training_progress
from hyperseg.engine.training import History, Phase

__all__ = [
    "Ema", "History", "Phase", "ahead", "choose_device", "choose_precision", "decide_scene", "fit", "from_first",
    "full_float32", "join_processes", "leave_processes", "predict_scene", "predict_tiles", "rank", "scene_progress",
    "share", "training_progress", "window_features",
]  # fmt: skip
