"""Clips whose expression changes, for the image-to-video model: the first frame says who, the condition what next."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emogen.emotion import MIKELS
from emogen.stickers import fluent
from emogen.stickers.content import caption, sample_spec
from emogen.stickers.palette import BACKGROUNDS
from emogen.stickers.render import render
from emogen.stickers.transition import read_transition, transition_states
from recipe import clips as stores

RENDERED, REAL, SEED = 2100, 1500, 41
NEUTRAL_START = 0.7
"""Share of clips that begin neutral; the others begin with another emotion."""


def _start(rng: np.random.Generator, emotion: str) -> str:
    if emotion != "neutral" and rng.random() < NEUTRAL_START:
        return "neutral"
    return str(rng.choice([name for name in MIKELS if name != emotion]))


def write_rendered(folder: Path, count: int = RENDERED) -> None:
    """Draw `count` changing stickers, the nine labels in turn; a finished store is left as it is."""
    if stores.is_done(folder, "turns_rendered"):
        return
    rng = np.random.default_rng(SEED)
    clips, records = stores.open_store(folder, "turns_rendered", count), []
    for index in tqdm(range(count), desc="draw changes", mininterval=10):
        spec = sample_spec(rng, "train", stores.EMOTIONS[index % len(stores.EMOTIONS)], full_strength=0.8)
        start = _start(rng, spec.emotion)
        states = transition_states((start, 1.0), (spec.emotion, spec.intensity), stores.FRAMES,
                                   int(rng.integers(1, 3)), int(rng.integers(3, 6)))  # fmt: skip
        clips[index] = render(spec, stores.FRAMES, stores.SIZE, stores.FPS, states)
        records.append({"caption": caption(spec), "short": caption(spec, rng), "domain": "rendered", "start": start,
                        **spec.to_dict()})  # fmt: skip
    stores.close_store(folder, "turns_rendered", clips, records)


def write_real(folder: Path, source: Path, count: int = REAL) -> None:
    """Dissolve real faces of one body into each other, the nine labels in turn."""
    if stores.is_done(folder, "turns_real"):
        return
    rng, body = np.random.default_rng(SEED + 1), round_faces(source)
    clips, records = stores.open_store(folder, "turns_real", count), []
    for index in tqdm(range(count), desc="dissolve faces", mininterval=10):
        emotion = stores.EMOTIONS[index % len(stores.EMOTIONS)]
        start = _start(rng, emotion)
        first, last = (body[name][rng.integers(len(body[name]))] for name in (start, emotion))
        clips[index], about = dissolve(rng, first, last, 1, int(rng.integers(2, 4)))
        records.append({**about, "start": start, "emotion": emotion, "intensity": last.intensity})
    stores.close_store(folder, "turns_real", clips, records)


def round_faces(source: Path) -> dict[str, list[fluent.FluentEmoji]]:
    """The training split's faces that share the commonest body, the round yellow one, by emotion."""
    bodies: dict[str, dict[str, list[fluent.FluentEmoji]]] = defaultdict(lambda: defaultdict(list))
    for emoji in fluent.find_emoji(source):
        if emoji.split == "train" and emoji.expressive and fluent.is_animated(emoji):
            bodies[emoji.caption][emoji.emotion].append(emoji)
    return max(bodies.values(), key=lambda by_emotion: sum(map(len, by_emotion.values())))


def dissolve(
    rng: np.random.Generator, first: fluent.FluentEmoji, last: fluent.FluentEmoji, hold: int, ramp: int
) -> tuple[np.ndarray, dict]:
    """One face turning into another, in a random colour on a random background: the clip, and what it shows."""
    frames = read_transition(first, last, stores.SIZE, stores.FRAMES, hold, ramp, int(rng.integers(-4, 5)))
    color = last.color
    if rng.random() < 0.45:
        color = str(rng.choice(stores.HUES))
        frames = fluent.hue_shift(frames, color)
    background = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
    content = last.caption.replace(last.color, color)
    return stores.over(frames, BACKGROUNDS[background]), {
        "caption": f"{content} on a {background} background", "short": content, "domain": "real",
        "codepoint": last.codepoint, "from": first.codepoint, "color": color, "background": background,
    }  # fmt: skip
