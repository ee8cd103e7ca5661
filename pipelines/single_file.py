"""A model from the files that people have: Wan's own layout, ComfyUI's single files, fp8, GGUF.

What a file is, and the sizes of the network in it, is read from its header: without a network connection, and before a
weight is loaded. Names are those of diffusers afterwards (its converter), weights are put in as `from_pretrained` would
(diffusers' `from_single_file` also rounds the norms that `from_pretrained` keeps in float32).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emogen.models.file_kinds import (
    IMAGE_ENCODER,
    TEXT_ENCODER,
    TRANSFORMER,
    VAE,
    Weights,
    WeightsError,
    is_adapter_folder,
    networks_in,
    only,
    shards_of,
)
from emogen.pipelines import original_layout as layout
from emogen.pipelines.model_files import ModelFiles

_BESIDE = {  # ComfyUI's folders, in which the other parts of a model lie
    VAE: ("vae",),
    TEXT_ENCODER: ("text_encoders", "clip"),
    IMAGE_ENCODER: ("clip_vision",),
}
_FLAGS = {VAE: "--vae", TEXT_ENCODER: "--text_encoder", IMAGE_ENCODER: "--image_encoder"}
_FOLDERS = {VAE: "vae", TEXT_ENCODER: "text_encoder", IMAGE_ENCODER: "image_encoder"}
_TOKENIZER = "google/umt5-xxl"
_BOUNDARY = {"text": 0.875, "image": 0.9}  # Wan2.2's, of the noise levels
_HALVES = ("high_noise_model", "low_noise_model")  # Wan2.2's folders
_MOST_BESIDE = 200  # files looked at in a folder


@dataclass(frozen=True)
class Plan:
    """What a model in files will be made of. Only headers have been read.

    Args:
        files: as asked for.
        transformers: one, or two of Wan2.2.
        config: of the transformers, as diffusers takes it.
        parts: the other networks that lie in files; those that do not come from `files.base`.
    """

    files: ModelFiles
    transformers: tuple[Weights, ...]
    config: Mapping[str, Any]
    parts: Mapping[str, Weights] = field(default_factory=dict)

    @property
    def takes_first_frame(self) -> bool:
        """Whether the transformer has channels for a first frame."""
        return self.config["in_channels"] > 2 * self.config["out_channels"]

    @property
    def expands_timesteps(self) -> bool:
        """Wan2.2 TI2V: its first frame has a noise level of its own."""
        return self.config["out_channels"] == layout.TI2V_CHANNELS

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it makes: "text", "image", or both."""
        return ("text", "image") if self.expands_timesteps else ("image",) if self.takes_first_frame else ("text",)

    @property
    def paths(self) -> dict[str, tuple[Path, ...]]:
        """Part -> the files it lies in."""
        names = ("transformer", "transformer_2")
        return {**{n: w.paths for n, w in zip(names, self.transformers, strict=False)},
                **{kind: weights.paths for kind, weights in self.parts.items()}}  # fmt: skip

    @property
    def taken(self) -> str:
        """A line that says which files."""
        names = dict.fromkeys(paths[0].name for paths in self.paths.values())
        return f"model: {', '.join(names)}" + (f", the rest of {self.files.base}" if self.files.base else "")

    def load(self, kind: str, dtype: torch.dtype | None) -> dict[str, Any]:
        """The components of a pipeline of a kind, on the CPU.

        Args:
            dtype: of the weights; None leaves them as stored, 8-bit ones in bfloat16.

        Raises:
            WeightsError: a file is not a whole one of its kind, or a part is nowhere.
        """
        names = ("transformer", "transformer_2")
        parts: dict[str, Any] = dict(
            zip(names, (self._transformer(one, dtype) for one in self.transformers), strict=False)
        )
        parts["vae"] = self._part(VAE, layout.load_vae, dtype)
        parts["text_encoder"] = self._part(TEXT_ENCODER, layout.load_text_encoder, dtype)
        parts["tokenizer"] = self._tokenizer()
        parts["scheduler"] = self._scheduler()
        if kind == "image" and self.config["image_dim"]:
            parts["image_encoder"] = self._part(IMAGE_ENCODER, layout.load_image_encoder, dtype)
            from transformers import CLIPImageProcessor

            parts["image_processor"] = CLIPImageProcessor()
        if len(self.transformers) > 1:
            parts["boundary_ratio"] = _BOUNDARY[kind]
        if self.expands_timesteps:
            parts["expand_timesteps"] = True
        return parts

    def _transformer(self, weights: Weights, dtype: torch.dtype | None) -> nn.Module:
        return layout.load_transformer(weights, dict(self.config), dtype)

    def _part(self, kind: str, load: Callable[[Weights, torch.dtype | None], nn.Module], dtype: Any) -> nn.Module:
        if kind in self.parts:
            return load(self.parts[kind], dtype)
        import diffusers
        import transformers

        cls = {VAE: diffusers.AutoencoderKLWan, TEXT_ENCODER: transformers.UMT5EncoderModel,
               IMAGE_ENCODER: transformers.CLIPVisionModel}[kind]  # fmt: skip
        settings = {} if dtype is None else {"torch_dtype" if kind == VAE else "dtype": dtype}
        return cls.from_pretrained(self.files.base, subfolder=_FOLDERS[kind], **settings)

    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        if self.files.base is not None:
            return AutoTokenizer.from_pretrained(self.files.base, subfolder="tokenizer")
        for folder in _tokenizer_folders(self):
            if (folder / "tokenizer_config.json").is_file():
                return AutoTokenizer.from_pretrained(folder)
        text = self.parts.get(TEXT_ENCODER)
        if text is not None and (content := layout.spiece_model(text)) is not None:
            from emogen.pipelines.spiece import tokenizer_of

            try:
                return tokenizer_of(content)
            except ValueError as error:
                raise WeightsError(f"{text.path}: its spiece_model is {error}") from error
        try:
            return AutoTokenizer.from_pretrained(_TOKENIZER)
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"{self.files.model}: no tokenizer: {_TOKENIZER} of the hub cannot be reached; put its tokenizer.json "
                "and tokenizer_config.json into a folder `tokenizer` beside the file of the text encoder, or give "
                "with --base a model in diffusers' format"
            ) from error

    def _scheduler(self) -> Any:
        from diffusers import UniPCMultistepScheduler

        if self.files.base is not None and (Path(self.files.base) / "scheduler").is_dir():
            return UniPCMultistepScheduler.from_pretrained(self.files.base, subfolder="scheduler")
        large = self.expands_timesteps or "720" in self.transformers[0].path.name
        shift = 16.0 if self.config["pos_embed_seq_len"] else 5.0 if large else 3.0
        return UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=shift
        )


