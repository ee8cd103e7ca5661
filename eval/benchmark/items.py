"""What is asked of every system: prompts x emotions x seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from emogen.eval.benchmark.config import EvalConfig, EvalConfigError
from emogen.eval.benchmark.heldout import HeldOutPrompt, real_prompts, rendered_prompts


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
        EvalConfigError: a row of the file is wrong.
    """
    if config.prompts == "stickers":
        count = config.num_prompts
        return rendered_prompts(count.get("rendered", 0)) + real_prompts(count.get("real", 0))
    found: list[HeldOutPrompt] = []
    for row, line in enumerate(Path(config.prompts).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            text = values["prompt"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            message = f"{config.prompts}:{row}: expected an object with prompt, not {line[:60]!r}"
            raise EvalConfigError(message) from error
        image = values.get("image")
        if image is not None:
            image = str(Path(config.prompts).parent / image)
            if not Path(image).is_file():
                raise EvalConfigError(f"{config.prompts}:{row}: image: no file {image}")
        domain = str(values.get("domain", "all"))
        limit = config.num_prompts.get(domain)
        if limit is None or sum(one.domain == domain for one in found) < limit:
            character, named = str(values.get("character", text)), values.get("named", {})
            found.append(HeldOutPrompt(text, domain, character, named, image=image))
    if not found:
        raise EvalConfigError(f"{config.prompts}: holds no prompts")
    return found


def make_items(config: EvalConfig) -> list[Item]:
    """Every prompt with every emotion and seed."""
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
    ]
