"""A network that plays against a critic: which weights are whose, and the critic's phase beside the network's."""

from __future__ import annotations

from typing import Any

from torch import nn

from hyperseg.engine.one_cycle import one_cycle
from hyperseg.engine.training import Phase

CRITIC_LR, CRITIC_DECAY, CRITIC_RISE = 4e-4, 1e-2, 0.2  # ours; of AdamW over one cycle


def critic_of(net: Any) -> nn.Module | None:
    """What a network plays against in training, a module within it; None where it has no such."""
    found: nn.Module | None = getattr(net, "critic", None)
    return found


def own_weights(net: Any) -> list[nn.Parameter]:
    """All that a network learns, without what its critic does."""
    critic = critic_of(net)
    apart = set() if critic is None else {id(weight) for weight in critic.parameters()}
    return [weight for weight in net.parameters() if id(weight) not in apart]


def with_critic(phase: Phase, net: Any, *, steps: int) -> list[Phase]:
    """The network's phase, and after it the critic's, which minimises `net.critic_terms` of the same batch.

    The network comes first, so that it is trained by the same random numbers as without a critic: where nothing that
    the critic says counts, its weights are those of supervised training, bit for bit.

    Args:
        phase: that minimises `net.terms` over `own_weights`.
        steps: of the training.
    """
    critic = critic_of(net)
    if critic is None:
        return [phase]
    against = one_cycle(
        "critic", lambda batch: net.critic_terms(*batch), critic.parameters(), steps=steps, lr=CRITIC_LR,
        weight_decay=CRITIC_DECAY, rise=CRITIC_RISE,
    )  # fmt: skip
    return [phase, against]
