"""What is asked of every system: prompts x emotions x seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emogen.data.tables import Columns, RecordError, good_rows
from emogen.eval.benchmark.cast_prompts import cast_prompts
from emogen.eval.benchmark.config import EvalConfig, EvalConfigError
from emogen.eval.benchmark.data_set import data_prompts
from emogen.eval.benchmark.heldout import HeldOutPrompt, real_prompts, rendered_prompts

_COLUMNS = Columns(dict.fromkeys(("prompt", "image", "domain", "character"), str), needs=("prompt",))


@dataclass(frozen=True)
class Item:
    """One clip to make: the same for every system."""

    number: int
    prompt: HeldOutPrompt
    emotion: str
    seed: int

    @property
    def key(self) -> str:
        """A name that is the same in every run."""
        return f"{self.number:03d}_{self.emotion}_{self.seed}"


def load_prompts(config: EvalConfig) -> list[HeldOutPrompt]:
    """The prompts of the configuration.

    Raises:
        EvalConfigError: a row of the file is wrong, or the data set has no such split.
    """
    if config.data is not None:
        return data_prompts(config)
    if config.prompts == "stickers":
        count = config.num_prompts
        return rendered_prompts(count.get("rendered", 0)) + real_prompts(count.get("real", 0))
    if config.prompts == "cast":
        return cast_prompts(config.num_prompts)
    try:
        return _read_prompts(Path(config.prompts), config.num_prompts)
    except RecordError as error:
        raise EvalConfigError(f"prompts: {error}") from error


def _read_prompts(path: Path, limits: Mapping[str, int]) -> list[HeldOutPrompt]:
    found: list[HeldOutPrompt] = []
    for where, _, values in good_rows(path, _COLUMNS):
        text = values.get("prompt", "")
        if not text.strip():
            raise EvalConfigError(f"{where}: 'prompt' is missing")
        image = values.get("image")
        if image is not None:
            image = str(path.parent / image)
            if not Path(image).is_file():
                raise EvalConfigError(f"{where}: image: no file {image}")
        named = values.get("named", {})
        if not isinstance(named, dict):
            raise EvalConfigError(f"{where}: 'named' must be an object, not {named!r}")
        domain = values.get("domain", "all")
        limit = limits.get(domain)
        if limit is None or sum(one.domain == domain for one in found) < limit:
            found.append(HeldOutPrompt(text, domain, values.get("character", text), named, image=image))
    if not found:
        raise EvalConfigError(f"{path}: holds no prompts of the domains that num_prompts asks for")
    return found


def make_items(config: EvalConfig) -> list[Item]:
    """Every prompt with every emotion and seed; a clip's caption with its own label alone."""
    prompts = load_prompts(config)
    pictured = [system.name for system in config.systems if system.image]
    for prompt in prompts if pictured else ():
        if prompt.image is None and prompt.spec is None:
            raise EvalConfigError(
                f"systems.{pictured[0]}: prompt {prompt.text!r} has no picture that a clip could begin with; give it "
                "an image in a JSONL file of prompts"
            )
    return [
        Item(number, prompt, emotion, seed)
        for number, prompt in enumerate(prompts)
        for seed in config.seeds
        for emotion in config.emotions
        if prompt.asks(emotion)
    ]
