"""Bad and unusual inputs at every door: each must end in a right result or in a sentence, never in another way.

    python benchmarks/bad_inputs.py                    # 100 inputs a door, counts by door
    python benchmarks/bad_inputs.py --count 1000 --seed 7
    python benchmarks/bad_inputs.py --door tables --count 200 --show

A door is a function that reads something from outside: a clip, a picture, a table, a configuration, an emotion,
weights, options, votes. An input is made from a good one by damage that its seed decides. The outcomes are `read` (it
was taken), `refused` (a ValueError or OSError with a readable sentence), and the faults: `crashed` (another
exception), `mute` (a refusal without a sentence, or with a page of them), `slow` (more than `LIMIT` seconds),
`outside` (a file where none may be).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from damage import ODD, ROOT, configs, damaged, damaged_text, damaged_yaml, write_table

LIMIT = 60


@dataclass(frozen=True)
class Outcome:
    """What became of one input: `kind` as above, and the message or the exception."""

    kind: str
    detail: str = ""


class Doors:
    """Every door, as a method that makes one input with a random generator in an empty folder and goes through."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._samples: dict[str, bytes] = {}
        self._pipe: Any = None

    # clips and pictures

    def clips(self, rng: random.Random, here: Path) -> None:
        from emogen.media import probe, read_frames

        name = rng.choice(sorted(self._clips()))
        path = here / f"clip{rng.choice([Path(name).suffix, '.mp4', '.gif', '.webm', '.png', '', '.avi'])}"
        path.write_bytes(damaged(self._clips()[name], rng))
        about = probe(path)
        frames, times = read_frames(path, fps=rng.choice([None, 8.0, 16.0]), num_frames=rng.choice([None, 5]))
        assert len(frames) == len(times) and frames.ndim == 4 and about.width > 0, "frames and times differ"

    def _clips(self) -> dict[str, bytes]:
        if not self._samples:
            import numpy as np

            from emogen.media import write_video

            frames = np.random.default_rng(0).integers(0, 255, (9, 48, 64, 3), dtype=np.uint8)
            for ending in (".mp4", ".webm", ".gif", ".webp", ".apng"):
                path = self.folder / f"good{ending}"
                write_video(path, frames, 8)
                self._samples[path.name] = path.read_bytes()
        return self._samples

    def pictures(self, rng: random.Random, here: Path) -> None:
        import io

        from PIL import Image

        from emogen.pipelines.images import read_image

        mode = rng.choice(["RGB", "L", "RGBA", "P", "1", "LA", "CMYK", "I;16"])
        size = rng.choice([(64, 48), (1, 1), (3, 900), (900, 2), (17, 31)])
        form = {"CMYK": "JPEG", "I;16": "PNG"}.get(mode, rng.choice(["PNG", "GIF", "WEBP", "TIFF", "BMP"]))
        if mode == "LA" and form in ("BMP", "GIF", "WEBP"):
            form = "PNG"
        content = io.BytesIO()
        Image.new(mode, size).save(content, form)
        path = here / f"picture.{rng.choice([form.lower(), 'png', 'jpg', 'txt'])}"
        path.write_bytes(damaged(content.getvalue(), rng))
        read_image(str(path))

    # tables

    def tables(self, rng: random.Random, here: Path) -> None:
        from emogen.data.records import read_records

        for number in range(3):
            (here / f"{number}.png").write_bytes(b"x")
        columns = ["file_name", "caption", "emotion", "intensity", "valence", "split"]
        write_table(rng, here, "metadata", columns, ["#.png", "a face", "joy", "0.5", "0.2", "train"])
        read_records(here)

    def batches(self, rng: random.Random, here: Path) -> None:
        from emogen.commands.sample_options import build_parser
        from emogen.commands.sample_request import read_batch

        path = write_table(rng, here, "batch", ["prompt", "emotion", "seed", "output", "num_frames", "loop", "fps"],
                            ["a face", "joy", "3", "#.mp4", "13", "true", "8"])  # fmt: skip
        out = here / "out"
        out.mkdir()
        read_batch(path, build_parser().parse_args(["--output_dir", str(out)]))

    def lexicons(self, rng: random.Random, here: Path) -> None:
        from emogen.emotion.lexicon_file import load_lexicon

        columns = ["word", "amusement", "fear", "intensity"]
        load_lexicon(write_table(rng, here, "words", columns, [f"zz{rng.randrange(10**9)}#", "1", "0", "0.5"], 0.0))

    def votes(self, rng: random.Random, here: Path) -> None:
        from emogen.curation.labels import answers
        from emogen.data.tables import Columns, good_rows

        columns = ["clip_id", "annotator", "emotion"]
        path = write_table(rng, here, "votes", columns, ["c#", "ann", "fear"])
        answers(row for _, _, row in good_rows(path, Columns(dict.fromkeys(columns, str), needs=("clip_id",))))

    def about_tables(self, rng: random.Random, here: Path) -> None:
        """What `emogen data import` takes."""
        from emogen.curation.imported import read_about

        row = ["#.mp4", "a face", "joy", "0.5", "1"]
        read_about(write_table(rng, here, "about", ["file_name", "caption", "emotion", "confidence", "group"], row))

    def sorted_clips(self, rng: random.Random, here: Path) -> None:
        """Training's plan of folders of clips, every clip opened."""
        from emogen.data.records import read_records
        from emogen.media import probe

        names = [word for word in ODD if "/" not in word and "\0" not in word]
        for emotion in ("joy", rng.choice(names) if rng.random() < 0.4 else "fear"):
            folder = here / (emotion.encode("utf-8", "replace").decode()[:40].strip(". ") or "awe")
            folder.mkdir(exist_ok=True)
            name = rng.choice(sorted(self._clips()))
            (folder / name).write_bytes(damaged(self._clips()[name], rng) if emotion == "joy" else self._clips()[name])
        for record in read_records(here):
            probe(record.path)

    # configurations

    def recipes(self, rng: random.Random, here: Path) -> None:
        from emogen.curation.recipe import load_recipe

        load_recipe(damaged_yaml(rng, here, rng.choice(configs("configs/data"))))

    def training_configs(self, rng: random.Random, here: Path) -> None:
        from emogen.training.config import load_config

        name = rng.choice(["learning_rate", "seed", "output_dir", "rank", "fps", "nonsense"])
        flags = [f"--{name}", rng.choice(ODD)]
        load_config(damaged_yaml(rng, here, rng.choice(configs("configs"))), flags if rng.random() < 0.5 else ())

    def evaluation_configs(self, rng: random.Random, here: Path) -> None:
        from emogen.eval.benchmark.config import load_eval_config

        load_eval_config(damaged_yaml(rng, here, rng.choice(configs("configs/eval", without="controls"))))

    def controls_configs(self, rng: random.Random, here: Path) -> None:
        from emogen.eval.controls.config import load_controls_config

        load_controls_config(damaged_yaml(rng, here, ROOT / "configs/eval/controls.yaml"))

    # words and options

    def emotions(self, rng: random.Random, here: Path) -> None:
        from emogen.emotion import parse_emotion_or_arc

        good = ["joy", "sadness:0.6", "joy:0.7+awe:0.3", "va:0.8,0.3", "0:fear 0.6:fear 1:amusement", "state:awe"]
        made = parse_emotion_or_arc(damaged_text(rng.choice(good), rng))
        again = parse_emotion_or_arc(str(made))
        assert str(again) == str(made), f"{made} reads back as {again}"

    def options(self, rng: random.Random, here: Path) -> None:
        from emogen.commands.sample_options import build_parser
        from emogen.commands.sample_request import parse, read_job

        names = ["--emotion_scale", "--guidance_scale", "--fps", "--num_frames", "--height", "--seed", "--max_kb",
                 "--num_inference_steps", "--emotion", "--avoid", "--emotion_guidance_scale", "--output", "--image",
                 "--platform", "--from", "--batch", "--lora"]  # fmt: skip
        value = rng.choice([*ODD, "0.5", "13", str(here / "a.mp4"), str(here / "no" / "a.mp4"), str(here), "a:b.mp4"])
        words = ["--prompt", "a face", rng.choice(names), value.replace("\x00", "")]
        if rng.random() < 0.3:
            words += [rng.choice(names), rng.choice(ODD).replace("\x00", "")]
        parser = build_parser()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            try:
                args = parse(parser, words)
            except SystemExit as error:  # argparse's own refusal
                assert error.code == 2, f"exit {error.code}"
                return
            if args.batch is None and args.output is None:
                args.output = str(here / "out.mp4")
            read_job(args)

    def strangers_clips(self, rng: random.Random, here: Path) -> None:
        """`--from` a clip whose options are nonsense."""
        import numpy as np

        from emogen.commands.sample_options import build_parser
        from emogen.commands.sample_request import parse, read_job
        from emogen.media import write_video

        parser = build_parser()
        names = [action.dest for action in parser._actions]
        nonsense = [*ODD, math.nan, math.inf, 10**400, -1, None, [], {}, [[1]], [1, 2, 3], True, {"a": 1}]
        made = {"prompt": "a face", "emotion": "joy", "seed": 1, rng.choice(names): rng.choice(nonsense)}
        path = here / rng.choice(["a.mp4", "a.webp", "a.gif"])
        write_video(path, np.zeros((5, 16, 16, 3), np.uint8), 8, made)
        if rng.random() < 0.2:
            path.write_bytes(damaged(path.read_bytes(), rng))
        read_job(parse(parser, ["--from", str(path), "--output", str(here / "o.mp4")]))

    # files of weights

    def adapter_folders(self, rng: random.Random, here: Path) -> None:
        """An adapter with its LoRA, loaded into a pipeline."""
        from emogen import EmotionWanPipeline, embedded_adapter, embedded_model

        if self._pipe is None:
            self._pipe = EmotionWanPipeline.from_pretrained(embedded_model())
        files = [path for path in Path(embedded_adapter()).iterdir() if path.is_file()]
        harmed = rng.choice(files)
        for file in files:
            content = file.read_bytes()
            (here / file.name).write_bytes(damaged(content, rng) if file == harmed else content)
        self._pipe.load_emotion_adapter(here)

    def adapters(self, rng: random.Random, here: Path) -> None:
        from emogen.embedded import embedded_adapter
        from emogen.models.storage import read_emotion_adapter

        for file in ("config.json", "emotion_adapter.safetensors"):
            content = (Path(embedded_adapter()) / file).read_bytes()
            (here / file).write_bytes(damaged(content, rng) if rng.random() < 0.7 else content)
        read_emotion_adapter(here, {"transformer": _transformer()})

    def loras(self, rng: random.Random, here: Path) -> None:
        import torch
        from safetensors.torch import save_file

        from emogen.models.lora import read_lora

        prefix = rng.choice(["transformer.", "diffusion_model.", "base_model.model.", "lora_unet_", "", "x"])
        layer = rng.choice(["blocks.0.attn1.to_q", "blocks.0.self_attn.q", "blocks_0_self_attn_q", "(a+)+$", "nowhere"])
        ends = rng.choice([("lora_A", "lora_B"), ("lora_down", "lora_up"), ("lora_A.default", "lora_B.default")])
        dtype = rng.choice([torch.float32, torch.float16, torch.bfloat16, torch.int8])
        value = rng.choice([0.5, float("nan"), float("inf"), 0.0])
        shapes = [(4, 16), (16, 4)] if rng.random() < 0.7 else [(4, 16), (16, 3)]
        tensors = {
            f"{prefix}{layer}.{end}.weight": torch.full(shape, value).to(dtype)
            for end, shape in zip(ends, shapes, strict=True)
        }
        if rng.random() < 0.4:
            tensors[f"{prefix}{layer}.alpha"] = torch.tensor(rng.choice([4.0, 0.0, float("nan"), -1.0]))
        if rng.random() < 0.2:
            tensors = dict(list(tensors.items())[: rng.randrange(len(tensors))])
        values = {"transformer.lora_alpha": rng.choice(ODD), "transformer.r": 4}
        metadata = {"lora_adapter_metadata": json.dumps(values)}
        path = here / "lora.safetensors"
        save_file(tensors, path, metadata if rng.random() < 0.3 else None)
        if rng.random() < 0.3:
            path.write_bytes(damaged(path.read_bytes(), rng))
        read_lora(path)

    def results(self, rng: random.Random, here: Path) -> None:
        from emogen.eval.benchmark.results import read_results

        text = json.dumps(_results())
        (here / "results.json").write_bytes(damaged(text.encode(), rng) if rng.random() < 0.8 else text.encode())
        read_results(here)

    def studies(self, rng: random.Random, here: Path) -> None:
        """A study built from results that are damaged or point elsewhere."""
        from emogen.eval.benchmark.results import ForStudy, read_results
        from emogen.eval.study.build import Asked, build_study

        results = _results()
        first = results["rows"][0]
        second = first | {"system": "b", "file": "clips/b/000_fear_0.png"}
        results["config"]["systems"].append({"name": "b", "clips": None})
        results["rows"].append(second)
        for row in (first, second):
            clip = here / row["file"]
            clip.parent.mkdir(parents=True)
            clip.write_bytes(b"x")
        row, key = rng.choice(results["rows"]), rng.choice(["file", "clip", "system", "prompt", "emotion", "judges"])
        row[key] = rng.choice([*ODD, None, 5, [], {}, *[row[key]] * 20])
        (here / "results.json").write_text(json.dumps(results))
        build_study(read_results(here, ForStudy), here, here / "study", ["a", "b"], Asked(1, 1))

    def study_votes(self, rng: random.Random, here: Path) -> None:
        from emogen.eval.study.votes import read_key, read_votes, summarise_votes

        pair = {"emotion": "fear", "prompt": "p", "left": "a", "right": "b"}
        named = {"emotion": "awe", "prompt": "q", "system": "b", "judge": "fear"}
        key = {"study": "s", "systems": ["a", "b"], "questions": {"1": pair, "2": named}}
        votes = {"1": {"answer": "left", "seconds": 2.0}, "2": {"answer": "awe", "seconds": 1.5}}
        for name, value in (("key", key), ("votes", {"study": "s", "voter": "v", "votes": votes})):
            content = json.dumps(value).encode()
            (here / f"{name}.json").write_bytes(damaged(content, rng) if rng.random() < 0.6 else content)
        checked = read_key(here / "key.json")
        summarise_votes(checked, read_votes(checked, [here / "votes.json"], say=lambda line: None))


