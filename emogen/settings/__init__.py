"""One way to check a configuration: read (`yaml_file`), typed (`types`), built (`check`), overridden (`flags`)."""

from emogen.settings.check import build, dotted, keys_of, nearest, refuser
from emogen.settings.errors import ConfigError
from emogen.settings.flags import apply_flags
from emogen.settings.yaml_file import Document, read_yaml, read_yaml_text

__all__ = [
    "ConfigError", "Document", "apply_flags", "build", "dotted", "keys_of", "nearest", "read_yaml", "read_yaml_text",
    "refuser",
]  # fmt: skip
