"""The one error of settings."""


class ConfigError(ValueError):
    """A setting is unknown, missing, of the wrong type, out of range, or contradicts another. The message names the
    file and line, the key or the flag, and the way out."""
