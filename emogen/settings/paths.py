"""Where a command may write, checked before it works for an hour."""

from __future__ import annotations

import os
from pathlib import Path

from emogen.settings.errors import ConfigError


def check_output_folder(folder: str | Path, flag: str = "--output_dir") -> None:
    """Refuse a folder that cannot be made or written into. Nothing is made.

    Raises:
        ConfigError: its name is impossible, it or something above it is a file, or it is not writable.
    """
    folder = Path(folder)
    if "\0" in str(folder):
        raise ConfigError(f"{flag} {str(folder)[:80]!r}: is no name of a folder")
    try:
        above = folder
        while not above.exists():
            if len(above.name.encode("utf-8", "surrogatepass")) > 255:
                raise ConfigError(f"{flag}: a folder's name is longer than 255 bytes: {above.name[:40]}...")
            above = above.parent
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{flag} {str(folder)[:80]!r}: is no name of a folder ({error})") from None
    if not above.is_dir():
        raise ConfigError(f"{flag} {folder}: {above} is a file, not a folder")
    # Asking the system is not enough: root may write everywhere, but not in /proc.
    if not os.access(above, os.W_OK | os.X_OK) or str(above.resolve()).startswith(("/proc", "/sys")):
        raise ConfigError(f"{flag} {folder}: {above} is not writable; choose another folder")
