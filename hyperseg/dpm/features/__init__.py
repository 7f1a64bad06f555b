"""In which features generated data are compared with real ones: a classifier of the data, or the Inception network.

| file         | what                                                                       |
|--------------|----------------------------------------------------------------------------|
| `features`   | `Features`: a name and a function; what real data say, kept in a file      |
| `classifier` | a small classifier trained on the data that are to be generated            |
| `inception`  | Inception v3 as the Frechet inception distance has it, and its file        |
"""

from hyperseg.dpm.features.classifier import train_features
from hyperseg.dpm.features.features import Features, Real, real_features
from hyperseg.dpm.features.inception import inception_features

__all__ = ["Features", "Real", "inception_features", "real_features", "train_features"]
