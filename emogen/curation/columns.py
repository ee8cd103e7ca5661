"""The columns of the working table, `clips.parquet`: a row a clip, finished or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

COLUMNS: dict[str, tuple[str, str]] = {
    # identity
    "clip_id": ("string", "of the source's contents and the span"),
    "source_path": ("string", "below the folder that was ingested"),
    "source_folder": ("string", "the folder that was ingested"),
    "source_sha256": ("string", "of the source's bytes"),
    "frames_from": ("string", "the numbered pictures that the source was made of, as JSON; null where it is a file"),
    "phash": ("string", "difference hashes of three frames, 192 bits in hexadecimal"),
    "duplicate_of": ("string", "the first clip with the same source and span"),
    "near_duplicate_of": ("string", "the first clip of those that nearly look the same; known once clips are split"),
    "domain": ("string", "such as animation, movie, sticker"),
    "group": ("string", "film, character or code point: what never stands on two sides of a split"),
    "license": ("string", "of the source"),
    "origin": ("string", "where the source comes from"),
    # what the file is
    "kind": ("string", "video or image"),
    "source_duration": ("float64", "seconds of the whole source"),
    "width": ("int32", "as displayed, pixels"),
    "height": ("int32", "as displayed, pixels"),
    "fps": ("float64", "mean, from presentation stamps"),
    "variable_rate": ("bool", "whether frames come at unequal times"),
    "rotation": ("int32", "degrees that coded frames are turned by to be shown; width and height are as shown"),
    "sample_aspect": ("float64", "width of a coded pixel over its height; null where the file does not say"),
    "codec": ("string", "the decoder's name"),
    "transfer": ("string", "SDR, PQ or HLG; all are brought to SDR"),
    "frames_declared": ("int64", "by the file's header; null where it does not say"),
    "frames_decoded": ("int64", "that could be read"),
    "truncated": ("bool", "fewer frames could be read than are declared"),
    "damaged": ("string", "what the decoder complained of"),
    "alpha": ("bool", "whether pixels can be transparent"),
    "has_audio": ("bool", ""),
    "audio_file": ("string", "below the output folder"),
    # scene
    "order": ("int32", "of the scene in its source, from 0"),
    "start": ("float64", "seconds in the source"),
    "end": ("float64", "seconds in the source"),
    "duration": ("float64", "seconds"),
    "gap_before": ("float64", "seconds from the end of the scene before; null for the first"),
    "detector": ("string", "what found the cut"),
    # look
    "paper_hue": ("int32", "degrees, as the paper rounds"),
    "paper_colourfulness": ("float64", "mean saturation, one decimal"),
    "paper_brightness": ("float64", "mean value, one decimal"),
    "hue": ("float64", "degrees, chroma-weighted; null where there is no direction"),
    "hue_strength": ("float64", "resultant length, 0 to 1"),
    "saturation": ("float64", "0 to 1"),
    "brightness": ("float64", "0 to 1"),
    "contrast": ("float64", "standard deviation of the value, 0 to 0.5"),
    "motion": ("float64", "mean change of the value, 1 / s"),
    "letterbox": ("float64", "share of bars"),
    "transparent": ("float64", "share of transparent pixels"),
    "frames_sampled": ("int32", "for the attributes"),
    # sound
    "loudness": ("float64", "LUFS, integrated (ITU-R BS.1770); null where there is no sound"),
    "tempo": ("float64", "beats a minute; null where there is no beat"),
    "spectral_centroid": ("float64", "Hz"),
    # text
    "caption": ("string", ""),
    "caption_by": ("string", "imported, unicode name, or the model"),
    "caption_emotional": ("string", "a caption that may name emotions, of the same model"),
    "suggested": ("string", "the emotion that the captions' words speak of; a suggestion, never a label"),
    "suggested_by": ("string", "the words, or the package"),
    # label
    "emotion": ("string", "one of the eight; null where there is none"),
    "emotion_soft": ("string", "the votes as a mixture"),
    "intensity": ("float64", "of the label, 0 to 2; null where it is not known"),
    "label_kind": ("string", "human, curated or model"),
    "agreement": ("float64", "share of the leading answer"),
    "confidence": ("float64", "a model's"),
    "judge": ("string", "the models' names; their cards are in judges/"),
    "judge_emotion": ("string", "what the models say, whatever people say"),
    "disagreement": ("float64", "of several models, or 1 - confidence of one; 0 to 1"),
    "votes": ("int32", "answers that count"),
    "no_label": ("string", "why there is no label: no majority, no specific emotion, too few"),
    "split": ("string", "train, val, test or benchmark"),
    # life
    "dropped": ("string", "why the clip is left out, if it is"),
    "stage": ("string", "the last stage that has worked on it"),
    "error": ("string", "why a stage failed on it"),
}
"""Name -> (type, meaning)."""


def others_of(names: Iterable[str]) -> list[str]:
    """Names that are no columns of the table, in the order in which they come after them."""
    return sorted(set(names) - set(COLUMNS))


def as_table(rows: list[dict[str, Any]], others: Sequence[str] | None = None) -> Any:
    """The rows as a `pyarrow.Table` with every column, missing values null; other keys of the rows come after them as
    text.

    Args:
        others: the names of these keys; None: of all that the rows have.
    """
    import json

    import pyarrow

    if others is None:
        others = others_of(key for row in rows for key in row)
    columns = {
        name: pyarrow.array([row.get(name) for row in rows], pyarrow.type_for_alias(kind))
        for name, (kind, _) in COLUMNS.items()
    }
    for name in others:
        columns[name] = pyarrow.array(
            [
                value if value is None or isinstance(value, str) else json.dumps(value)
                for value in (row.get(name) for row in rows)
            ],
            pyarrow.string(),
        )
    return pyarrow.table(columns)
