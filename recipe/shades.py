"""Clips for what lies between the eight and between two moments: blends, points of the plane, changes over time.

Every one is labelled with the text that `emotion=` takes, and a drawn one shows exactly what that text means.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emogen.emotion import MIKELS, EmotionArc, EmotionState, parse_emotion_or_arc
from emogen.stickers.content import caption, combinations, sample_spec
from emogen.stickers.render import StickerSpec, render
from recipe import clips as stores
from recipe.turns import dissolve, round_faces

BLENDS, POINTS, CHANGES, NIGHTS, REAL_CHANGES, SEED = 3000, 900, 1200, 500, 500, 53


def blend(rng: np.random.Generator) -> str:
    """Two emotions of about equal weight."""
    first, second = rng.choice(MIKELS, 2, replace=False)
    share = rng.uniform(0.35, 0.65)
    strength = 1.0 if rng.random() < 0.7 else rng.uniform(0.4, 1.0)
    return f"{first}:{share * strength:.2f}+{second}:{(1 - share) * strength:.2f}"


def point(rng: np.random.Generator) -> str:
    valence, arousal = rng.uniform(-1, 1, 2)
    return f"va:{valence:.2f},{arousal:.2f}"


def change(rng: np.random.Generator) -> str:
    """An arc from one emotion, or from none, to another: at once, all along, or within a part of the clip."""
    first, last = (str(name) for name in rng.choice(MIKELS, 2, replace=False))
    kind = rng.random()
    if kind < 0.35:
        first = "neutral"
    elif kind < 0.5:
        last = "neutral"
    way = rng.random()
    if way < 0.4:
        return f"0:{first}@hold {rng.uniform(0.25, 0.75):.2f}:{last}"
    if way < 0.7:
        return f"0:{first} 1:{last}"
    start = rng.uniform(0.1, 0.5)
    return f"{start:.2f}:{first}@ease {min(1.0, start + rng.uniform(0.2, 0.5)):.2f}:{last}"


def states_of(text: str, num_frames: int) -> list[EmotionState]:
    """What every video frame shows."""
    emotion = parse_emotion_or_arc(text)
    if isinstance(emotion, EmotionArc):
        return emotion.sampled(num_frames, temporal_factor=1)
    return [emotion] * num_frames


def write_for_judge(folder: Path, split: str, blends: int, points: int) -> None:
    """Blends and points of the judge's or the test's own contents; a finished store is left as it is."""
    name = f"shades_{split}"
    if stores.is_done(folder, name):
        return
    rng = np.random.default_rng(stores.SEEDS[split] + SEED)
    plan = [*[blend] * blends, *[point] * points]
    clips, records = stores.open_store(folder, name, len(plan)), []
    for index, kind in enumerate(tqdm(plan, desc=f"draw shades for {split}", mininterval=10)):
        text, spec = kind(rng), sample_spec(rng, split, "neutral")
        clips[index] = render(spec, stores.FRAMES, stores.SIZE, stores.FPS, states_of(text, stores.FRAMES))
        records.append(_record(spec, rng, text))
    stores.close_store(folder, name, clips, records)


def write_rendered(folder: Path) -> None:
    """Draw them; a finished store is left as it is."""
    if stores.is_done(folder, "shades_rendered"):
        return
    rng = np.random.default_rng(SEED)
    plan = [*[blend] * BLENDS, *[point] * POINTS, *[change] * CHANGES, *[None] * NIGHTS]
    dark = [content for content in combinations("train") if content[2] == "black"]
    clips, records = stores.open_store(folder, "shades_rendered", len(plan)), []
    for index, kind in enumerate(tqdm(plan, desc="draw shades", mininterval=10)):
        if kind is None:  # on black, where lines are hard to see, a plain emotion takes more clips to learn
            spec = sample_spec(rng, "train", stores.EMOTIONS[index % len(stores.EMOTIONS)])
            shape, color, background = dark[rng.integers(len(dark))]
            spec = replace(spec, shape=shape, color=color, background=background)
            clips[index] = render(spec, stores.FRAMES, stores.SIZE, stores.FPS)
            records.append(_record(spec, rng, spec.emotion, intensity=spec.intensity))
            continue
        text, spec = kind(rng), sample_spec(rng, "train", "neutral")
        clips[index] = render(spec, stores.FRAMES, stores.SIZE, stores.FPS, states_of(text, stores.FRAMES))
        records.append(_record(spec, rng, text))
    stores.close_store(folder, "shades_rendered", clips, records)


def _record(spec: StickerSpec, rng: np.random.Generator, emotion: str, **more: float) -> dict:
    return {"caption": caption(spec), "short": caption(spec, rng), "domain": "rendered", "emotion": emotion, **more}


def write_real(folder: Path, source: Path) -> None:
    """Dissolve real faces of one body into each other, and say when."""
    if stores.is_done(folder, "shades_real"):
        return
    rng, body = np.random.default_rng(SEED + 1), round_faces(source)
    end = stores.FRAMES - 1
    clips, records = stores.open_store(folder, "shades_real", REAL_CHANGES), []
    for index in tqdm(range(REAL_CHANGES), desc="dissolve faces", mininterval=10):
        names = rng.choice(stores.EMOTIONS, 2, replace=False)
        first, last = (body[name][rng.integers(len(body[name]))] for name in names)
        hold, ramp = int(rng.integers(2, 7)), int(rng.integers(1, 6))
        labels = [emoji.emotion if emoji.emotion == "neutral" else f"{emoji.emotion}:{emoji.intensity}"
                  for emoji in (first, last)]  # fmt: skip
        clips[index], about = dissolve(rng, first, last, hold, ramp)
        arc = f"{(hold - 1) / end:.3f}:{labels[0]}@ease {(hold - 1 + ramp) / end:.3f}:{labels[1]}"
        records.append({**about, "emotion": arc})
    stores.close_store(folder, "shades_real", clips, records)
