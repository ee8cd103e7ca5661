"""A recipe: what `emogen data run` does, as YAML. Every stage's settings with their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from emogen.settings import ConfigError, build, read_yaml, refuser
from emogen.settings.types import Count, Flag, Name, Number, Whole


@dataclass(kw_only=True, config={"extra": "forbid"})
class Source:
    """A folder of files to ingest; see `sources.SourceFiles`.

    Attributes:
        folder: of the files; relative to where the command runs.
        fetch: in place of a folder: "fluent" brings the animated Fluent stickers into OUT/fetched/fluent.
        about: a table (or for some layouts a folder) that says something of these files; see `imported`.
        layout, label_kind: of that table.
        sequence_fps: numbered pictures of one folder are the frames of one clip, so many a second.
    """

    folder: Name | None = None
    fetch: Literal["fluent"] | None = None
    about: Name | None = None
    layout: Literal["table", "emovid", "magicanime", "condensed_movies"] = "table"
    label_kind: Literal["curated", "human", "model"] = "human"
    domain: Name = "movie"
    group_by: Literal["file", "folder"] = "file"
    sequence_fps: Number | None = Field(None, gt=0)
    license: Name | None = None
    origin: Name | None = None


@dataclass(kw_only=True, config={"extra": "forbid"})
class SceneSettings:
    """See `scenes.scenes_stage`."""

    detector: Literal["content", "adaptive", "transnetv2", "union", "none"] = "content"
    min_seconds: Number = Field(4.0, ge=0)
    max_seconds: Number = Field(30.0, gt=0)
    threshold: Number | None = Field(None, gt=0)


@dataclass(kw_only=True, config={"extra": "forbid"})
class CaptionSettings:
    """See `captions.caption_stage`."""

    model: Name
    frames: Count = 8
    prompt: Name | None = None
    prompt_emotional: Name | None = None
    as_video: Flag = False
    max_new_tokens: Count = 96
    batch: Count = 4
    dtype: Name = "auto"
    device: Name = "cpu"


@dataclass(kw_only=True, config={"extra": "forbid"})
class JudgeSettings:
    """Labels by models: specifications as `emogen judge` takes them, in one line of text each."""

    judge: list[Name] = Field(min_length=1)
    frames: Count = 16
    least: Number = Field(0.0, ge=0, le=1)
    batch: Count = 8
    device: Name = "cpu"


@dataclass(kw_only=True, config={"extra": "forbid"})
class MergeSettings:
    """See `labels.merge`."""

    annotators: Count = 3
    agree: Count = 2


@dataclass(kw_only=True, config={"extra": "forbid"})
class SplitSettings:
    """Shares of the parts, how many clips a domain and emotion go to a benchmark first, and how many clips of a domain
    are trained on at most (EmoVid: movie 8000)."""

    train: Number = Field(0.9, ge=0, le=1)
    val: Number = Field(0.05, ge=0, le=1)
    test: Number = Field(0.05, ge=0, le=1)
    benchmark: Count | None = None
    at_most: dict[str, Count] = Field(default_factory=dict)
    seed: Whole = Field(0, ge=0)


@dataclass(kw_only=True, config={"extra": "forbid"})
class CurationRecipe:
    """All of `emogen data run`.

    Attributes:
        sources: folders to ingest.
        captions: a table with `clip_id` or `source_path`, and `caption`.
        caption_model: a model that writes captions, in place of the table.
        sound: measure loudness, tempo and spectral centroid.
        suggest: read an emotion from the captions, as a suggestion. suggest_by: words of feeling alone, or also what
            captions without one are near to in meaning.
        judge: models that label the clips; people's votes stay above them.
        votes: a table with `clip_id`, `annotator`, `emotion`. Without it, a judge and labels of
            a source's table the run ends before labels.
        soft: export the votes' mixture as the emotion.
    """

    sources: list[Source] = Field(min_length=1)
    keep_audio: Flag = True
    scenes: SceneSettings = Field(default_factory=SceneSettings)
    captions: Name | None = None
    caption_model: CaptionSettings | None = None
    sound: Flag = False
    suggest: Flag = False
    suggest_by: Literal["words", "meaning"] = "words"
    judge: JudgeSettings | None = None
    votes: Name | None = None
    merge: MergeSettings = Field(default_factory=MergeSettings)
    split: SplitSettings = Field(default_factory=SplitSettings)
    soft: Flag = False


def load_recipe(path: str | Path) -> CurationRecipe:
    """Read and check a recipe.

    Raises:
        ConfigError: naming the file, line and key.
    """
    document = read_yaml(path)
    recipe = build(CurationRecipe, document)
    refuse = refuser(document)
    for number, source in enumerate(recipe.sources):
        key = f"sources.{number}.folder"
        refuse((source.folder is None) == (source.fetch is None), key, "give either folder or fetch")
        refuse(source.folder is not None and not Path(source.folder).is_dir(), key, f"{source.folder}: no such folder")
        refuse(
            source.about is not None and not Path(source.about).exists(),
            f"sources.{number}.about",
            f"{source.about}: no such file or folder",
        )
    for key in ("captions", "votes"):
        value = getattr(recipe, key)
        refuse(value is not None and not Path(value).is_file(), key, f"{value}: no such file")
    both = recipe.captions is not None and recipe.caption_model is not None
    refuse(both, "caption_model", "give either captions or caption_model")
    shares = recipe.split.train + recipe.split.val + recipe.split.test
    refuse(abs(shares - 1) > 1e-6, "split", f"train, val and test add up to {shares:g}, not 1")
    refuse(recipe.merge.agree > recipe.merge.annotators, "merge.agree", "must be at most merge.annotators")
    return recipe


__all__ = ["ConfigError", "CurationRecipe", "load_recipe"]
