"""Putting a finished run on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

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
        who = HfApi().whoami()
    except LocalTokenNotFoundError as error:
        raise ConfigError("run.push_to_hub: no token; log in with `hf auth login`") from error
    except (HfHubHTTPError, OSError) as error:
        raise ConfigError(f"run.push_to_hub: the hub does not know this token or cannot be reached: {error}") from error
    owner = model_id.partition("/")[0]
    own = [who.get("name"), *(one.get("name") for one in who.get("orgs", []))]
    if "/" not in model_id or owner not in own:
        names = ", ".join(name for name in own if name)
        raise ConfigError(f"run.hub_model_id: {model_id!r} must be OWNER/NAME with an owner you may write to: {names}")


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
