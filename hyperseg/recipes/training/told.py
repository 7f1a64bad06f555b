"""What the report says of a network of the zoo."""

from __future__ import annotations

from hyperseg.core.sections import Section
from hyperseg.core.words import thousands
from hyperseg.zoo.network import ZooNet
from hyperseg.zoo.taxonomy import paragraphs_of


def told(net: ZooNet) -> Section:
    """Name, family, parameters, how far it looks, whether its map is exact, and where it is from."""
    member, critic = net.member, net.critic
    learnt = sum(weight.numel() for weight in net.parameters())
    apart = 0 if critic is None else sum(weight.numel() for weight in critic.parameters())
    far, side = net.context_px, 2 * net.context_px + 1
    if net.padded:
        windows = " x ".join(map(str, net.tile or ()))
        how = (
            f"It is padded: the map is blended from overlapping windows of {windows} pixels, so that a decision "
            f"depends on where windows lie, and looks {far} pixels far at most."
        )
    else:
        how = (
            f"It has no padding: a decision looks at {side} x {side} pixels, {far} to each side, wherever it is, and "
            "the map is exact: windows and the whole scene give the same."
        )
    sentences = (
        f"{member.title} ({member.year}), family: {member.family}.",
        f"{thousands(learnt - apart)} numbers are learnt."
        + (f" A critic of {thousands(apart)} more plays against it in training alone." if apart else ""),
        how,
        *(f"Source: {text}" for text in paragraphs_of(member.network).get("Source", ())[:1]),
    )
    numbers = {
        "network": net.spec.network, "family": member.family, "parameters": learnt - apart, "looks_px": far,
        "map": "blended" if net.padded else "exact",
    }  # fmt: skip
    return Section("The network", sentences, numbers=numbers)
