"""Multinomial logistic regression on features, by L-BFGS."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Logistic:
    """A fitted model: `scores(x) = ((x - mean) / scale) @ weight.T + bias`.

    Attributes:
        weight: `[k, d]`. bias: `[k]`. mean, scale: `[d]`, of the clips fitted on.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of features `[n, d]`."""
        x = (features.to(self.weight) - self.mean) / self.scale
        return x @ self.weight.T + self.bias


def fit_logistic(features: Tensor, target: Tensor, classes: int, l2: float, steps: int = 200) -> Logistic:
    """Minimise the class-balanced mean cross entropy plus `l2 / 2` times the squared weights, in float64.

    Every class that occurs counts alike however many clips it has. Features are standardised first; the bias is not
    penalised. A class that does not occur gets a bias of -30, so that it is never read. The problem is strictly convex
    in the weights, so the result does not depend on a start.

    Args:
        features: `[n, d]`. target: `[n]`, integers below `classes`. l2: positive.
    """
    x = features.double()
    mean, scale = x.mean(0), x.std(0, unbiased=False)
    scale = torch.where(scale > 1e-8 * (1 + mean.abs()), scale, 1.0)  # a feature that never changes tells nothing
    x = (x - mean) / scale
    counts = torch.bincount(target, minlength=classes).double()
    share = torch.where(counts > 0, 1 / counts.clamp_min(1), 0.0) / (counts > 0).sum()
    absent = torch.where(counts > 0, 0.0, -30.0).double()
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-7)

    def loss() -> Tensor:
        optimizer.zero_grad()
        told = F.cross_entropy(x @ weight.T + bias + absent, target, reduction="none")
        value = (told * share[target]).sum() + l2 / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return Logistic(weight.detach(), (bias + absent).detach(), mean, scale)
