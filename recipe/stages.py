"""What each stage of the recipe reads and writes; the work itself is in the modules beside this one."""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch

from recipe import base as base_stage
from recipe import clips as stores
from recipe import i2v as i2v_stage
from recipe import judge as judge_stage
from recipe import shades as shades_stage
from recipe import text as text_stage
from recipe import turns as turns_stage
from recipe import vae as vae_stage
from recipe.latents import encode_store, load_latents
from recipe.loop import Phase

MAX_CLIPS = 4500
"""Rendered clips encoded as clips; encoding is a tenth of the base's time, and single frames give the variety."""
MAX_STEADY = 1400
"""Real clips of one expression from start to end that image-to-video learns from, beside those that change."""
BASE_PHASES = (39.5, 107.0)
I2V_MINUTES = (50.0,)
VAE_PHASES = (6.0, 22.0)


def clips(args: argparse.Namespace) -> None:
    stores.run(args.work / "clips", args.source)


def vae(args: argparse.Namespace) -> None:
    minutes = args.minutes or VAE_PHASES
    rendered, _ = stores.load(args.work / "clips", "train_rendered")
    real, _ = stores.load(args.work / "clips", "train_real")
    held_out = {name: stores.load(args.work / "clips", name)[0][::23] for name in ("test_rendered", "test_real")}
    vae_stage.train(
        [rendered, real], held_out, args.work, minutes_images=minutes[0], minutes_clips=minutes[1], threads=args.threads
    )


def _load_vae(args: argparse.Namespace) -> vae_stage.AutoencoderKLWan:
    model = vae_stage.AutoencoderKLWan(**vae_stage.VAE_CONFIG)
    model.load_state_dict(torch.load(args.work / "vae_state.pt", weights_only=True)["vae"])
    return model.eval()


def latents(args: argparse.Namespace) -> None:
    model = _load_vae(args)
    statistics = args.work / "latent_statistics.json"
    rendered, _ = stores.load(args.work / "clips", "train_rendered")
    real, _ = stores.load(args.work / "clips", "train_real")
    if not statistics.exists():
        vae_stage.calibrate(model, np.concatenate([rendered[::90], real[::40]]))
        values = {k: list(model.config[k]) for k in ("latents_mean", "latents_std")}
        statistics.write_text(json.dumps(values))
    model.register_to_config(**json.loads(statistics.read_text()))
    for kind in ("images", "clips"):
        for name, store in (("train_real", real), ("train_rendered", rendered)):
            count = min(len(store), MAX_CLIPS) if kind == "clips" else len(store)
            encode_store(model, args.work / "clips" / f"{name}.npy", count, args.work / name, kind, args.threads)


def _records(args: argparse.Namespace) -> tuple[list[dict], list[dict]]:
    return tuple(stores.load(args.work / "clips", name)[1] for name in ("train_rendered", "train_real"))


def _corpus(rendered: list[dict], real: list[dict]) -> list[str]:
    words = [w for forms in text_stage.EMOTION_WORDS.values() for w in forms]
    extra = [
        "the video is in the emotion .",
        "animated sticker of an emoji",
        " ".join(words),
        " ".join(stores.EMOTIONS),
        "happy joyful cheerful smiling calm surprised shocked frightened joy happiness surprise , feeling emotion",
    ]
    return [r["caption"] for r in (*rendered, *real)] + extra * 3


def text(args: argparse.Namespace) -> None:
    if (args.work / "text_encoder.pt").exists():
        return
    rendered, real = _records(args)
    tokenizer = text_stage.build_tokenizer(_corpus(rendered, real), args.work)
    encoder = text_stage.build_encoder(len(tokenizer))

    def draw(rng: np.random.Generator) -> tuple[str, dict[str, str]]:
        record = rendered[rng.integers(len(rendered))] if rng.random() < 0.6 else real[rng.integers(len(real))]
        caption = base_stage.caption_of(record, rng, 0.0)
        emotion = record["emotion"] if record["emotion"] != "neutral" and rng.random() < 0.5 else ""
        background = record.get("background", "")
        said = {
            "shape": record.get("shape") or record.get("character") or caption.split(" on a ")[0],
            "color": record.get("color", ""),
            "background": background if f"on a {background} background" in caption else "",
            "accessory": record.get("accessory", ""),
            "emotion": emotion,
        }
        return (text_stage.with_emotion_word(caption, emotion, rng) if emotion else caption), said

    text_stage.pretrain(encoder, tokenizer, draw, length=base_stage.TEXT_LENGTH)
    torch.save(encoder.state_dict(), args.work / "text_encoder.pt")


def _load_text(args: argparse.Namespace):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(args.work / "tokenizer")
    encoder = text_stage.build_encoder(len(tokenizer))
    encoder.load_state_dict(torch.load(args.work / "text_encoder.pt", weights_only=True))
    return tokenizer, encoder


