"""Stage of the recipe that trains the embedded judge and the content reader.

The judge sees no clip of the generator: rendered stickers of other content combinations and seeds, other code points
of the animated emoji, and static emoji art of other vendors set in motion by a jiggle. Colour is shaken hard so that
it reads faces and motion, not tints.
"""

from __future__ import annotations

import io
import json
import math
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from emogen.emotion import MIKELS, EmotionState, parse_emotion
from emogen.eval.judges.classifier import ClipClassifier
from emogen.eval.judges.embedded import to_tensor
from emogen.eval.statistics import wilson
from emogen.stickers.fluent import read_table
from emogen.stickers.palette import ACCESSORIES, BACKGROUNDS, BODY_COLORS
from emogen.stickers.shapes import SHAPES
from recipe import clips as stores
from recipe import shades

LABELS = [*MIKELS, "neutral"]
SIZE = 64
VENDORS = {"noto": "Apache-2.0", "twemoji": "CC-BY-4.0", "fluent-emoji-flat": "MIT"}
"""Static art in npm's `@iconify-json/NAME`, and its licence."""
SINGLE = ("rendered", "rendered", "real", "art")
BLENDS = ("rendered", "blends", "real", "art")
DRAWN_BY_OTHERS = ("art", "art", "real", "art")
"""What a judge learns from, in equal parts; what lacks a label is replaced by the first."""


def vendor_art(source: Path, size: int = 128) -> list[tuple[np.ndarray, str, float]]:
    """(RGBA image, emotion, intensity) of every table face of the train and judge splits, by every vendor found."""
    try:
        import resvg_py
    except ImportError as error:
        raise ImportError("the judge's recipe rasterises SVG with resvg-py: pip install 'emogen[recipe]'") from error
    art = []
    for vendor in VENDORS:
        archives = sorted(source.glob(f"iconify-json-{vendor}-*.tgz"))
        if not archives:
            print(f"no @iconify-json/{vendor} in {source} (npm pack @iconify-json/{vendor}): left out")
            continue
        with tarfile.open(archives[-1]) as tar:
            icons = json.load(tar.extractfile("package/icons.json"))
            chars = json.load(tar.extractfile("package/chars.json"))
        for codepoint, row in read_table().items():
            name = chars.get(codepoint) or chars.get(codepoint.removesuffix("-fe0f"))
            if row["split"] not in ("train", "judge") or name not in icons["icons"]:
                continue
            icon = icons["icons"][name]
            width, height = (icon.get(k) or icons.get(k) or 16 for k in ("width", "height"))
            svg = (
                f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
            )
            png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
            image = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
            art.append((image, row["emotion"], float(row["intensity"])))
    return art


def jiggle(image: np.ndarray, rng: np.random.Generator, frames: int = 13, size: int = 96) -> np.ndarray:
    """A clip, uint8 `(frames, size, size, 3)`, of a still RGBA image that bobs and tilts on a plain background."""
    background = list(BACKGROUNDS.values())[rng.integers(len(BACKGROUNDS))]
    picture = Image.fromarray(image)
    scale, sway, bob = rng.uniform(0.72, 0.98), rng.uniform(0, 8), rng.uniform(0, 0.06)
    tempo, phase = rng.integers(1, 4), rng.uniform(0, 6.28)
    out = []
    for index in range(frames):
        a = 2 * math.pi * tempo * index / 12 + phase
        side = round(size * scale)
        one = picture.resize((side, side), Image.BILINEAR).rotate(sway * math.sin(a), Image.BILINEAR)
        canvas = Image.new("RGB", (size, size), background)
        offset = (size - side) // 2
        canvas.paste(one, (offset, offset + round(size * bob * math.cos(a))), one)
        out.append(np.asarray(canvas))
    return np.stack(out)


def shake(clips: torch.Tensor, generator: torch.Generator, color: bool) -> torch.Tensor:
    """Random mirror, crop, blur and brightness a clip; with `color` also a random turn of the hues."""
    b, f, c, h, w = clips.shape
    rand = lambda *s: torch.rand(*s, generator=generator)  # noqa: E731
    angle, zoom = (rand(b) - 0.5) * 0.3, 1 + (rand(b) - 0.5) * 0.3
    flip = torch.where(rand(b) < 0.5, -1.0, 1.0)
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = zoom * angle.cos() * flip, -zoom * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = zoom * angle.sin() * flip, zoom * angle.cos()
    theta[:, :, 2] = (rand(b, 2) - 0.5) * 0.2
    grid = F.affine_grid(theta.repeat_interleave(f, 0), (b * f, c, h, w), align_corners=False)
    x = F.grid_sample(clips.flatten(0, 1), grid, padding_mode="border", align_corners=False)
    if rand(1) < 0.4:
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = x.view(b, f, c, h, w)
    if color:
        turn = (rand(b) - 0.5) * 2 * math.pi * (rand(b) < 0.6)
        cos, sin = turn.cos(), turn.sin()
        third, root = 1 / 3, math.sqrt(1 / 3)
        same = cos + (1 - cos) * third
        up, down = (1 - cos) * third - root * sin, (1 - cos) * third + root * sin
        matrix = torch.stack([same, up, down, down, same, up, up, down, same], -1).view(b, 3, 3)
        x = torch.einsum("bij,bfjhw->bfihw", matrix, x)
    gain, lift = 1 + (rand(b) - 0.5) * 0.3, (rand(b) - 0.5) * 0.16
    x = x * gain.view(b, 1, 1, 1, 1) + lift.view(b, 1, 1, 1, 1)
    return (x + torch.randn(x.shape, generator=generator) * 0.02).clamp(0, 1)


