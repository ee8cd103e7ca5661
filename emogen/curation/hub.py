"""An exported set on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from emogen.curation.export import METADATA_FILE, SHARDS
from emogen.curation.stage import StageError
from emogen.hub import NoUploadError, check_owner


class UploadError(RuntimeError):
    """The upload failed; the export is whole."""


def check_hub(repo: str) -> None:
    """See, before anything is exported, that an upload has a chance: there is a token, and the name is one.

    Raises:
        StageError: not so.
    """
    try:
        check_owner(repo)
    except NoUploadError as error:
        raise StageError(f"--push_to_hub: {error}") from error


def push(folder: str | Path, repo: str, shards: bool = False, public: bool = False) -> str:
    """Upload an exported folder as a data set; what is on the hub already is not sent again. Returns the address.

    Args:
        shards: of the clips, the WebDataset shards, and not the files that are in them.
        public: otherwise only you, or your organisation, see it. A set that exists stays as visible as it is.

    Raises:
        UploadError: it failed.
    """
    patterns = {"allow_patterns": ["README.md", f"{SHARDS}/*"]} if shards else {"ignore_patterns": [f"{SHARDS}/*"]}
    api = HfApi()
    try:
        url = api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        api.upload_large_folder(
            repo_id=repo, folder_path=Path(folder), repo_type="dataset", print_report=False, **patterns
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UploadError(
            f"the upload to {repo} failed ({error}); {folder} is whole: give the same command again, or "
            f"`hf upload-large-folder {repo} {folder} --repo-type dataset`"
        ) from error
    return str(url)


def without_licence(folder: str | Path) -> int:
    """How many exported clips state no licence."""
    import json

    with open(Path(folder) / METADATA_FILE, encoding="utf-8", newline="\n") as file:
        return sum(not json.loads(line).get("license") for line in file)