def _results() -> dict:
    """The smallest results of an evaluation that a page can be drawn from."""
    rate = {"value": 0.5, "low": 0.2, "high": 0.8, "n": 1}
    axis = {"r": None, "mean_absolute_error": 0.5}
    system = {
        "n": 1, "prompts": 1, "EA-8": rate, "EA-2": rate, "recall": {"fear": rate}, "confusion": [[0] * 8] * 8,
        "kappa": None, "macro_F1": None, "valence": axis, "arousal": axis,
    }  # fmt: skip
    reading = {"read": "awe", "EA-8": False, "EA-2": False, "share": 0.1, "valence": 0.2, "arousal": 0.3}
    row = {"system": "a", "clip": "000_fear_0", "file": "clips/a/000_fear_0.png", "prompt": "p", "domain": "d",
           "emotion": "fear", "seed": 0, "judges": {"embedded": reading}}  # fmt: skip
    return {
        "config": {"name": "x", "systems": [{"name": "a", "clips": None}], "emotions": ["fear"], "seeds": [0],
                   "metrics": ["agreement"], "baseline": None, "reference": None},
        "config_hash": "0", "made_with": {"torch": "2"}, "items": 1, "prompts": 1, "excluded": [], "rows": [row],
        "summary": {"judge": "embedded", "systems": {"a": system}, "against": {}, "notes": []},
    }  # fmt: skip


