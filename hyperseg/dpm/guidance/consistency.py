"""DCG: a strong and a weak head agree on the depth; what the weak one says moves towards what the strong one says."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Generators, Prediction
from hyperseg.dpm.guidance.losses import Guidance, Loss, Sources, features_of


def consistency(sources: Sources, generators: Generators) -> Loss:
    """||stopgrad(d_S) - d_W||^2, summed over pixels; it draws no noise.

    Raises:
        SettingError: when called, heads that do not give numbers of the same shape, or a prediction without features.

    Source: Kim et al., "DAG: Depth-Aware Guidance with Denoising Diffusion Probabilistic Models", arXiv 2212.08861, as
        secondary accounts tell it.
    Differs: whether the norm is a sum or a mean over pixels is not known; a sum is a reconstruction.
    """

    def loss(said: Prediction, sigma: Tensor) -> Tensor:
        features = features_of(said)
        with torch.no_grad():  # the strong head teaches
            strong = sources.strong(features)
        weak = sources.weak(features)
        if strong.shape != weak.shape:
            raise SettingError(
                f"the strong head says {tuple(strong.shape)}, the weak one {tuple(weak.shape)}: give two heads with as "
                "many outputs."
            )
        return (strong.detach() - weak).square().flatten(1).sum(1)

    return loss


DCG = Guidance("dcg", consistency, weighs="consistency")
