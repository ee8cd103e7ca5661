"""Words: which phrases of captions go with an emotion, and whether captions name the emotion at all.

A caption counts once a group (film, character). Two to four words in a row that neither begin nor end with a stop
word are a phrase, which counts once a caption; of a phrase that stands only inside a longer one, the longer is shown.
Phrases are ranked by log-odds with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008), which holds back
rare ones, beside the plain counts that the paper shows.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from emogen.analysis.clips import Clips
from emogen.analysis.interface import Analysis, Found, NotPossible, Picture, Result, Settings, register
from emogen.analysis.intervals import group_interval
from emogen.analysis.plots import COLOURS, INK, SERIES, dots, draw, picture, pictured
from emogen.emotion import MIKELS, parse_emotion
from emogen.emotion.evidence import word_set
from emogen.emotion.scrubber import scrub_emotion_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STOP = word_set(
    "a an the and or but of in on at to from by with for as into onto over under is are was were be been being it its "
    "this that these those he she they his her their him them there here who which what when where while then than "
    "so very has have had do does did not no can could will would i you we my our your up down out off about through"
)
_TOP = 5
_PRIOR = 500.0  # phrases counted beforehand for each emotion, spread as in all captions
_MIN = 3  # captions that must hold a phrase
_SLOTS = 1 << 24


def run(clips: Clips, settings: Settings) -> Found:
    """Phrases by emotion, and emotion words in captions."""
    clips = clips.labelled
    captions = clips.text("caption")
    there = np.array([bool(text and text.strip()) for text in captions], bool)
    if not there.any():
        raise NotPossible("No labelled clip has a caption; add captions with `emogen data caption`.")
    clips, captions = clips.where(there), captions[there]
    leaks, leak_table, removed = _leakage(clips, captions, settings)
    once = _once(captions, clips)
    counts = phrase_counts([captions[place] for place in once], clips.label[once])
    rows = _top(counts)
    warnings = []
    if not rows:
        warnings.append(f"No phrase stands in {_MIN} captions, so that none can be ranked.")
    share = leaks[0]
    if (share.value or 0) > 0.05:
        warnings.append(
            "Captions name emotions: a model trained on them takes emotion from the words. Training takes such words "
            "out (`scrub_captions`)."
        )
    sentence = f"{share.value:.0%} of {len(clips):,} captions hold a word of emotion"
    if share.value:
        agree = leaks[1]
        if agree.value is not None:
            sentence += f"; where its reading is one of the eight, {agree.value:.0%} name the label itself"
    best = max(rows, key=lambda row: row["z"], default=None)
    if best and best["z"] > 1.96:
        sentence += f'. The phrase most typical of {best["emotion"]} is "{best["phrase"]}"'
    pictures = {"leakage": _draw_leakage(leak_table)}
    if rows:
        said = "The phrases most typical of each emotion (the highest z first)."
        pictures["phrases"] = pictured(lambda columns: _draw_phrases(rows, columns), said)
    results = [*leaks, *(
        Result(f"{r['emotion']}: {r['phrase']}", r["log_odds"], r["low"], r["high"], r["captions"],
               f"z = {r['z']:.1f}; {r['elsewhere']} captions elsewhere; interval takes captions as independent")
        for r in rows
    )]  # fmt: skip
    tables = {"phrases": rows, "leakage": leak_table, "emotion_words": removed, "frequent_phrases": _frequent(counts)}
    return Found(f"{sentence}.", results, pictures, tables, warnings)


def phrases(caption: str) -> set[str]:
    """Two to four words in a row, within a sentence, that neither begin nor end with a stop word."""
    found = set()
    for part in re.split(r"[.!?,;:()\"]+", caption.lower()):
        words = re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", part)
        for size in (2, 3, 4):
            for start in range(len(words) - size + 1):
                piece = words[start : start + size]
                if piece[0] not in STOP and piece[-1] not in STOP:
                    found.add(" ".join(piece))
    return found


def _once(captions: np.ndarray, clips: Clips) -> np.ndarray:
    """Places of the captions, each once a group and emotion."""
    seen, kept = set(), []
    for place, text in enumerate(captions):
        key = (clips.group[place], clips.label[place], text)
        if key not in seen:
            seen.add(key)
            kept.append(place)
    return np.array(kept)


def phrase_counts(captions: Sequence[str], label: np.ndarray) -> dict[str, np.ndarray]:
    """Phrase -> captions of each emotion `[8]` that hold it; phrases in fewer than `_MIN` captions are left out, and
    those that stand only inside a longer one."""
    may = _frequent_enough(captions)
    counted: dict[str, np.ndarray] = {}
    for text, k in zip(captions, label, strict=True):
        for phrase in phrases(text):
            if may(phrase):
                counted.setdefault(phrase, np.zeros(len(MIKELS), np.int32))[k] += 1
    total = {phrase: int(counts.sum()) for phrase, counts in counted.items()}
    kept = {phrase for phrase, count in total.items() if count >= _MIN}
    for phrase in sorted(kept, key=lambda phrase: -phrase.count(" ")):
        words = phrase.split()
        for start in range(len(words)):
            for end in range(start + 2, len(words) + 1):
                inner = " ".join(words[start:end])
                if inner != phrase and inner in kept and total[inner] == total[phrase]:
                    kept.discard(inner)
    return {phrase: counted[phrase].astype(float) for phrase in sorted(kept)}


def _frequent_enough(captions: Sequence[str]) -> Callable[[str], bool]:
    """Says of a phrase whether `_MIN` captions may hold it: False is sure. Most phrases stand in one caption alone, and
    keeping them all would make memory grow with the captions; so they are first counted in slots that several share."""
    slots = np.zeros(_SLOTS, np.uint8)
    for text in captions:
        places = np.fromiter({_slot(phrase) for phrase in phrases(text)}, np.int64)
        slots[places] = np.minimum(slots[places] + 1, _MIN)
    return lambda phrase: slots[_slot(phrase)] >= _MIN


def _slot(phrase: str) -> int:
    return zlib.crc32(phrase.encode()) % _SLOTS


def log_odds(counts: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds ratio of each word in one class against the rest, and its standard error.

    Args:
        counts: `[classes, words]`.
        prior: `[words]`, counted beforehand in a class; in the rest, once for every other class.
    """
    total = counts.sum(0)
    n, all_n, a = counts.sum(1, keepdims=True), counts.sum(), prior.sum()
    rest, rest_prior = total - counts, prior * (len(counts) - 1)
    one = (counts + prior) / (n + a - counts - prior)
    other = (rest + rest_prior) / (all_n - n + a * (len(counts) - 1) - rest - rest_prior)
    return np.log(one / other), np.sqrt(1 / (counts + prior) + 1 / (rest + rest_prior))


