"""The stages from the art to the text-to-video base: what each reads and writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from emogen.files import write_json
from recipe import state
from recipe.config import Amounts
from recipe.latents import write_latents, write_pixels
from recipe.loop import train
from recipe.plan import Workshop
from recipe.store import Store
from recipe.world import Drawn, Item, item_rng


@dataclass(frozen=True)
class Mixed:
    """Several sequences of items as one, in an order that is shuffled but always the same."""

    parts: tuple[Sequence[Item], ...]
    seed: int

    def __post_init__(self) -> None:
        places = [(p, i) for p, part in enumerate(self.parts) for i in range(len(part))]
        order = item_rng(self.seed, "mixed", len(places)).permutation(len(places))
        object.__setattr__(self, "_places", [places[k] for k in order])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Item:
        part, inner = self._places[index]
        return self.parts[part][inner]


def art_folder(shop: Workshop) -> Path:
    return shop.work / "art" / "packages"


def drawn(shop: Workshop, split: str, kind: str, count: int) -> Drawn:
    return Drawn(split, kind, count, shop.recipe.clips, shop.recipe.data.seed)


def real(shop: Workshop, split: str, amounts: Amounts) -> Mixed | None:
    """Real emoji, faces and content; None where the recipe does without art."""
    if not shop.recipe.data.art:
        return None
    from recipe.real import Real

    parts = Real.of(art_folder(shop), split, amounts, shop.recipe.clips, shop.recipe.data.seed)
    return Mixed(tuple(part for part in parts if len(part)), shop.recipe.data.seed)


def art(shop: Workshop) -> None:
    if shop.recipe.data.art:
        from recipe.real import fetch

        fetch(art_folder(shop))


def pixels(shop: Workshop) -> None:
    data, folder = shop.recipe.data, shop.folder("pixels")
    write_pixels(drawn(shop, "base", "plain", data.pixels.drawn), folder / "drawn", data.shard)
    write_pixels(drawn(shop, "test", "plain", data.test.drawn), folder / "test_drawn", data.shard)
    for name, split, amounts in (("real", "train", data.pixels), ("test_real", "test", data.test)):
        found = real(shop, split, amounts)
        if found:
            write_pixels(found, folder / name, data.shard)


def autoencoder(shop: Workshop) -> None:
    from recipe.vae_training import AutoencoderTask

    folder = shop.folder("pixels")
    stores, held_out = [(Store(folder / "drawn"), 0.65)], {}
    test = Store(folder / "test_drawn")
    held_out["drawn"] = test.read_all("clips", range(min(27, len(test))))
    for emotion in ("excitement", "contentment"):
        chosen = [i for i, r in enumerate(test.records) if r["emotion"] == emotion][:6]
        held_out[emotion] = test.read_all("clips", chosen)
    if shop.recipe.data.art:
        stores.append((Store(folder / "real"), 0.35))
        other = Store(folder / "test_real")
        held_out["real"] = other.read_all("clips", range(min(24, len(other))))
    schedule = shop.recipe.autoencoder_schedule
    torch.manual_seed(schedule.seed)
    task = AutoencoderTask(shop.recipe.autoencoder, stores, held_out)
    train(task, schedule, shop.folder("autoencoder"), "autoencoder")


def load_autoencoder(shop: Workshop, calibrated: bool = True):
    """The trained autoencoder; `calibrated` with the latents' statistics of the stage `latents`."""
    from recipe import vae

    model = vae.build(shop.recipe.autoencoder)
    state.load_average(shop.folder("autoencoder") / "autoencoder.safetensors", model, "vae.")
    if calibrated:
        model.register_to_config(**json.loads((shop.folder("latents") / "statistics.json").read_text()))
    return model


