"""The command line of training: parse, check, run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from emogen.failure import fail
from emogen.training.config import ConfigError, load_config

if TYPE_CHECKING:
    from emogen.training.outputs.preview_report import PreviewJudge

_EPILOG = """Every key of the configuration is a flag: --max_train_steps 8, --learning_rate 2e-4, --rank 16,
--output_dir out, --resume_from_checkpoint latest, --gradient_checkpointing. configs/wan2.1_t2v_1.3b.yaml explains all
of them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done (or stopped by a signal after saving), 1 the run failed, 2 the
    configuration or the data is wrong."""
    parser = argparse.ArgumentParser(
        prog="train_lora.py",
        description="Train an emotion adapter and a LoRA for a Wan2.1 or Wan2.2 model.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="a YAML file; see configs/")
    parser.add_argument("--dry_run", action="store_true", help="check everything and print the plan")
    known, overrides = parser.parse_known_args(arguments)
    try:
        config = load_config(known.config, overrides)
    except ConfigError as error:
        return fail(error, 2)
    # only now the imports that take seconds
    from emogen.data.records import RecordError
    from emogen.files import FolderInUse
    from emogen.training import run as training
    from emogen.training.data.plan import DataError
    from emogen.training.families import ModelFolderError
    from emogen.training.life.checkpoint import CheckpointError, SaveError
    from emogen.training.outputs.publish import PublishError
    from emogen.training.parallel.launch import EndedElsewhereError
    from emogen.training.trainer import ExportError, PreviewError, TrainingDiverged

    refused = (ConfigError, RecordError, DataError, CheckpointError, ModelFolderError, FileNotFoundError, FolderInUse)
    try:
        judge = load_judge(config.validation.judge) if config.validation.preview_steps else None
        if not known.dry_run:
            training.run(config, judge)
        elif os.environ.get("RANK", "0") == "0":  # one of several processes can plan alone
            training.dry_run(config, judge)
    except EndedElsewhereError as error:
        return fail(error, 2, said=True)
    except SaveError as error:
        return fail(error, 1)
    except refused as error:
        return fail(error, 2)
    except (TrainingDiverged, ExportError, PreviewError, PublishError, OSError) as error:
        return fail(error, 1)
    return 0


def load_judge(name: str | None) -> PreviewJudge | None:
    """The judge of the previews: "embedded", a judge's folder, or None.

    Raises:
        ConfigError: it cannot be loaded.
    """
    if name is None:
        return None
    from emogen.eval.judges.embedded import EmbeddedJudge
    from emogen.eval.metrics.agreement import read_as_asked
    from emogen.eval.statistics import rate
    from emogen.training.outputs.preview_report import PreviewJudge

    try:
        judge = EmbeddedJudge(None if name == "embedded" else name)
    except Exception as error:  # a damaged folder raises all sorts
        raise ConfigError(f"validation.judge: {name}: cannot be loaded: {error}") from error
    return PreviewJudge(lambda clips: judge(clips).distribution, read_as_asked, rate)