def base(args: argparse.Namespace) -> None:
    minutes = args.minutes or BASE_PHASES
    rendered, real = _records(args)
    tokenizer, encoder = _load_text(args)
    chosen = {
        "train_rendered": [(list(range(len(rendered))), rendered, 0.50)],
        "train_real": [
            ([i for i, r in enumerate(real) if r["expressive"]], real, 0.42),
            ([i for i, r in enumerate(real) if not r["expressive"]], real, 0.08),
        ],
    }
    sources = []
    for name, parts in chosen.items():
        clips, images = (load_latents(args.work / name, kind) for kind in ("clips", "images"))
        for rows, records, weight in parts:
            short = None if clips is None else clips[[i for i in rows if i < len(clips)]]
            sources.append(base_stage.Source(short, images[rows], [records[i] for i in rows], weight))
    phases = [Phase("images", 1, 16, minutes[0], 1.2e-3, 6e-4)]
    if len(minutes) > 1:
        phases.append(Phase("clips", sources[0].clips.shape[2], 12, minutes[1], 9e-4, 2e-5))
    base_stage.train(sources, tokenizer, encoder, args.work, phases)


def export(args: argparse.Namespace) -> None:
    from recipe.export import export as write

    vae = _load_vae(args)
    vae.register_to_config(**json.loads((args.work / "latent_statistics.json").read_text()))
    tokenizer, encoder = _load_text(args)
    write(args.work, vae, tokenizer, encoder, args.out or args.work / "model")


def turns(args: argparse.Namespace) -> None:
    turns_stage.write_rendered(args.work / "clips")
    if args.source is not None:
        turns_stage.write_real(args.work / "clips", args.source)
    model = _load_vae(args)
    model.register_to_config(**json.loads((args.work / "latent_statistics.json").read_text()))
    for name, kinds in (("turns_real", ("clips", "conditions")), ("turns_rendered", ("clips", "conditions")),
                        ("train_real", ("conditions",))):  # fmt: skip
        store, _ = stores.load(args.work / "clips", name)
        count = min(len(store), MAX_STEADY) if name == "train_real" else len(store)
        for kind in kinds:
            encode_store(model, args.work / "clips" / f"{name}.npy", count, args.work / name, kind, args.threads)


def i2v(args: argparse.Namespace) -> None:
    from diffusers import WanTransformer3DModel

    sources = []
    for name, weight in (("turns_rendered", 0.42), ("turns_real", 0.38), ("train_real", 0.20)):
        pixels, records = stores.load(args.work / "clips", name)
        conditions = load_latents(args.work / name, "conditions")
        count = len(conditions)
        latents = load_latents(args.work / name, "clips")[:count]
        frames = np.ascontiguousarray(pixels[:count, 0])
        sources.append(i2v_stage.Source(latents, conditions, frames, records[:count], weight))
    tokenizer, encoder = _load_text(args)
    base = WanTransformer3DModel(**base_stage.TRANSFORMER_CONFIG)
    state = torch.load(args.work / "base_ema.pt", weights_only=True)
    base.load_state_dict({k.removeprefix("transformer."): v for k, v in state.items() if k.startswith("transformer.")})
    encoder.load_state_dict({k.removeprefix("text_encoder."): v for k, v in state.items() if k.startswith("text_")})
    phase = Phase("clips", sources[0].clips.shape[2], 12, (args.minutes or I2V_MINUTES)[0], 8e-4, 2e-5)
    i2v_stage.train(sources, base, tokenizer, encoder, args.work, [phase])


def export_i2v(args: argparse.Namespace) -> None:
    from recipe.export import export_i2v as write

    write(args.work, args.out or args.work / "i2v_model")


def dataset(args: argparse.Namespace) -> None:
    from recipe.dataset import write_dataset

    shades_stage.write_rendered(args.work / "clips")
    if args.source is not None:
        shades_stage.write_real(args.work / "clips", args.source)
    write_dataset(args.work / "clips", args.out or args.work / "emotion_dataset")


def dataset_i2v(args: argparse.Namespace) -> None:
    from recipe.dataset import write_turns

    write_turns(args.work / "clips", args.out or args.work / "turns_dataset")


def judge(args: argparse.Namespace) -> None:
    minutes = args.minutes or (8.0,)
    judge_stage.train_judge(args.work / "clips", args.source, args.out or args.work / "judge", minutes=minutes[0])


def judge_blends(args: argparse.Namespace) -> None:
    minutes = args.minutes or (10.0,)
    judge_stage.train_judge(args.work / "clips", args.source, args.out or args.work / "judge_blends",
                            minutes=minutes[0], mix=judge_stage.BLENDS, seed=1, width=24)  # fmt: skip


def judge_art(args: argparse.Namespace) -> None:
    minutes = args.minutes or (8.0,)
    judge_stage.train_judge(args.work / "clips", args.source, args.out or args.work / "judge_art",
                            minutes=minutes[0], mix=judge_stage.DRAWN_BY_OTHERS, seed=2, width=24)  # fmt: skip


def content(args: argparse.Namespace) -> None:
    minutes = args.minutes or (4.0,)
    judge_stage.train_content(args.work / "clips", args.out or args.work / "content", minutes=minutes[0])
