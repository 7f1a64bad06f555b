"""Training, prediction and what surrounds them; knows callables and no method.

| file          | what                                                                       |
|---------------|----------------------------------------------------------------------------|
| `fit`         | the training loop: phases, validation, early stop, checkpoints, resumption |
| `training`    | what a run is made of: `Phase`, `History`, the state a checkpoint holds    |
| `checkpoint`  | that state on disk; `interrupt`: Ctrl-C between steps                      |
| `predict`     | a scene, image or volume through a network, window by window               |
| `forward`     | one window through it; `blend`: overlapping ones; `lanes`: several at once |
| `device`      | which device, which precision                                              |
| `distributed` | several processes under torchrun                                           |
| `ema`         | moving averages of weights                                                 |
| `progress`    | progress bars for `fit` and `predict_scene`                                |
| `runtime`     | device, precision, seed, bars and checkpoints as one argument              |
"""

from hyperseg.engine.checkpoint import load_state, save_state
from hyperseg.engine.device import Precision, choose_device, choose_precision
from hyperseg.engine.distributed import (
    average_buffers,
    average_gradients,
    from_first,
    join_processes,
    leave_processes,
    rank,
    share,
    world_size,
)
from hyperseg.engine.ema import Ema
from hyperseg.engine.fit import Report, fit
from hyperseg.engine.forward import FeatureModel, SceneModel, class_probabilities
from hyperseg.engine.lanes import ahead, in_order
from hyperseg.engine.predict import blend_windows, predict_scene, predict_tiles, window_features
from hyperseg.engine.progress import scene_progress, training_progress
from hyperseg.engine.training import History, Phase

__all__ = [
    "Ema",
    "FeatureModel",
    "History",
    "Phase",
    "Precision",
    "Report",
    "SceneModel",
    "ahead",
    "average_buffers",
    "average_gradients",
    "blend_windows",
    "choose_device",
    "choose_precision",
    "class_probabilities",
    "fit",
    "from_first",
    "in_order",
    "join_processes",
    "leave_processes",
    "load_state",
    "predict_scene",
    "predict_tiles",
    "rank",
    "save_state",
    "scene_progress",
    "share",
    "training_progress",
    "window_features",
    "world_size",
]