def latents(shop: Workshop) -> None:
    from recipe.vae_training import calibrate

    data, folder = shop.recipe.data, shop.folder("latents")
    if not (folder / "statistics.json").is_file():
        model, seen = load_autoencoder(shop, calibrated=False), []
        for name in ("drawn", "real") if data.art else ("drawn",):
            store = Store(shop.folder("pixels") / name)
            seen.append(store.read_all("clips", range(min(64, len(store)))))
        calibrate(model, np.concatenate(seen))
        write_json(folder / "statistics.json", {k: list(model.config[k]) for k in ("latents_mean", "latents_std")})
    model = load_autoencoder(shop)
    write_latents(model, drawn(shop, "test", "plain", data.test.drawn), folder / "held_out", data.shard)
    write_latents(model, drawn(shop, "base", "plain", data.train.drawn), folder / "drawn", data.shard)
    if data.art:
        write_latents(model, real(shop, "train", data.train), folder / "real", data.shard)


def text(shop: Workshop) -> None:
    from recipe import text as words
    from recipe.base import caption_of
    from recipe.world import FACTS

    config, folder = shop.recipe.text, shop.folder("text")
    stores = [Store(shop.folder("latents") / name) for name in _trained_on(shop)]
    corpus = [caption for store in stores for record in store.records for caption in record["captions"]]
    tokenizer = words.build_tokenizer(corpus, folder)
    torch.manual_seed(config.schedule.seed)
    encoder = words.build_encoder(len(tokenizer), config)

    def draw(rng: np.random.Generator) -> tuple[str, dict[str, str]]:
        store = stores[0] if rng.random() < 0.65 else stores[-1]
        record = store.records[rng.integers(len(store))]
        caption = caption_of(record, rng, 0.0)
        said = {name: str(record.get(name, "")) for name in FACTS}
        said = {name: value if value in caption else "" for name, value in said.items()}
        said["who"] = record.get("codepoint") or record["character"]
        emotion = record["emotion"] if record["emotion"] in words.EMOTION_WORDS and rng.random() < 0.5 else ""
        said["emotion"] = emotion
        return (words.with_emotion_word(caption, emotion, rng) if emotion else caption), said

    train(words.TextTask(encoder, tokenizer, draw, config), config.schedule, folder, "text")


def _trained_on(shop: Workshop) -> tuple[str, ...]:
    return ("drawn", "real") if shop.recipe.data.art else ("drawn",)


def load_text(shop: Workshop):
    """Tokenizer, and the text encoder as the stage `text` left it."""
    from transformers import PreTrainedTokenizerFast

    from recipe.text import build_encoder

    tokenizer = PreTrainedTokenizerFast.from_pretrained(shop.folder("text") / "tokenizer")
    encoder = build_encoder(len(tokenizer), shop.recipe.text)
    return tokenizer, state.load_average(shop.folder("text") / "text.safetensors", encoder, "encoder.").train()


def base(shop: Workshop) -> None:
    from recipe.base import BaseTask, build

    folder, share = shop.folder("latents"), shop.recipe.base.real
    weights = dict(zip(_trained_on(shop), (1 - share, share), strict=False))
    stores = [(Store(folder / name), weight) for name, weight in weights.items()]
    tokenizer, encoder = load_text(shop)
    transformer = build(shop.recipe)
    task = BaseTask(shop.recipe, transformer, encoder, tokenizer, stores, Store(folder / "held_out"))
    train(task, shop.recipe.base.schedule, shop.folder("base"), "base")


def load_base(shop: Workshop):
    """The averaged transformer and text encoder of the base, and the tokenizer."""
    from recipe.base import build

    tokenizer, encoder = load_text(shop)
    path = shop.folder("base") / "base.safetensors"
    transformer = state.load_average(path, build(shop.recipe), "transformer.")
    return transformer, state.load_average(path, encoder, "text_encoder."), tokenizer


def model(shop: Workshop) -> None:
    from recipe.export import export

    transformer, encoder, tokenizer = load_base(shop)
    export(shop.recipe, load_autoencoder(shop), transformer, encoder, tokenizer, shop.folder("model") / "diffusers")