def _top(counts: dict[str, np.ndarray]) -> list[dict]:
    if not counts:
        return []
    names = list(counts)
    table = np.stack([counts[name] for name in names], 1)
    there = table.sum(1) > 0
    if there.sum() < 2 or len(names) < 2:
        return []
    share = table.sum(0) / table.sum()
    odds, error = log_odds(table[there], share * _PRIOR)
    rows = []
    for line, k in enumerate(np.flatnonzero(there)):
        order = np.argsort(-odds[line] / error[line], kind="stable")
        picked: list[str] = []
        for place in order:
            if len(picked) == _TOP or odds[line, place] <= 0 or not table[k, place]:
                break
            if any(set(names[place].split()) <= set(old.split()) or set(old.split()) <= set(names[place].split())
                   for old in picked):  # fmt: skip
                continue
            picked.append(names[place])
            value, spread = odds[line, place], error[line, place]
            rows.append({
                "emotion": MIKELS[k], "rank": len(picked), "phrase": names[place], "captions": int(table[k, place]),
                "elsewhere": int(table[:, place].sum() - table[k, place]), "log_odds": value,
                "low": value - 1.959963984540054 * spread, "high": value + 1.959963984540054 * spread,
                "z": value / spread,
            })  # fmt: skip
    return rows


def _frequent(counts: dict[str, np.ndarray]) -> list[dict]:
    """The paper's list: the phrases that most captions of an emotion hold."""
    rows = []
    for k, emotion in enumerate(MIKELS):
        most = sorted((name for name in counts if counts[name][k]), key=lambda name: (-counts[name][k], name))[:_TOP]
        rows += [{"emotion": emotion, "phrase": name, "captions": int(counts[name][k])} for name in most]
    return rows


