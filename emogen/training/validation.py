"""Held-out loss: the same clips, noise and noise levels every time, so that two numbers differ only by the
weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from accelerate import Accelerator

from emogen.training.config import TrainingConfig
from emogen.training.data.batches import CachedClips
from emogen.training.families import EmotionModel
from emogen.training.objective import NoiseLevels, add_noise, clip_noise, flow_loss, generator
from emogen.training.parallel.sharing import Sharing


@torch.no_grad()
def held_out_loss(
    model: EmotionModel, clips: CachedClips, config: TrainingConfig, accelerator: Accelerator, sharing: Sharing
) -> dict[str, float]:
    """Mean flow-matching loss over clips and quantiles of the training's noise levels, unweighted.

    Returns:
        `val/loss`; `val/loss_neutral`, the same with every emotion taken away; `val/loss_swapped`, with every clip
        given the next clip's emotion (how much the emotion says can be read off the distances between the three);
        `val/loss/<label>`; `val/quantile/<u>`.
    """
    settings = config.validation
    chosen = torch.randperm(len(clips), generator=generator("val", config.run.seed)).tolist()
    chosen = sorted(chosen[: settings.validation_clips])
    labels = sorted({clips.labels[index] for index in chosen})
    # [label, quantile, (loss, loss without emotion, loss with another's, count)]
    sums = torch.zeros(len(labels), len(settings.validation_quantiles), 4, dtype=torch.float64)
    was_training = model.training
    model.eval()
    for part, counts in _my_batches(chosen, clips, config.run.train_batch_size, sharing):
        batch = clips.batch(part).to(accelerator.device)
        others = [chosen[(chosen.index(index) + 1) % len(chosen)] for index in part]
        neutral = batch.emotion._replace(intensity=torch.zeros_like(batch.emotion.intensity))
        swapped = clips.emotions(others, batch.latents.shape[2]).to(accelerator.device)
        rows = torch.tensor([labels.index(clips.labels[index]) for index in part])
        bucket = clips.buckets[part[0]]
        levels = NoiseLevels.of(config.objective, bucket.height, bucket.width)
        trained = model.family.experts
        sides = min(one.lowest for one in trained), max(one.highest for one in trained)
        for column, quantile in enumerate(settings.validation_quantiles):
            level = levels.sigma(levels.within(torch.tensor([quantile], dtype=torch.float64), *sides))
            batch.expert = model.family.expert_at(level.item()).name
            sigma = level.expand(len(part)).to(accelerator.device)
            noise = clip_noise(batch.latents, config.run.seed, part, purpose=f"val{column}")
            noisy = add_noise(batch.latents, noise, sigma)
            own = batch.emotion
            for kind, emotion in enumerate((own, neutral, swapped)):
                batch.emotion = emotion
                loss = flow_loss(model(noisy, sigma, batch), batch.latents, noise)
                if counts:
                    sums[:, column, kind].index_add_(0, rows, loss.double().cpu())
            batch.emotion = own
            if counts:
                sums[:, column, 3].index_add_(0, rows, torch.ones(len(part), dtype=torch.float64))
    model.train(was_training)
    sums = accelerator.reduce(sums.to(accelerator.device, torch.float32), "sum").cpu()
    count = sums[..., 3]
    names = ("val/loss", "val/loss_neutral", "val/loss_swapped")
    result = {name: sums[..., kind].sum() / count.sum() for kind, name in enumerate(names)}
    for row, label in enumerate(labels):
        result[f"val/loss/{label}"] = sums[row, :, 0].sum() / count[row].sum()
    for column, quantile in enumerate(settings.validation_quantiles):
        result[f"val/quantile/{quantile:g}"] = sums[:, column, 0].sum() / count[:, column].sum()
    return {name: float(value) for name, value in result.items()}


def _my_batches(chosen: list[int], clips: CachedClips, size: int, sharing: Sharing) -> Iterator[tuple[list[int], bool]]:
    """This process's batches, and whether they count. Where others have more, the last comes again without counting:
    a model whose weights are divided (FSDP2) must be called equally often by all processes."""
    parts = [list(_same_size(chosen[group :: sharing.groups], clips, size)) for group in range(sharing.groups)]
    mine = parts[sharing.group]
    for number in range(max(map(len, parts))):
        yield (mine or parts[0])[min(number, len(mine or parts[0]) - 1)], number < len(mine)


def _same_size(indices: list[int], clips: CachedClips, size: int) -> Iterator[list[int]]:
    by_bucket: dict[object, list[int]] = {}
    for index in indices:
        by_bucket.setdefault(clips.buckets[index], []).append(index)
    for rows in by_bucket.values():
        yield from (rows[start : start + size] for start in range(0, len(rows), size))
