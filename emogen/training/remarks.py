"""What is allowed but seldom meant, a line each, said before a run begins."""

from __future__ import annotations

from emogen.training.config import TrainingConfig
from emogen.training.data.order import BatchOrder

_OFTEN = 4  # times as often as the clips of another bucket
_EPOCHS = 1000


def remarks(config: TrainingConfig, order: BatchOrder, held_out: int) -> list[str]:
    """Warnings about a run.

    Args:
        held_out: clips of split "val".
    """
    found, run, checks, warmup = [], config.run, config.validation, config.optimizer.lr_warmup_steps
    if warmup >= run.max_train_steps:
        found.append(
            f"optimizer.lr_warmup_steps is {warmup:,} and run.max_train_steps {run.max_train_steps:,}: the full "
            "learning rate is never reached"
        )
    if checks.validation_steps and held_out == 0:
        found.append('no clip is of split "val": no loss is measured on held-out clips')
    elif checks.validation_steps and min(held_out, checks.validation_clips) == 1:
        found.append("one clip alone is held out: its loss says little, and val/loss_swapped is its own")
    often = order.often()
    least = min(often, key=often.get)
    for bucket, times in often.items():
        if times > _OFTEN * often[least]:
            found.append(
                f"the clips of {bucket} are shown {times / often[least]:.0f} times as often as those of {least}: "
                "too few for a batch; add some, or leave the bucket out"
            )
    epochs = run.max_train_steps / len(order)
    if epochs > _EPOCHS:
        found.append(
            f"run.max_train_steps {run.max_train_steps:,} are {epochs:,.0f} epochs: every clip is seen so often"
        )
    return [f"warning: {line}" for line in found]
