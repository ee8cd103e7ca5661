"""The stages in order: what each is made from and which options decide it."""

from __future__ import annotations

from collections.abc import Callable

from recipe import fast, make_base, make_emotion, make_readers
from recipe.card import card
from recipe.config import Recipe, Schedule
from recipe.figures import figures
from recipe.plan import Stage
from recipe.ship import READERS, ship

_DATA = ("data.seed", "data.shard")


def _schedule(name: str) -> Callable[[Recipe], Schedule]:
    return lambda recipe: getattr(recipe, name).schedule


STAGES = (
    Stage("art", "fetch real emoji art from the npm registry", make_base.art, ("data.art",)),
    Stage(
        "pixels",
        "draw and import the autoencoder's clips",
        make_base.pixels,
        ("clips", "data.pixels", "data.test", *_DATA),
        ("art",),
        shared=True,
    ),
    Stage(
        "autoencoder",
        "train the autoencoder, on images first",
        make_base.autoencoder,
        ("autoencoder", "autoencoder_schedule"),
        ("pixels",),
        lambda recipe: recipe.autoencoder_schedule,
        shared=True,
    ),
    Stage(
        "latents",
        "draw, import and encode the base's clips",
        make_base.latents,
        ("data.train", "data.test", *_DATA),
        ("autoencoder",),
        shared=True,
    ),
    Stage(
        "text",
        "tokenizer, and the text encoder's first lessons",
        make_base.text,
        ("text",),
        ("latents",),
        _schedule("text"),
    ),
    Stage(
        "base",
        "train the text-to-video base",
        make_base.base,
        ("transformer", "base"),
        ("latents", "text"),
        _schedule("base"),
        shared=True,
    ),
    Stage("model", "write the text-to-video folder", make_base.model, ("sampling",), ("base",)),
    Stage(
        "dataset",
        "draw the emotion stage's clips, as a user's folder",
        make_emotion.dataset,
        ("clips", "emotion.drawn", "emotion.shades", "emotion.real", "emotion.dissolves", "data.train", *_DATA),
        ("art",),
    ),
    Stage(
        "adapter",
        "train_lora.py on them",
        make_emotion.adapter,
        ("emotion",),
        ("model", "dataset"),
    ),
    Stage(
        "trajectories",
        "let the guided model sample what the emotion stage was shown, to be learned in few jumps",
        fast.trajectories,
        ("fast.clips", "fast.between", "fast.schedule.seed", *_DATA),
        ("adapter",),
        shared=True,
    ),
    Stage(
        "fast",
        "distil it into a LoRA for `--preset fast`",
        fast.fast,
        ("fast",),
        ("trajectories",),
        _schedule("fast"),
        shared=True,
    ),
    Stage(
        "turns",
        "draw and encode faces that change",
        make_emotion.turns,
        ("data.train", "data.test", "i2v.steady", *_DATA),
        ("latents",),
        shared=True,
    ),
    Stage(
        "i2v",
        "train the image-to-video base on the text-to-video base",
        make_emotion.i2v,
        ("i2v",),
        ("base", "turns"),
        _schedule("i2v"),
        shared=True,
    ),
    Stage("i2v_model", "write the image-to-video folder", make_emotion.i2v_model, ("sampling",), ("i2v", "model")),
    Stage(
        "i2v_dataset",
        "draw clips that change, as a user's folder",
        make_emotion.i2v_dataset,
        ("clips", "i2v_emotion.drawn", "i2v_emotion.dissolves", *_DATA),
        ("art",),
    ),
    Stage(
        "i2v_adapter",
        "train_lora.py on them",
        make_emotion.i2v_adapter,
        ("i2v_emotion",),
        ("i2v_model", "i2v_dataset"),
    ),
    Stage(
        "reader_clips",
        "draw and import what the readers learn from",
        make_readers.reader_clips,
        ("clips", "data.judge", "data.test", "judge.size", *_DATA),
        ("art",),
        shared=True,
    ),
    Stage(
        "judge",
        "train the first emotion judge",
        make_readers.judge,
        ("judge",),
        ("reader_clips",),
        _schedule("judge"),
        shared=True,
    ),
    Stage(
        "judge_blends",
        "train the second judge: other characters, blends, other people's art",
        make_readers.judge_blends,
        ("judge_blends",),
        ("reader_clips",),
        _schedule("judge_blends"),
        shared=True,
    ),
    Stage(
        "judge_art",
        "train a judge on other people's drawings alone, to ask whether ours are read as they mean",
        make_readers.judge_art,
        ("judge_art",),
        ("reader_clips",),
        _schedule("judge_art"),
        shared=True,
    ),
    Stage(
        "content",
        "train the content reader",
        make_readers.content,
        ("content",),
        ("reader_clips",),
        _schedule("content"),
        shared=True,
    ),
    Stage(
        "wellformed",
        "train the reader of well-formedness",
        make_readers.wellformed,
        ("wellformed",),
        ("reader_clips",),
        _schedule("wellformed"),
        shared=True,
    ),
    Stage(
        "figures",
        "generate held-out prompts and let the readers read them",
        figures,
        ("figures", "sampling"),
        ("adapter", "judge", "judge_blends", "judge_art", "content", "wellformed"),
    ),
    Stage(
        "card",
        "sizes, steps, times and held-out figures of all parts",
        card,
        (),
        ("figures", "i2v_adapter", "fast"),
    ),
    Stage(
        "ship",
        "lay out what the package holds, for emogen/embedded",
        ship,
        (),
        ("model", "adapter", "fast", "i2v_model", "i2v_adapter", *READERS),
    ),
)
