"""AdamW whose step takes its scalars as numbers of the host or as tensors of the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

NUMBERS = 5  # per group of parameters


class AdamW(torch.optim.AdamW):
    """torch's AdamW, fused, with a second way to take the same step.

    A schedule moves learning rate and beta1 at every step (`OneCycleLR` cycles both). In a recorded step Python numbers
    would stay what they were when it was recorded. `numbers` therefore reckons on the host all that changes, and `step`
    takes it from a tensor on the device.

    Args:
        weights: parameters, all on one device.
        lr, betas, weight_decay: as of `torch.optim.AdamW`; without decay this is Adam.

    Source: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019.
    Differs: with `numbers`, the bias of the moments is corrected by the number of steps of the optimiser, not of each
        parameter; they differ only for parameters without a gradient in some steps.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        given = list(weights)
        fused = all(weight.device.type in ("cpu", "cuda") for weight in given)
        super().__init__(given, lr=lr, betas=betas, weight_decay=weight_decay, fused=fused or None)
        self.taken = 0

    def numbers(self) -> list[float]:
        """What the next step needs, in double precision; every call counts as a step taken."""
        self.taken += 1
        found: list[float] = []
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            size = -group["lr"] / (1 - beta1**self.taken)
            found += [1 - group["lr"] * group["weight_decay"], beta1, 1 - beta1, size, (1 - beta2**self.taken) ** 0.5]
        return found

    def step(self, closure: Callable[[], Any] | None = None, *, numbers: Iterator[Tensor] | None = None) -> Any:
        """One step, by torch's own kernel or, where `numbers` are given, with these scalars."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.grad = laid_out(weight.grad, weight)
        if numbers is not None:
            return self._step(numbers)
        self.taken += 1
        return super().step(closure)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        super().load_state_dict(state_dict)
        self.taken = max((int(state["step"]) for state in self.state.values()), default=0)

    @torch.no_grad()
    def _step(self, numbers: Iterator[Tensor]) -> None:
        for group in self.param_groups:
            decay, old, new, size, correction = (next(numbers) for _ in range(NUMBERS))
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            states = [self._state(weight) for weight in weights]
            gradients = [weight.grad for weight in weights]
            means, squares = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq"))
            beta2 = group["betas"][1]
            torch._foreach_add_([state["step"] for state in states], 1)
            torch._foreach_mul_(weights, decay)
            torch._foreach_mul_(means, old)
            torch._foreach_add_(means, torch._foreach_mul(gradients, new))
            torch._foreach_mul_(squares, beta2)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
            spread = torch._foreach_sqrt(squares)
            torch._foreach_div_(spread, correction)
            torch._foreach_add_(spread, group["eps"])
            torch._foreach_div_(spread, size)
            torch._foreach_addcdiv_(weights, means, spread)

    def _state(self, weight: Tensor) -> dict[str, Tensor]:
        """The moments of a weight, as torch names them."""
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        return state


def laid_out(gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient laid out in memory as the weight is, which torch's fused kernel on a CPU takes for granted.

    `torch.autograd.grad` gives the gradients of a 3x3 kernel channels last where activations are.
    """
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight, requires_grad=False).copy_(gradient)