def _small(clips: np.ndarray) -> torch.Tensor:
    x = to_tensor(clips)
    return F.interpolate(x.flatten(0, 1), (SIZE, SIZE), mode="bilinear", antialias=True).view(*x.shape[:3], SIZE, SIZE)


def _state(record: dict) -> EmotionState:
    """A record's emotion; of one with an intensity, at that intensity."""
    state = parse_emotion(record["emotion"])
    return state if "intensity" not in record else state.scaled(record["intensity"])


def _targets(state: EmotionState, by_strength: bool) -> tuple[list[float], list[float]]:
    """Shares of the eight and neutral, and valence and arousal times intensity. What an intensity lacks of 1 goes to
    neutral if `by_strength`; else a weak emotion is as much its own as a strong one."""
    strength = min(1.0, state.intensity) if by_strength else float(not state.is_neutral)
    shares = [strength * share for share in state.distribution]
    return [*shares, 1 - sum(shares)], [min(1.0, state.intensity) * v for v in (state.valence, state.arousal)]


def train_judge(
    folder: Path,
    source: Path | None,
    out: Path,
    *,
    minutes: float,
    mix: tuple[str, ...] = SINGLE,
    seed: int = 0,
    batch: int = 24,
    width: int = 32,
) -> None:
    """Train an emotion judge for `minutes` and save it with its card; held-out accuracy on the test stores.

    Args:
        mix: "rendered" stickers, "real" animated emoji, static "art" of other vendors, and "blends" (of two emotions,
            and points of the plane), which are labelled with their shares; then weak emotions of all kinds are labelled
            as partly neutral.
    """
    blends = "blends" in mix
    if blends:
        shades.write_for_judge(folder, "judge", 3600, 1200)
        shades.write_for_judge(folder, "test", 168, 168)
        between, between_records = stores.load(folder, "shades_judge")
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    rendered, rendered_records = stores.load(folder, "judge_rendered")
    real, real_records = stores.load(folder, "judge_real")
    by_label = {label: [i for i, r in enumerate(real_records) if r["emotion"] == label] for label in LABELS}
    art = vendor_art(source) if source else []
    art_by_label = {label: [i for i, a in enumerate(art) if a[1] == label] for label in LABELS}
    if mix[0] == "art" and not all(art_by_label.values()):
        raise ValueError(f"no art of other vendors for every label in {source}; see VENDORS for what is needed")
    network = ClipClassifier({"emotion": LABELS}, {"valence_arousal": 2}, size=SIZE, frames=4, width=width)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)

    def pick(kind: str, label: str) -> tuple[np.ndarray, dict]:
        if kind == "art" and art_by_label[label]:
            image, emotion, intensity = art[rng.choice(art_by_label[label])]
            return jiggle(image, rng), {"emotion": emotion, "intensity": intensity}
        if kind == "real" and by_label[label]:
            index = rng.choice(by_label[label])
            return real[index], real_records[index]
        if kind in ("art", "real"):
            return pick(mix[0], label)
        store, records = (between, between_records) if kind == "blends" else (rendered, rendered_records)
        index = int(rng.integers(len(store)))
        return store[index], records[index]

    start, step = time.time(), 0
    while (spent := (time.time() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * spent))
        clips, labels, vas = [], [], []
        for k in range(batch):
            label = LABELS[int(rng.integers(len(LABELS)))]
            clip, record = pick(mix[k % len(mix)], label)
            target = _targets(_state(record), blends)
            clips.append(clip)
            labels.append(target[0])
            vas.append(target[1])
        x = shake(_small(np.stack([clip[::4] for clip in clips])), generator, color=True)
        with torch.autocast("cpu", torch.bfloat16):
            read = network(x)
        loss = F.cross_entropy(read["emotion"].float(), torch.tensor(labels), label_smoothing=0.05)
        loss = loss + F.mse_loss(read["valence_arousal"].float(), torch.tensor(vas))
        _step(network, optimizer, loss)
        step += 1
        if step % 50 == 0:
            print(f"judge step {step} loss {loss.item():.3f} {spent:.0%}", flush=True)
    network.eval()
    card = {
        "steps": step,
        "seed": seed,
        "minutes": minutes,
        "training": {
            "rendered": len(rendered) if "rendered" in mix else 0,
            "animated emoji clips": len(real),
            "animated emoji code points": len({r["codepoint"] for r in real_records}),
            "vendor images": len(art),
        },
    }
    if blends:
        card["training"]["blends and points"] = len(between)
    card["held_out"] = {name: held_out(network, *stores.load(folder, name)) for name in ("test_rendered", "test_real")}
    if blends:
        card["held_out_blends"] = held_out_blends(network, *stores.load(folder, "shades_test"))
    network.to(torch.float16).save_pretrained(out)
    (out / "card.json").write_text(json.dumps(card, indent=1))
    print(json.dumps(card, indent=1))


