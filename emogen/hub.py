"""Whether an upload to the Hugging Face hub has a chance, asked before the long work that comes before it."""

from __future__ import annotations

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError


class NoUploadError(ValueError):
    """An upload cannot succeed; the message is the reason and the way out."""


def check_owner(repo: str) -> None:
    """See that there is a token, and that the name is one of its owner's.

    Raises:
        NoUploadError: not so.
    """
    try:
        who = HfApi().whoami()
    except LocalTokenNotFoundError as error:
        raise NoUploadError("no token; log in with `hf auth login`") from error
    except (HfHubHTTPError, OSError) as error:
        raise NoUploadError(f"the hub does not know this token or cannot be reached: {error}") from error
    owner, _, name = repo.partition("/")
    own = [one for one in (who.get("name"), *(one.get("name") for one in who.get("orgs", []))) if one]
    if not name or owner not in own:
        raise NoUploadError(f"{repo!r} must be OWNER/NAME with an owner you may write to: {', '.join(own)}")