def plan_of(files: ModelFiles) -> Plan:
    """See what a model in files is made of, by their headers.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: a file is not what it is given for, or a part is nowhere; says what to give.
    """
    found = _transformer_files(files)
    networks = [networks_in(*paths) for paths in found]
    transformers = tuple(
        only(parts, TRANSFORMER, flag) for parts, flag in zip(networks, ("--model", "--model_2"), strict=False)
    )
    configs = [layout.transformer_config(one) for one in transformers]
    if configs[1:] and configs[0] != configs[1]:
        raise WeightsError(f"--model_2 {transformers[1].path}: is of another size than --model {transformers[0].path}")
    config = configs[0]
    if len(transformers) == 1 and config["in_channels"] > 2 * config["out_channels"] and not config["image_dim"]:
        raise WeightsError(
            f"--model {transformers[0].path}: is one of the two transformers of Wan2.2 I2V-A14B; give that of the high "
            "noise levels with --model and that of the low ones with --model_2"
        )
    plan = Plan(files, transformers, config)
    parts = {kind: weights for kind in _FLAGS if (weights := _part_of(plan, kind, networks[0])) is not None}
    return Plan(files, transformers, config, parts)


def _transformer_files(files: ModelFiles) -> list[list[Path]]:
    """The files of each transformer."""
    path = Path(files.model)
    if path.is_dir():
        return _folder_files(path)
    found = [shards_of(path)]
    second = files.model_2
    for mark, other in (("high_noise", "low_noise"), ("HighNoise", "LowNoise"), ("HIGH", "LOW")):
        if second is None and mark in path.name:  # the pair of files that Wan2.2's users have
            twin = path.with_name(path.name.replace(mark, other))
            if not twin.is_file():
                raise WeightsError(
                    f"--model {path}: is named as the transformer of Wan2.2's high noise levels; give that of the low "
                    f"ones with --model_2 ({twin.name} is not beside it)"
                )
            second = str(twin)
    return [*found, shards_of(second)] if second is not None else found