@torch.no_grad()
def held_out(network: ClipClassifier, clips: np.ndarray, records: list[dict]) -> dict:
    """Eight-way accuracy with its interval, recall a category, and valence accuracy, over the expressive clips."""
    keep = [i for i, r in enumerate(records) if r["emotion"] != "neutral"]
    logits = torch.cat([network(to_tensor(clips[keep[k : k + 32]]))["emotion"][:, :8] for k in range(0, len(keep), 32)])
    shares = logits.softmax(-1)
    truth = torch.tensor([LABELS.index(records[i]["emotion"]) for i in keep])
    right = shares.argmax(-1) == truth
    sign = (shares[:, :4].sum(1) > 0.5) == (truth < 4)
    codepoints = {records[i].get("codepoint", i) for i in keep}
    low, high = wilson(int(right.sum()), len(keep))
    return {
        "n": len(keep),
        "different characters": len(codepoints),
        "EA-8": round(right.float().mean().item(), 4),
        "EA-8 Wilson": [round(low, 4), round(high, 4)],
        "EA-2": round(sign.float().mean().item(), 4),
        "recall": {name: round(right[truth == i].float().mean().item(), 3) for i, name in enumerate(MIKELS)},
    }


@torch.no_grad()
def held_out_blends(network: ClipClassifier, clips: np.ndarray, records: list[dict]) -> dict:
    """Of blends, whether the two largest shares are the two drawn; of points, how their readings correlate."""
    reads = [network(to_tensor(clips[k : k + 32])) for k in range(0, len(clips), 32)]
    largest = torch.cat([r["emotion"] for r in reads])[:, :8].topk(2).indices.sort().values
    va = torch.cat([r["valence_arousal"] for r in reads]).numpy()
    states = [_state(r) for r in records]
    two = [i for i, r in enumerate(records) if "+" in r["emotion"]]
    truth = torch.tensor([state.distribution for state in states])[two].topk(2).indices.sort().values
    right = (largest[two] == truth).all(1)
    points = [i for i, r in enumerate(records) if r["emotion"].startswith("va:")]
    drawn = np.array([_targets(states[i], True)[1] for i in points])
    low, high = wilson(int(right.sum()), len(two))
    r = [round(float(np.corrcoef(va[points, axis], drawn[:, axis])[0, 1]), 3) for axis in (0, 1)]
    return {
        "blends": len(two),
        "both right": round(right.float().mean().item(), 4),
        "Wilson": [round(low, 4), round(high, 4)],
        "points": len(points),
        "valence r": r[0],
        "arousal r": r[1],
    }


def train_content(folder: Path, out: Path, *, minutes: float, seed: int = 0, batch: int = 24) -> None:
    """Train the content reader (shape, colour, background, accessory, style) and save it with its card."""
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    rendered, records = stores.load(folder, "judge_rendered")
    real, real_records = stores.load(folder, "judge_real")
    heads = {
        "shape": list(SHAPES),
        "color": list(BODY_COLORS),
        "background": list(BACKGROUNDS),
        "accessory": list(ACCESSORIES),
        "style": ["rendered", "real"],
    }
    network = ClipClassifier(heads, size=SIZE, frames=2, pool=4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    start, step = time.time(), 0
    while (spent := (time.time() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * spent))
        picks = [(real, real_records) if k % 4 == 3 else (rendered, records) for k in range(batch)]
        chosen = [(store, recs, int(rng.integers(len(recs)))) for store, recs in picks]
        x = shake(_small(np.stack([store[i][::12] for store, _, i in chosen])), generator, color=False)
        with torch.autocast("cpu", torch.bfloat16):
            read = network(x)
        loss = 0.0
        for name, classes in heads.items():
            values = [recs[i]["domain"] if name == "style" else recs[i].get(name, "") for _, recs, i in chosen]
            target = torch.tensor([classes.index(v) if v in classes else -100 for v in values])
            loss = loss + F.cross_entropy(read[name].float(), target, ignore_index=-100)
        _step(network, optimizer, loss)
        step += 1
        if step % 50 == 0:
            print(f"content step {step} loss {loss.item():.3f} {spent:.0%}", flush=True)
    network.eval()
    test, test_records = stores.load(folder, "test_rendered")
    with torch.no_grad():
        reads = [network(to_tensor(test[k : k + 32])) for k in range(0, len(test), 32)]
    right = {}
    for name in ("shape", "color", "background", "accessory"):
        guess = torch.cat([r[name] for r in reads]).argmax(-1)
        truth = torch.tensor([heads[name].index(r[name]) for r in test_records])
        right[name] = round((guess == truth).float().mean().item(), 4)
    network.to(torch.float16).save_pretrained(out)
    (out / "card.json").write_text(json.dumps({"steps": step, "n": len(test), "accuracy": right}, indent=1))
    print(right)


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