def doors() -> list[str]:
    """The names of all doors."""
    return [name for name in vars(Doors) if not name.startswith("_")]


def go_through(door: str, seed: int, folder: Path, all_doors: Doors | None = None) -> Outcome:
    """Make input number `seed` of a door in a new folder below `folder`, and see what becomes of it."""
    rng = random.Random(f"{door}/{seed}")
    here = folder / f"{door}-{seed}" / "in"
    here.mkdir(parents=True)
    try:
        with _time_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(all_doors or Doors(folder), door)(rng, here)
    except TimeoutError as error:
        return Outcome("slow", str(error))
    except (ValueError, OSError) as error:
        text = str(error).strip()
        if isinstance(error, UnicodeError) or len(text) < 8 or " " not in text or len(text) > 3000:
            return Outcome("mute", f"{type(error).__name__}: {text[:200]}")
        return Outcome("refused", text)
    except Exception as error:  # every other way to end is a fault
        return Outcome("crashed", f"{type(error).__name__}: {str(error)[:300]}")
    strangers = [path for path in here.parent.iterdir() if path.name != "in"]
    return Outcome("outside", str(strangers[0])) if strangers else Outcome("read")


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def too_long(*_: object) -> None:
        raise TimeoutError(f"more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _transformer() -> object:
    global _TRANSFORMER
    if _TRANSFORMER is None:
        from accelerate import init_empty_weights
        from diffusers import WanTransformer3DModel

        from emogen.embedded import embedded_model

        with init_empty_weights():
            config = WanTransformer3DModel.load_config(embedded_model(), subfolder="transformer")
            _TRANSFORMER = WanTransformer3DModel.from_config(config)
    return _TRANSFORMER


_TRANSFORMER: object | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--door", choices=doors(), nargs="+", default=doors())
    parser.add_argument("--count", type=int, default=100, help="inputs a door")
    parser.add_argument("--seed", type=int, default=0, help="of the first input")
    parser.add_argument("--show", action="store_true", help="print every refusal too")
    args = parser.parse_args()
    kinds = ("read", "refused", "crashed", "mute", "slow", "outside")
    print(f"{'door':20}" + "".join(f"{kind:>9}" for kind in kinds))
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        every = Doors(Path(folder))
        for door in args.door:
            counts: Counter[str] = Counter()
            for seed in range(args.seed, args.seed + args.count):
                outcome = go_through(door, seed, Path(folder), every)
                counts[outcome.kind] += 1
                if outcome.kind not in ("read", "refused"):
                    faults.append(f"{door} {seed}: {outcome.kind}: {outcome.detail}")
                elif args.show:
                    print(f"  {seed}: {outcome.kind} {outcome.detail}")
            print(f"{door:20}" + "".join(f"{counts[kind]:9}" for kind in kinds), flush=True)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
