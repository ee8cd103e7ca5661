"""Sums from which a mean and a covariance are got, taken around a point."""

from __future__ import annotations

import torch
from torch import Tensor


def moved(total: Tensor, outer: Tensor, count: Tensor, by: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The sums of rows that are all moved by `by`.

    Args:
        total: sum of the rows, `[d]`.
        outer: sum of the rows' outer products, `[d, d]`.
        count: how many rows there are, a scalar.
        by: `[d]`.

    Returns:
        The same three for the moved rows.
    """
    cross = torch.outer(by, total)
    return total + count * by, outer + cross + cross.T + count * torch.outer(by, by), count
