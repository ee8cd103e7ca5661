"""`--device`, checked before any long work."""

from __future__ import annotations

from emogen.settings.errors import ConfigError


def check_device(text: str | None) -> None:
    """Refuse a device that this machine or this PyTorch does not have; None is the best there is.

    Raises:
        ConfigError: what PyTorch says of it, and what to give instead.
    """
    if text is None:
        return
    import torch

    try:
        if torch.empty(0, device=text).is_meta:
            raise RuntimeError("it holds shapes, not numbers")
    except (RuntimeError, AssertionError, ImportError, NotImplementedError) as error:
        here = [name for name in ("cuda", "mps") if getattr(torch, name).is_available()]
        reason = str(error).partition("\n")[0]
        if reason.startswith("Expected one of"):
            reason = "PyTorch knows no such device"
        raise ConfigError(
            f"--device {text[:40]}: cannot be used here ({reason[:160]}); take {' or '.join([*here, 'cpu'])}"
        ) from None
