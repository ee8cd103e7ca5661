"""The stages of emotion: folders of clips as every user has them, `train_lora.py` on them, and image to video."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from emogen.embedded import CHANGES
from emogen.files import write_text
from emogen.media.writer import write_video
from recipe import state
from recipe.children import free_port, run_child
from recipe.config import Emotion
from recipe.latents import write_latents
from recipe.loop import Stopped, train
from recipe.make_base import Mixed, art_folder, drawn, load_autoencoder, load_base, real
from recipe.plan import Workshop
from recipe.store import Store
from recipe.world import Item, item_rng

ROOT = Path(__file__).parent.parent
HELD_OUT_CLIPS = 64


def write_dataset(items: Sequence[Item], out: Path, fps: int, seed: int) -> None:
    """Write `out/metadata.jsonl` and `out/clips/*.webp`: the form that every user's own clips have.

    The captions hold no emotion, every eighth clip or so up to 64 is for validation. Clips that are there are kept.
    """
    (out / "clips").mkdir(parents=True, exist_ok=True)
    rng = item_rng(seed, "dataset", len(items))
    held_out = set(rng.permutation(len(items))[: min(HELD_OUT_CLIPS, len(items) // 8)].tolist())
    lines = []
    for index in tqdm(range(len(items)), desc=f"write {out.parent.name}", mininterval=10):
        name = f"clips/{index:05d}.webp"
        item = items[index]
        if not (out / name).exists():
            write_video(out / name, item.clip, fps, quality=95)
        line = {
            "file_name": name,
            "caption": str(rng.choice(item.record["captions"])),
            "emotion": item.record["emotion"],
            "domain": item.record["domain"],
            "split": "val" if index in held_out else "train",
        }
        if item.record["emotion"] != "neutral" and "intensity" in item.record:
            line["intensity"] = item.record["intensity"]
        lines.append(json.dumps(line) + "\n")
    write_text(out / "metadata.jsonl", "".join(lines))


def dataset(shop: Workshop) -> None:
    """Plain clips, shades and arcs, real faces, and real faces that change."""
    config, data = shop.recipe.emotion, shop.recipe.data
    parts: list[Sequence[Item]] = [drawn(shop, "train", "plain", config.drawn)]
    if config.shades:
        parts.append(drawn(shop, "train", "shade", config.shades))
    if data.art:
        from recipe.real import Dissolves

        parts.append(Subset(real(shop, "train", data.train), config.real))
        parts.append(Dissolves.of(art_folder(shop), "change", config.dissolves, shop.recipe.clips, data.seed))
    items = Mixed(tuple(parts), data.seed)
    write_dataset(items, shop.folder("dataset") / "clips", shop.recipe.clips.fps, data.seed)


class Subset:
    """The first `count` items of a sequence, or all if it has fewer."""

    def __init__(self, items: Sequence[Item], count: int):
        self._items, self._count = items, min(count, len(items))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Item:
        return self._items[index]


def adapter(shop: Workshop) -> None:
    model, clips = shop.folder("model") / "diffusers", shop.folder("dataset") / "clips"
    train_lora(shop.recipe.emotion, model, clips, shop.folder("adapter"))


def train_lora(config: Emotion, model: Path, clips: Path, folder: Path) -> None:
    """Run `train_lora.py`, as everyone does; it resumes from its own checkpoints.

    Raises:
        Stopped: it was ended by a signal. RuntimeError: it failed; its own words stand above.
    """
    flags = {
        "pretrained_model_name_or_path": model.resolve(),
        "dataset_name": clips.resolve(),
        "output_dir": (folder / "run").resolve(),
        "resume_from_checkpoint": "latest",
        **config.flags,
    }
    launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={config.processes}"]
    launcher += ["--master_addr=127.0.0.1", f"--master_port={free_port()}"]
    command = [sys.executable, *(launcher if config.processes > 1 else []), "train_lora.py", "--config", config.config]
    said = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in flags.items()}
    command += [part for key, value in said.items() for part in (f"--{key}", value)]
    print(" ".join(command), flush=True)
    code = run_child(command, ROOT)
    if code < 0 or code == 130 or code == 143:
        raise Stopped(f"{folder.name}: stopped by a signal; run the same again to resume")
    if code:
        raise RuntimeError(f"train_lora.py ended with {code}")


def turns(shop: Workshop) -> None:
    """Draw and dissolve faces that change, and encode them with their first frames; and clips that do not change."""
    data, folder, vae = shop.recipe.data, shop.folder("turns"), load_autoencoder(shop)
    amounts = data.train
    steady = drawn(shop, "train", "plain", max(1, round(amounts.turns * shop.recipe.i2v.steady)))
    write_latents(vae, drawn(shop, "test", "turn", data.test.turns), folder / "held_out", data.shard, True)
    write_latents(vae, drawn(shop, "train", "turn", amounts.turns), folder / "drawn", data.shard, True)
    write_latents(vae, steady, folder / "steady", data.shard, True)
    if data.art:
        from recipe.real import Dissolves

        faces = Dissolves.of(art_folder(shop), "turn", amounts.turns // 2, shop.recipe.clips, data.seed)
        write_latents(vae, faces, folder / "real", data.shard, True)
        still = Subset(real(shop, "train", amounts), amounts.turns // 4)
        write_latents(vae, still, folder / "steady_real", data.shard, True)


def i2v_task(shop: Workshop):
    """What the stage `i2v` trains."""
    from recipe.i2v import ImageToVideoTask

    steady = shop.recipe.i2v.steady
    weights = {"drawn": 0.6 * (1 - steady), "real": 0.4 * (1 - steady), "steady": steady / 2, "steady_real": steady / 2}
    folder = shop.folder("turns")
    stores = [(Store(folder / name), weight) for name, weight in weights.items() if weight and (folder / name).is_dir()]
    transformer, encoder, tokenizer = load_base(shop)
    held_out = Store(folder / "held_out")
    return ImageToVideoTask(shop.recipe, transformer, encoder, tokenizer, stores, held_out)


def i2v(shop: Workshop) -> None:
    train(i2v_task(shop), shop.recipe.i2v.schedule, shop.folder("i2v"), "i2v")


def i2v_model(shop: Workshop) -> None:
    """The merged folder, and beside it what image to video has of its own, which is all that has to be shipped."""
    from safetensors.torch import save_file

    from emogen.files import atomic
    from recipe.export import export_i2v
    from recipe.i2v import OWN, merge

    modules = i2v_task(shop).modules
    state.load_average(shop.folder("i2v") / "i2v.safetensors", modules)
    transformer, folder = modules["transformer"], shop.folder("i2v_model")
    own = {name: value.bfloat16().contiguous() for name, value in transformer.state_dict().items()
           if any(part in name for part in OWN)}  # fmt: skip
    with atomic(folder / CHANGES) as temporary:
        save_file(own, temporary)
    export_i2v(
        shop.recipe,
        shop.folder("model") / "diffusers",
        merge(transformer),
        modules["image_encoder"],
        folder / "diffusers",
    )


def i2v_dataset(shop: Workshop) -> None:
    """Faces that change, to what they are labelled with."""
    config, data = shop.recipe.i2v_emotion, shop.recipe.data
    parts: list[Sequence[Item]] = [drawn(shop, "train", "turn", config.drawn)]
    if data.art and config.dissolves:
        from recipe.real import Dissolves

        parts.append(Dissolves.of(art_folder(shop), "turn", config.dissolves, shop.recipe.clips, data.seed))
    items = Mixed(tuple(parts), data.seed)
    write_dataset(items, shop.folder("i2v_dataset") / "clips", shop.recipe.clips.fps, data.seed)


def i2v_adapter(shop: Workshop) -> None:
    train_lora(
        shop.recipe.i2v_emotion,
        shop.folder("i2v_model") / "diffusers",
        shop.folder("i2v_dataset") / "clips",
        shop.folder("i2v_adapter"),
    )