def _folder_files(folder: Path) -> list[list[Path]]:
    if is_adapter_folder(folder):
        raise WeightsError(f"--model {folder}: is the folder of an emotion adapter; give it with --adapter")
    if all((folder / name).is_dir() for name in _HALVES):
        return [_folder_files(folder / name)[0] for name in _HALVES]
    if (folder.parent / "model_index.json").is_file():
        raise WeightsError(f"--model {folder}: is a part of a model in diffusers' format; give {folder.parent}")
    candidates = sorted(folder.glob("*.safetensors"))
    sharded = [file for file in candidates if "-of-" in file.name]
    if sharded:
        return [shards_of(sharded[0])]
    whole = [file for file in candidates if any(part.kind == TRANSFORMER for part in networks_in(file))]
    if len(whole) == 1:
        return [whole]
    if whole:
        raise WeightsError(f"--model {folder}: holds several models: give one of {', '.join(f.name for f in whole)}")
    if (folder / "pytorch_lora_weights.safetensors").is_file():
        raise WeightsError(f"--model {folder}: holds a LoRA; give it with --lora beside the --model it was trained on")
    raise WeightsError(
        f"--model {folder}: is neither a model in diffusers' format (with model_index.json) nor one in Wan's own (with "
        "the transformer as .safetensors)"
    )


def _part_of(plan: Plan, kind: str, beside: list[Weights]) -> Weights | None:
    """Where a part of a model is: the file that is given, the model's own file, `base` (None), a file beside."""
    if kind == IMAGE_ENCODER and not plan.config["image_dim"]:
        return None
    flag = _FLAGS[kind]
    given = getattr(plan.files, flag[2:])
    fits = _fitness(plan, kind)
    if given is not None:
        weights = only(networks_in(*shards_of(given)), kind, flag)
        if (why := fits(weights)) is not None:
            raise WeightsError(f"{flag} {given}: {why}")
        return weights
    for weights in beside:
        if weights.kind == kind:
            return weights
    if plan.files.base is not None:
        return None
    pickles = []
    for file in _files_beside(plan.transformers[0].path, kind):
        if file.suffix == ".pth":
            pickles.append(file)
            continue
        try:
            weights = next((part for part in networks_in(file) if part.kind == kind), None)
        except (OSError, WeightsError):
            continue
        if weights is not None and fits(weights) is None:
            return weights
    what = {VAE: "autoencoder", TEXT_ENCODER: "text encoder", IMAGE_ENCODER: "image encoder"}[kind]
    raise WeightsError(
        f"--model {plan.files.model}: no {what} of it was found; give its .safetensors with {flag}, or a model in "
        f"diffusers' format with --base"
        + (f" ({pickles[0].name} is a pickle, which is not read here)" if pickles else "")
    )


def _fitness(plan: Plan, kind: str) -> Callable[[Weights], str | None]:
    """What tells why a network of the right kind does not go with the transformer."""

    def vae(weights: Weights) -> str | None:
        channels = layout.vae_channels(weights)
        wanted = plan.config["out_channels"]
        return None if channels == wanted else (
            f"is an autoencoder of {channels} channels, the transformer takes {wanted}: "
            + ("give Wan2.2's (wan2.2_vae.safetensors)" if wanted == layout.TI2V_CHANNELS else
               "give Wan2.1's (wan_2.1_vae.safetensors)")
        )  # fmt: skip

    def text(weights: Weights) -> str | None:
        width = layout.text_width(weights)
        wanted = plan.config["text_dim"]
        return None if width == wanted else f"is a text encoder {width} wide, the transformer takes {wanted}"

    return {VAE: vae, TEXT_ENCODER: text}.get(kind, lambda weights: None)


def _files_beside(model: Path, kind: str) -> Iterator[Path]:
    """Files in which a part may lie: in the model's folder, and in ComfyUI's folders of its kind; those in 16 bits
    before those in 8."""
    folders = [model.parent]
    if model.parent.name in _HALVES:
        folders.append(model.parent.parent)
    for above in list(model.parents)[1:4]:
        folders += [above / name for name in _BESIDE[kind]]
    for folder in dict.fromkeys(folders):
        files = sorted((*folder.glob("*.safetensors"), *folder.glob("*.pth")))[:_MOST_BESIDE] if folder.is_dir() else []
        yield from sorted((file for file in files if file != model), key=lambda file: "fp8" in file.name.lower())


def _tokenizer_folders(plan: Plan) -> Iterator[Path]:
    for weights in (plan.parts.get(TEXT_ENCODER), plan.transformers[0]):
        if weights is not None:
            for above in list(weights.path.parents)[:2]:
                yield from (above / "tokenizer", above / "google" / "umt5-xxl", above / "umt5-xxl")