def _leakage(clips: Clips, captions: np.ndarray, settings: Settings) -> tuple[list[Result], list[dict], list[dict]]:
    """How many captions name an emotion, by emotion; how often that is the label; and the words."""
    read = {text: scrub_emotion_words(text)[1] for text in dict.fromkeys(captions)}
    known = {word: _reading(word) for word in {word for words in read.values() for word in words}}
    names = np.array([bool(read[text]) for text in captions], float)
    readings = [next((known[word] for word in read[text] if known[word] is not None), None) for text in captions]
    spoken = np.array([reading is not None for reading in readings], float)
    right = np.array([reading == label for reading, label in zip(readings, clips.label, strict=True)], float)
    hot = np.eye(8)[clips.label]
    one = np.ones(len(names))

    def ratio(s: np.ndarray) -> np.ndarray:
        return s[..., 0] / s[..., 1]

    share, low, high = group_interval(np.stack([names, one], -1), clips.group, ratio, settings)
    results = [Result("captions with a word of emotion", float(share), float(low), float(high), len(names))]
    value = low = high = None
    if spoken.any():
        value, low, high = map(float, group_interval(np.stack([right, spoken], -1), clips.group, ratio, settings))
    note = "of the captions whose first such word is in the lexicon"
    results.append(Result("the word is the label", value, low, high, int(spoken.sum()), note))
    each = np.stack([hot * names[:, None], hot], -1)
    share, low, high = group_interval(each, clips.group, ratio, settings)
    table = [
        {"emotion": name, "captions": int(hot[:, k].sum()), "with_word": share[k], "low": low[k], "high": high[k]}
        for k, name in enumerate(MIKELS) if hot[:, k].any()
    ]  # fmt: skip
    words = Counter(word for text in captions for word in set(read[text]))
    said = [
        {"word": word, "captions": count, "reads": MIKELS[known[word]] if known[word] is not None else None}
        for word, count in words.most_common(50)
    ]
    return results, table, said


def _reading(word: str) -> int | None:
    try:
        state = parse_emotion(word)
    except ValueError:
        return None
    return MIKELS.index(state.dominant) if state.dominant in MIKELS else None


def _draw_leakage(table: list[dict]) -> Picture:
    figure, axes = draw(5.0, 0.3 * len(table) + 0.8)
    value, low, high = ([row[key] for row in table] for key in ("with_word", "low", "high"))
    dots(axes[0, 0], [row["emotion"] for row in table], value, low, high)
    axes[0, 0].set_xlim(-0.02, 1.02)
    axes[0, 0].xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes[0, 0].set_xlabel("captions that hold a word of emotion", color=INK)
    return picture(figure, "Emotion words in captions, by label, with 95 % intervals over films or characters.")


def _draw_phrases(rows: list[dict], columns: int) -> Figure:
    figure, axes = draw(6.6 if columns > 1 else 4.6, 0.235 * len(rows) + 0.9)
    place = axes[0, 0]
    colours = [COLOURS.get(row["emotion"], SERIES[0]) for row in rows]
    value, low, high = ([row[key] for row in rows] for key in ("log_odds", "low", "high"))
    dots(place, [row["phrase"] for row in rows], value, low, high, colours=colours)
    for line, row in enumerate(rows):
        if row["rank"] == 1:
            place.annotate(row["emotion"], (1.01, line), xycoords=("axes fraction", "data"), va="center",
                           color=COLOURS[row["emotion"]], fontsize=8.5)  # fmt: skip
            if line:
                place.axhline(line - 0.5, color="#d5d8da", lw=0.8)
    place.axvline(0, color=INK, lw=0.8)
    place.set_xlabel("log-odds against the other emotions")
    return figure


ANALYSIS = register(Analysis("words", "Words", ("emotion", "caption"), run))
