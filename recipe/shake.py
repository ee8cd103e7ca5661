"""Random changes to what the readers learn from, so that they read faces and motion and nothing else."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def shake(clips: torch.Tensor, color: bool) -> torch.Tensor:
    """Random mirror, crop, blur and brightness a clip; with `color` also a random turn of the hues."""
    b, f, c, h, w = clips.shape
    rand = torch.rand
    angle, zoom = (rand(b) - 0.5) * 0.3, 1 + (rand(b) - 0.5) * 0.3
    flip = torch.where(rand(b) < 0.5, -1.0, 1.0)
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = zoom * angle.cos() * flip, -zoom * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = zoom * angle.sin() * flip, zoom * angle.cos()
    theta[:, :, 2] = (rand(b, 2) - 0.5) * 0.2
    grid = F.affine_grid(theta.repeat_interleave(f, 0), (b * f, c, h, w), align_corners=False)
    x = F.grid_sample(clips.flatten(0, 1), grid, padding_mode="border", align_corners=False)
    if rand(1) < 0.4:
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = x.view(b, f, c, h, w)
    if color:
        turn = (rand(b) - 0.5) * 2 * math.pi * (rand(b) < 0.6)
        cos, sin = turn.cos(), turn.sin()
        third, root = 1 / 3, math.sqrt(1 / 3)
        same = cos + (1 - cos) * third
        up, down = (1 - cos) * third - root * sin, (1 - cos) * third + root * sin
        matrix = torch.stack([same, up, down, down, same, up, up, down, same], -1).view(b, 3, 3)
        x = torch.einsum("bij,bfjhw->bfihw", matrix, x)
    gain, lift = 1 + (rand(b) - 0.5) * 0.3, (rand(b) - 0.5) * 0.16
    x = x * gain.view(b, 1, 1, 1, 1) + lift.view(b, 1, 1, 1, 1)
    return (x + torch.randn_like(x) * 0.02).clamp(0, 1)


BREAKS = ("copied", "erased", "melted", "doubled", "swapped", "shattered")


def broken(clip: torch.Tensor, other: torch.Tensor, kind: str, rng) -> torch.Tensor:
    """A clip that is wrong in a way that generated faces are wrong, throughout.

    Args:
        clip, other: `[F, 3, H, W]` in [0, 1]; `other` shows something else. rng: numpy's generator.
        kind: "copied": parts of the face stand there once more (three eyes, two mouths). "erased": a part of it is
            plain. "melted": the outline runs. "doubled": two clips on top of each other. "swapped": a half is
            another's. "shattered": tiles in disorder.

    Raises:
        ValueError: another kind.
    """
    f, _, h, w = clip.shape
    out = clip.clone()
    if kind in ("copied", "erased"):
        for _ in range(int(rng.integers(1, 4)) if kind == "copied" else 1):
            side = int(h * (rng.uniform(0.14, 0.26) if kind == "copied" else rng.uniform(0.22, 0.38)))
            y, x = (int(h * rng.uniform(0.28, 0.62)) for _ in range(2))
            source = clip[:, :, y : y + side, x : x + side]
            if kind == "erased":
                fill = source.flatten(2).median(2).values[..., None, None]
                patch = fill.expand_as(source)
            else:
                patch = source
                shift = int(h * rng.uniform(0.16, 0.3))
                angle = rng.uniform(0, 2 * math.pi)
                y = min(max(0, y + round(shift * math.sin(angle))), h - side)
                x = min(max(0, x + round(shift * math.cos(angle))), w - side)
            patch = patch[..., : h - y, : w - x]
            soft = _soft(patch.shape[2], patch.shape[3])
            target = out[:, :, y : y + patch.shape[2], x : x + patch.shape[3]]
            out[:, :, y : y + patch.shape[2], x : x + patch.shape[3]] = target + soft * (patch - target)
        return out
    if kind == "melted":
        amount, cells = float(rng.uniform(0.12, 0.3)), int(rng.integers(4, 8))
        field = torch.from_numpy(rng.standard_normal((1, 2, cells, cells))).float() * amount
        field = F.interpolate(field, (h, w), mode="bicubic", align_corners=False)
        grid = F.affine_grid(torch.eye(2, 3)[None], (1, 3, h, w), align_corners=False) + field.permute(0, 2, 3, 1)
        return F.grid_sample(clip, grid.expand(f, -1, -1, -1), padding_mode="border", align_corners=False)
    if kind == "doubled":
        share = float(rng.uniform(0.35, 0.65))
        moved = torch.roll(other, [int(h * rng.uniform(-0.15, 0.15)) for _ in range(2)], (2, 3))
        return share * clip + (1 - share) * moved
    if kind == "swapped":
        at = int(h * rng.uniform(0.4, 0.6))
        if rng.random() < 0.5:
            out[:, :, :, at:] = other[:, :, :, at:]
        else:
            out[:, :, at:] = other[:, :, at:]
        return out
    if kind == "shattered":
        cells = int(rng.integers(3, 6))
        side = h // cells
        tiles = [(r, c) for r in range(cells) for c in range(cells)]
        chosen = rng.permutation(len(tiles))[: max(4, len(tiles) // 2)]
        for a, b in zip(chosen, rng.permutation(chosen), strict=True):
            (r, c), (u, v) = tiles[a], tiles[b]
            out[:, :, r * side : (r + 1) * side, c * side : (c + 1) * side] = clip[
                :, :, u * side : (u + 1) * side, v * side : (v + 1) * side
            ]
        return out
    raise ValueError(f"kind {kind!r} is not one of {', '.join(BREAKS)}")


def _soft(height: int, width: int) -> torch.Tensor:
    """1 inside, falling to 0 at the edge: an oval that leaves no seam."""
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None]
    return ((1.15 - (y.square() + x.square()).sqrt()) / 0.3).clamp(0, 1)
