"""What a step draws on the host: a tree of small tensors, and its way to the device."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor

Tree = Any
"""A tensor, None, or a tuple, named tuple, list or dict of trees."""


def tensors_of(tree: Tree) -> Iterator[Tensor]:
    """The tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from tensors_of(part)
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from tensors_of(part)


def changed(tree: Tree, change: Callable[[Tensor], Tensor]) -> Tree:
    """The same tree with every tensor changed; what is no tensor stays."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, dict):
        return {name: changed(part, change) for name, part in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [changed(part, change) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def form_of(tree: Tree) -> Hashable:
    """Shapes, types and arrangement of a tree's tensors; None where it holds anything else than tensors."""
    if isinstance(tree, Tensor):
        return (tuple(tree.shape), tree.dtype)
    if tree is None:
        return ()
    if not isinstance(tree, dict | tuple | list):
        return None
    parts = [form_of(part) for part in (tree.values() if isinstance(tree, dict) else tree)]
    names = tuple(tree) if isinstance(tree, dict) else len(tree)
    return None if None in parts else (type(tree), names, *parts)


def sent(tree: Tree, device: torch.device) -> Tree:
    """The tree on the device. Nobody waits: the host's copy is pinned, and torch keeps it until it has gone."""
    return tree if device.type == "cpu" else changed(tree, lambda x: _pinned(x, device).to(device, non_blocking=True))


def refill(places: Tree, tree: Tree) -> None:
    """Write a tree's values into the tensors of another one of the same form, without waiting."""
    for place, value in zip(tensors_of(places), tensors_of(tree), strict=True):
        place.copy_(_pinned(value, place.device), non_blocking=True)


def _pinned(value: Tensor, device: torch.device) -> Tensor:
    return value.pin_memory() if device.type == "cuda" and value.device.type == "cpu" else value
