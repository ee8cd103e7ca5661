"""Putting a finished run on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from emogen.hub import NoUploadError, check_owner
from emogen.training.config import ConfigError


class PublishError(RuntimeError):
    """The upload failed; what was trained is whole."""


LEFT_HERE = ["checkpoint-*", "cache/*", ".*", "*/.*", "probe.safetensors", "log.jsonl.tmp", "tensorboard/*", "emogen/*"]
"""What is of use only to the run itself."""


def check_hub(model_id: str) -> None:
    """See, before hours of training, that the upload at their end has a chance: there is a token, and the name is one.

    Raises:
        ConfigError: not so.
    """
    try:
        check_owner(model_id)
    except NoUploadError as error:
        raise ConfigError(f"run.push_to_hub, run.hub_model_id: {error}") from error


def push_to_hub(folder: Path, model_id: str) -> str:
    """Upload what others need of an output folder; returns the address.

    Raises:
        PublishError: it failed; the folder is whole and can be uploaded later.
    """
    api = HfApi()
    try:
        url = api.create_repo(model_id, exist_ok=True)
        api.upload_folder(
            folder_path=folder, repo_id=model_id, ignore_patterns=LEFT_HERE, commit_message="Upload from emogen"
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise PublishError(
            f"the upload to {model_id} failed ({error}); {folder} is whole: try again with "
            f"`hf upload {model_id} {folder}`"
        ) from error
    return str(url)
