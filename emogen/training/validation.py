"""Held-out loss: the same clips, noise and noise levels every time, so that two numbers differ only by the
weights."""

from __future__ import annotations

import torch
from accelerate import Accelerator

from emogen.training.config import TrainingConfig
from emogen.training.dataset import CachedClips
from emogen.training.model import WanEmotionModel
from emogen.training.objective import add_noise, clip_noise, flow_loss, generator, sigma_from_quantile


@torch.no_grad()
def held_out_loss(
    model: WanEmotionModel, clips: CachedClips, config: TrainingConfig, accelerator: Accelerator
) -> dict[str, float]:
    """Mean flow-matching loss over clips and quantiles of the training's noise levels.

    Returns:
        `val/loss`; `val/loss_neutral`, the same with every emotion taken away (the distance between the two
        is what the adapter has learned); `val/loss/<label>`; `val/quantile/<u>`.
    """
    chosen = torch.randperm(len(clips), generator=generator("val", config.run.seed)).tolist()
    chosen = sorted(chosen[: config.validation.clips])
    labels = sorted({clips.records[index].label for index in chosen})
    quantiles = config.validation.quantiles
    # [label, quantile, (loss, loss without emotion, count)]
    sums = torch.zeros(len(labels), len(quantiles), 3, dtype=torch.float64)
    mine = chosen[accelerator.process_index :: accelerator.num_processes]
    was_training = model.training
    model.eval()
    size = config.run.batch_size
    for part in (mine[start : start + size] for start in range(0, len(mine), size)):
        batch = clips.batch(part).to(accelerator.device)
        neutral = clips.batch(part, drop_emotion=torch.ones(len(part), dtype=torch.bool))
        neutral = neutral.to(accelerator.device)
        rows = torch.tensor([labels.index(clips.records[index].label) for index in part])
        for column, quantile in enumerate(quantiles):
            level = sigma_from_quantile(torch.tensor([quantile]), config.objective)
            sigma = level.expand(len(part)).to(accelerator.device)
            noise = clip_noise(batch.latents, config.run.seed, part, purpose=f"val{column}")
            noisy = add_noise(batch.latents, noise, sigma)
            for kind, what in enumerate((batch, neutral)):
                loss = flow_loss(model(noisy, sigma, what), batch.latents, noise)
                sums[:, column, kind].index_add_(0, rows, loss.double().cpu())
            sums[:, column, 2].index_add_(0, rows, torch.ones(len(part), dtype=torch.float64))
    model.train(was_training)
    sums = accelerator.reduce(sums.to(accelerator.device, torch.float32), "sum").cpu()
    count = sums[..., 2]
    result = {
        "val/loss": sums[..., 0].sum() / count.sum(),
        "val/loss_neutral": sums[..., 1].sum() / count.sum(),
    }
    for row, label in enumerate(labels):
        result[f"val/loss/{label}"] = sums[row, :, 0].sum() / count[row].sum()
    for column, quantile in enumerate(quantiles):
        result[f"val/quantile/{quantile:g}"] = sums[:, column, 0].sum() / count[:, column].sum()
    return {name: float(value) for name, value in result.items()}
