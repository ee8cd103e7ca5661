"""The stages of the readers: two judges, the content reader, the reader of well-formedness."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from emogen.files import atomic, write_json
from recipe import state
from recipe.config import Reader
from recipe.latents import smaller, write_pixels
from recipe.loop import train
from recipe.make_base import art_folder, drawn, real
from recipe.plan import Workshop
from recipe.readers import (
    ContentTask,
    JudgeTask,
    ReaderTask,
    Shelf,
    WellFormedTask,
    held_out_blends,
    held_out_emotions,
    in_turn,
)
from recipe.store import Store
from recipe.world import item_rng


def reader_clips(shop: Workshop) -> None:
    """Clips at the readers' size: each judge's own characters, the content reader's, and tests."""
    data, folder, size = shop.recipe.data, shop.folder("reader_clips"), shop.recipe.judge.size
    for split in ("judge_a", "judge_b", "content"):
        write_pixels(drawn(shop, split, "plain", data.judge.drawn), folder / split, data.shard, size)
    for split, amounts in (("judge_b", data.judge), ("test", data.test)):
        shades = drawn(shop, split, "still_shade", amounts.shades)
        write_pixels(shades, folder / f"{split}_shades", data.shard, size)
    for split in ("test", "unseen"):
        write_pixels(drawn(shop, split, "plain", data.test.drawn), folder / split, data.shard, size)
    for split, amounts in (("content", data.judge), ("test", data.test)):
        wrong = drawn(shop, split, "broken", max(1, amounts.drawn // 2))
        write_pixels(wrong, folder / f"{split}_broken", data.shard, size)
    for name, split, amounts in (("real", "judge_a", data.judge), ("test_real", "test", data.test)):
        found = real(shop, split, amounts)
        if found:
            write_pixels(found, folder / name, data.shard, size)


def judge(shop: Workshop) -> None:
    _judge(shop, "judge", shop.recipe.judge)


def judge_blends(shop: Workshop) -> None:
    _judge(shop, "judge_blends", shop.recipe.judge_blends)


def judge_art(shop: Workshop) -> None:
    """Other people's drawings alone: are ours read as they mean?"""
    _judge(shop, "judge_art", shop.recipe.judge_art)


def _judge(shop: Workshop, name: str, config: Reader) -> None:
    found = [_shelf(shop, kind, config.split) for kind in config.mix]
    shelves = [shelf for shelf in found if shelf is not None] or [_shelf(shop, "drawn", config.split)]
    task = JudgeTask(config, in_turn(shelves), _tests(shop))

    def figures(network: torch.nn.Module) -> dict:
        found = {"held_out": {n: held_out_emotions(task, network, shelf) for n, shelf in _tests(shop).items()}}
        if "shades" in config.mix:
            shelf = Shelf.of(Store(shop.folder("reader_clips") / "test_shades"))
            found["held_out_blends"] = held_out_blends(task, network, shelf)
        return found

    _finish(shop, name, config, task, figures)


def content(shop: Workshop) -> None:
    shelves = [Shelf.of(Store(shop.folder("reader_clips") / "content"))]
    if shop.recipe.data.art:
        shelves += [shelves[0], Shelf.of(Store(shop.folder("reader_clips") / "real"))]
    tests = {name: shelf for name, shelf in _tests(shop).items() if name != "test_real"}
    task = ContentTask(shop.recipe.content, in_turn(shelves), tests)

    def figures(network: torch.nn.Module) -> dict:
        return {"accuracy": {name: task.right_by_head(network, shelf) for name, shelf in tests.items()}}

    _finish(shop, "content", shop.recipe.content, task, figures)


def wellformed(shop: Workshop) -> None:
    """Whole faces and broken ones: wrong when drawn, or broken afterwards, which real faces can be too."""
    folder = shop.folder("reader_clips")
    whole, wrong = (Shelf.of(Store(folder / name)) for name in ("content", "content_broken"))
    other = Shelf.of(Store(folder / "real")) if shop.recipe.data.art else whole
    tests = _tests(shop) | {"test_broken": Shelf.of(Store(folder / "test_broken"))}
    task = WellFormedTask(shop.recipe.wellformed, in_turn([whole, other, whole, wrong]), tests)

    def figures(network: torch.nn.Module) -> dict:
        return {"accuracy": {name: task.right_by_kind(network, shelf) for name, shelf in tests.items()}}

    _finish(shop, "wellformed", shop.recipe.wellformed, task, figures)


def _finish(
    shop: Workshop, name: str, config: Reader, task: ReaderTask, figures: Callable[[torch.nn.Module], dict]
) -> None:
    """Train, and write network and card."""
    folder = shop.folder(name)
    train(task, config.schedule, folder, name)
    network = state.load_average(folder / f"{name}.safetensors", task.network, "reader.")
    card = {"steps": config.schedule.steps, "seed": config.schedule.seed, "mix": list(config.mix), **figures(network)}
    with atomic(folder / "network") as temporary:
        network.to(torch.float16).save_pretrained(temporary)
        write_json(temporary / "card.json", card)


def _tests(shop: Workshop) -> dict[str, Shelf]:
    """What no reader learns from: other contents, characters that none has seen with an emotion, other emoji."""
    folder = shop.folder("reader_clips")
    found = {"test_rendered": "test", "test_unseen": "unseen", "test_real": "test_real"}
    return {name: Shelf.of(Store(folder / store)) for name, store in found.items() if (folder / store).is_dir()}


def _shelf(shop: Workshop, kind: str, split: str) -> Shelf | None:
    """What a reader learns from; None where the recipe does without art."""
    folder = shop.folder("reader_clips")
    if kind in ("drawn", "shades"):
        return Shelf.of(Store(folder / (split if kind == "drawn" else f"{split}_shades")))
    if not shop.recipe.data.art:
        return None
    if kind == "real":
        return Shelf.of(Store(folder / "real"))
    return _static_art(art_folder(shop), shop)


@lru_cache(maxsize=1)
def _static_art(folder: Path, shop: Workshop) -> Shelf:
    """Every static face set in motion; its movement and background are a function of its place."""
    from recipe.real import jiggle, vendor_art

    art, variants = vendor_art(folder), 6
    seed, clips, size = shop.recipe.data.seed, shop.recipe.clips, shop.recipe.judge.size
    moving = [
        smaller(jiggle(image, item_rng(seed, "art", number, variant), clips), size)
        for number, (image, _, _) in enumerate(art)
        for variant in range(variants)
    ]
    records = [{"emotion": emotion, "intensity": intensity} for _, emotion, intensity in art for _ in range(variants)]
    return Shelf(records, moving.__getitem__)
