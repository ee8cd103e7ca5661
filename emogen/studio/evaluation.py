"""An evaluation as the Evaluate tab sees it: a benchmark of configs/eval, with a run's own weights beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import emogen
from emogen.files import write_text
from emogen.studio.emotion_input import number_or_none
from emogen.studio.train_run import base_of
from emogen.text_files import TextError, read_text

OWN = "yours"
"""The system that the weights are measured as."""
REPORT = "report.html"


def benchmarks() -> list[str]:
    """The benchmarks of the folder that the studio was started in, and of this checkout; the quickest first."""
    found: dict[Path, str] = {}
    for home in (Path.cwd(), Path(emogen.__file__).parents[1]):
        for path in sorted((home / "configs" / "eval").glob("*.yaml")):
            if path.stem != "controls":
                found.setdefault(path.resolve(), str(path.relative_to(home)) if home == Path.cwd() else str(path))
    return sorted(found.values(), key=lambda name: (Path(name).stem != "tiny", Path(name).is_absolute(), name))


@dataclass(frozen=True)
class EvalRequest:
    """What to measure.

    Attributes:
        config: a YAML file of an evaluation.
        output_dir: where clips and report go.
        adapter: a run's output folder, measured as the system "yours"; "" measures the configuration as it is.
        prompts: of each kind of sticker; "" is the configuration's own.
    """

    config: str
    output_dir: str
    adapter: str = ""
    prompts: str = ""

    def words(self, home: Path) -> list[str]:
        """Write the configuration into `home`, and return the command of emogen that runs it.

        Raises:
            ValueError: a file that is missing or is none of its kind.
        """
        if not self.config.strip() or not Path(self.config).is_file():
            raise ValueError(f"no configuration {self.config}" if self.config.strip() else "choose a configuration")
        if not self.output_dir.strip():
            raise ValueError("say where the evaluation goes")
        try:
            read = yaml.safe_load(read_text(self.config))
        except (TextError, yaml.YAMLError) as error:
            raise ValueError(f"{self.config}: {error}") from error
        if not isinstance(read, Mapping) or not isinstance(read.get("systems"), Mapping):
            raise ValueError(f"{self.config}: is no configuration of an evaluation (systems is missing)")
        config: dict[str, Any] = {**read, "systems": dict(read["systems"])}
        if self.adapter.strip():
            config["systems"][OWN] = self._system()
            config["name"] = f"{read.get('name', Path(self.config).stem)}, with {self.adapter.strip()}"
        most = number_or_none(self.prompts, "prompts of a kind", whole=True)
        if most is not None:
            counts = read.get("num_prompts")
            config["num_prompts"] = dict.fromkeys(counts, most) if isinstance(counts, Mapping) else most
        path = home / "evaluation.yaml"
        write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        return ["eval", "--config", str(path), "--output_dir", self.output_dir.strip()]

    def _system(self) -> dict[str, str]:
        folder = Path(self.adapter.strip()).expanduser().resolve()
        if not (folder / "emotion_adapter.safetensors").is_file():
            raise ValueError(f"{self.adapter}: holds no trained adapter (emotion_adapter.safetensors is missing)")
        return {"model": base_of(folder) or "embedded", "adapter": str(folder)}
