"""Which models the studio uses, whether they are there, and what they make unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emogen.studio.job import Opening

TEXT, IMAGE = "text", "image"
KINDS = (TEXT, IMAGE)

_WHAT = {TEXT: "text-to-video", IMAGE: "image-to-video"}
_FLAG = {TEXT: "--model", IMAGE: "--image_model"}


class ModelMissing(RuntimeError):
    """A model or an adapter is not there; the message says which and what to do."""


@dataclass(frozen=True)
class Source:
    """Where a kind's model and adapter come from.

    Attributes:
        kind: "text" (text to video) or "image" (image to video).
        model: folder or hub id; None is the embedded one.
        adapter: folder or hub id, or "none"; None is the embedded one with the embedded model, else none.
    """

    kind: str
    model: str | None = None
    adapter: str | None = None

    @property
    def embedded(self) -> bool:
        """Whether this is the model in the package."""
        return self.model is None

    def resolve(self) -> tuple[str, str | None]:
        """The model's and the adapter's folder or hub id; None for no adapter.

        Raises:
            ModelMissing: a part of the embedded model is not in this installation, or a folder holds no model.
        """
        if not self.embedded:
            self._check_folder()
            none = self.adapter is None or self.adapter.lower() == "none"
            return str(self.model), None if none else self.adapter
        import emogen.embedded as home

        model, adapter = {
            TEXT: (home.embedded_model, home.embedded_adapter),
            IMAGE: (home.embedded_i2v_model, home.embedded_i2v_adapter),
        }[self.kind]
        if self.adapter is not None:
            found = None if self.adapter.lower() == "none" else self.adapter
        else:
            found = self._find(adapter)  # first: it is quick, and the model's folder may have to be put together
        folder = self._find(model)
        if not any((Path(folder) / "transformer").glob("*.safetensors*")):
            raise ModelMissing(self._missing(f"{folder} has no transformer weights"))
        return folder, found

    def status(self) -> str | None:
        """None when the model can be loaded (a hub id is taken at its word), else what is missing."""
        try:
            self.resolve()
        except ModelMissing as error:
            return str(error)
        return None

    def name(self) -> str:
        """For the page."""
        return f"the embedded {_WHAT[self.kind]} model" if self.embedded else str(self.model)

    def _find(self, find: Any) -> str:
        try:
            return find()
        except OSError as error:  # FileNotFoundError, and a cache that cannot be written
            raise ModelMissing(self._missing(str(error))) from error

    def _missing(self, why: str) -> str:
        return (f"The embedded {_WHAT[self.kind]} model is not installed: {why}. Or start with "
                f"{_FLAG[self.kind]} FOLDER to use another model.")  # fmt: skip

    def _check_folder(self) -> None:
        folder = Path(str(self.model)).expanduser()
        looks_local = folder.is_dir() or str(self.model).startswith((".", "/", "~"))
        if looks_local and not (folder / "model_index.json").is_file():
            raise ModelMissing(f"{_FLAG[self.kind]} {self.model}: no model in diffusers' format there "
                               "(model_index.json is missing)")  # fmt: skip


@dataclass(frozen=True)
class Defaults:
    """What the page's numbers stand at: the model's own."""

    steps: int = 50
    guidance_scale: float = 5.0
    num_frames: int = 81


def defaults_of(source: Source) -> Defaults:
    """The model's `generation_config.json`, and the stock pipeline's numbers for the rest or without the model."""
    try:
        folder, _ = source.resolve()
    except ModelMissing:
        return Defaults()
    if not Path(folder).is_dir():
        return Defaults()  # a hub id: nothing is downloaded before it is asked for
    from emogen.pipelines.defaults import GenerationDefaults

    given = GenerationDefaults.from_pretrained(folder)
    stock = Defaults()
    return Defaults(given.num_inference_steps or stock.steps,
                    stock.guidance_scale if given.guidance_scale is None else given.guidance_scale,
                    given.num_frames or stock.num_frames)  # fmt: skip


def load_pipeline(source: Source, device: str | None = None, opening: Opening | None = None) -> Any:
    """The pipeline with its adapter and LoRAs, on the device (default: the best there is).

    Raises:
        ModelMissing: see `Source.resolve`.
        OSError, ValueError: diffusers cannot read it, or it is a model of the other kind.
    """
    model, adapter = source.resolve()
    loras, speed = (opening or Opening()).options()
    from emogen.pipelines.loading import open_pipeline

    pipe = open_pipeline(model, adapter, kind=source.kind, device=device, loras=loras, speed=speed)
    pipe.set_progress_bar_config(disable=True)
    return pipe
