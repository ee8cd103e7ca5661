"""Maps of clips: features laid out on a plane, drawn by emotion, by domain and by film, with a frame of each clip."""

from __future__ import annotations

import base64
import io
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Picture, Settings
from emogen.analysis.plots import COLOURS, INK, QUIET, SERIES
from emogen.emotion import MIKELS
from emogen.extras import how_to_install
from emogen.media.reader import iterate_frames

MAPPED = 2000
"""Clips on a map."""
_SIZE = 480
_MANY = ("#0b5d8f", "#c4570a", "#4b8b3b", "#7a4fa3", "#b5273d", "#1a9a9a", "#8a6d1f", "#d06bb0", "#5577dd", "#777777")
_SIDE = 72  # pixels of a clip's frame
_SHAPES = 2


def laid_out(features: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Which clips are on the map, and where, `[places, 2]`.

    Raises:
        ValueError: UMAP is asked for and not installed.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    places = np.arange(len(features))
    if len(places) > MAPPED:
        places = np.sort(np.random.default_rng(settings.seed).choice(places, MAPPED, replace=False))
    points = features[places]
    if points.shape[1] > 50 and len(points) > 50:
        points = PCA(50, random_state=settings.seed).fit_transform(points)
    with threadpool_limits(1):  # threads that wait by spinning: two took three times the work of one
        return places, _plane(points, settings)


def _plane(points: np.ndarray, settings: Settings) -> np.ndarray:
    if settings.mapping == "umap":
        try:
            from umap import UMAP
        except ImportError as error:
            raise ValueError(f"--map umap needs umap-learn: {how_to_install('umap')}") from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one seed means one thread
            return UMAP(n_neighbors=min(15, len(points) - 1), random_state=settings.seed).fit_transform(points)
    from sklearn.manifold import TSNE

    perplexity = min(30, (len(points) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=settings.seed).fit_transform(points)


def map_rows(clips: Clips, places: np.ndarray, at: np.ndarray) -> list[dict]:
    """A row a clip of the map, for the table."""
    ids, domains, films = clips.text("clip_id"), clips.text("domain"), clips.text("group")
    return [
        {"clip_id": ids[place], "x": round(float(x), 3), "y": round(float(y), 3),
         "emotion": MIKELS[clips.label[place]], "domain": domains[place], "film": films[place]}
        for place, (x, y) in zip(places, at, strict=True)
    ]  # fmt: skip


def map_pictures(rows: Sequence[Mapping], mapping: str, seen: Mapping[str, str]) -> dict[str, Picture]:
    """The map by emotion; by domain and by film where there are several."""
    name = {"tsne": "t-SNE", "umap": "UMAP"}[mapping]
    hint = "point at a dot, or tap it, to see its clip"
    pictures = {
        "map": Picture(f"A {name} map of the clips by emotion; {hint}.", _svg(rows, "emotion", COLOURS), seen=seen)
    }
    for key, file in (("domain", "map_domain"), ("film", "map_film")):
        common = Counter(row[key] for row in rows if row[key]).most_common(len(_MANY) - 1)
        # colours for every clip's own group say nothing
        if len(common) > 1 and common[0][1] > 1:
            colours = {value: colour for (value, _), colour in zip(common, _MANY, strict=False)}
            grey = "; grey: the others" if any(row[key] not in colours for row in rows) else ""
            caption = f"The same map by {key}{grey}."
            pictures[file] = Picture(caption, _svg(rows, key, colours), seen=seen)
    return pictures


def thumbnails(clips: Clips, places: np.ndarray, most: int) -> dict[str, str]:
    """Clip id -> a frame of its middle as a `data:` address, of at most so many clips, spread over the map. A clip that
    cannot be read has none."""
    chosen = places if len(places) <= most else places[np.linspace(0, len(places) - 1, most).astype(int)]
    found = {}
    for place in chosen if most else ():
        path = clips.path(place)
        if path is None or not path.is_file():
            continue
        inside = clips.text("folder")[place] is not None
        start, length = (float(np.nan_to_num(clips.numbers(key)[place])) for key in ("start", "duration"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                middle = (start if inside else 0.0) + length / 2
                frame, _ = next(iterate_frames(path, num_frames=1, start=middle), (None, 0.0))
                if frame is None:
                    frame, _ = next(iterate_frames(path, num_frames=1))
        except (OSError, ValueError, StopIteration):
            continue
        picture = Image.fromarray(frame)
        picture.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=60)
        found[clips.text("clip_id")[place]] = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return found


def _svg(rows: Sequence[Mapping], key: str, colours: Mapping[str, str]) -> str:
    """Dots that say their clip. Domains have shapes."""
    x, y = np.array([row["x"] for row in rows]), np.array([row["y"] for row in rows])
    scale = (_SIZE - 30) / max(np.ptp(x), np.ptp(y), 1e-9)
    x, y = 15 + (x - x.min()) * scale, 15 + (y.max() - y) * scale
    domains = sorted({row["domain"] or "" for row in rows})
    r = 3.6 if len(rows) < 400 else 2.4
    dots = []
    for row, a, b in zip(rows, x, y, strict=True):
        said = f"{row['clip_id']}: {row['emotion']}" + (f", {row['domain']}" if row["domain"] else "")
        kind = ("circle", "rect")[domains.index(row["domain"] or "") % _SHAPES]
        place = (
            f'cx="{a:.1f}" cy="{b:.1f}" r="{r}"'
            if kind == "circle"
            else f'x="{a - r:.1f}" y="{b - r:.1f}" width="{2 * r}" height="{2 * r}"'
        )
        colour = colours.get(row[key], QUIET if key != "emotion" else SERIES[0])
        name = escape(str(row["clip_id"]), quote=True)
        dots.append(f'<{kind} {place} fill="{colour}" fill-opacity=".72" data-clip="{name}">'
                    f"<title>{escape(said)}</title></{kind}>")  # fmt: skip
    lines = -(-len(colours) // 4)
    legend = "".join(
        f'<g transform="translate({15 + (k % 4) * 115},{_SIZE + 14 + (k // 4) * 20})">'
        f'<circle r="5" fill="{colour}"/>'
        f'<text x="10" y="4" font-size="12" fill="{INK}">{escape(_short(str(value)))}</text></g>'
        for k, (value, colour) in enumerate(colours.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE + 8 + 20 * lines}" width="{_SIZE}" '
        f'font-family="system-ui,sans-serif">{"".join(dots)}{legend}</svg>'
    )


def _short(text: str) -> str:
    return text if len(text) <= 15 else f"...{text[-12:]}"
