"""LoKr and LoHa as LoRA: a product of small matrices is one of low rank too, and peft's LoRA holds it.

LoHa is (A1 B1) * (A2 B2), element by element, of ranks r1 and r2: a matrix of rank r1 r2, for entry by entry
sum_i sum_j (A1[:, i] A2[:, j]) (B1[i] B2[j]). LoKr is the Kronecker product W1 x W2; with W1 = A1 B1 and W2 = A2 B2 it
is (A1 x A2) (B1 x B2). Both are products of the same numbers, so that nothing is approximated. Where the rank comes
near the layer's size, the matrix itself is smaller, and is added to the layer's weight.

Scales are ComfyUI's: alpha over the rank of the last factor that has one, and 1 for factors without a rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch


class ProductError(ValueError):
    """Factors that make no matrix; the message says which."""


@dataclass(frozen=True)
class Product:
    """A change of a layer's weight.

    Args:
        down, up: [rank, in] and [out, rank] whose product it is; None where `whole` holds it.
        whole: [out, in].
        scale: what it is multiplied with.
    """

    down: torch.Tensor | None
    up: torch.Tensor | None
    whole: torch.Tensor | None
    scale: float


def is_product(slots: Mapping[str, object]) -> bool:
    """Whether a layer's tensors are those of a LoKr or LoHa."""
    return any(slot.startswith(("lokr_", "hada_")) for slot in slots)


def product_of(slots: Mapping[str, torch.Tensor]) -> Product:
    """The change that a layer's LoKr or LoHa makes, in float32.

    Args:
        slots: its factors as the file names them, and perhaps `alpha`.

    Raises:
        ProductError: some are missing, or they are of convolutions (`t1`, `t2`).
    """
    factors = {name: value.float() for name, value in slots.items() if name != "alpha"}
    if odd := [name for name, value in factors.items() if value.ndim != 2 or name.split("_")[1].startswith("t")]:
        raise ProductError(f"{odd[0]} is {tuple(factors[odd[0]].shape)}: only factors of matrices are read")
    down, up, rank = _loha(factors) if "hada_w1_a" in factors else _lokr(factors)
    alpha = slots["alpha"].item() if "alpha" in slots and rank is not None else None
    scale = 1.0 if alpha is None or rank is None else alpha / rank
    if 2 * down.shape[0] >= min(up.shape[0], down.shape[1]):
        return Product(None, None, up @ down, scale)
    return Product(down.contiguous(), up.contiguous(), None, scale)


def _loha(factors: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, int]:
    a1, b1, a2, b2 = (_taken(factors, f"hada_{name}") for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    if a1.shape[0] != a2.shape[0] or b1.shape[1] != b2.shape[1] or a1.shape[1] != b1.shape[0] or len(b2) != a2.shape[1]:
        raise ProductError("hada_w1 and hada_w2 are matrices of two sizes")
    up = (a1[:, :, None] * a2[:, None, :]).flatten(1)
    down = (b1[:, None, :] * b2[None, :, :]).flatten(0, 1)
    return down, up, b1.shape[0]


def _lokr(factors: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, int | None]:
    (a1, b1, rank1), (a2, b2, rank2) = (_factor(factors, name) for name in ("lokr_w1", "lokr_w2"))
    return torch.kron(b1, b2), torch.kron(a1, a2), rank2 if rank2 is not None else rank1


def _factor(factors: Mapping[str, torch.Tensor], name: str) -> tuple[torch.Tensor, torch.Tensor, int | None]:
    """A factor as a product of two, and its rank if it has one: a whole one is itself times the unit matrix, on the
    side where it adds the smaller rank."""
    if name in factors:
        whole = factors[name]
        rows, columns = whole.shape
        if rows < columns:
            return torch.eye(rows), whole, None
        return whole, torch.eye(columns), None
    a, b = _taken(factors, f"{name}_a"), _taken(factors, f"{name}_b")
    if a.shape[1] != b.shape[0]:
        raise ProductError(f"{name}_a is {tuple(a.shape)} and {name}_b {tuple(b.shape)}")
    return a, b, b.shape[0]


def _taken(factors: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    if name not in factors:
        raise ProductError(f"there is no {name}")
    return factors[name]
