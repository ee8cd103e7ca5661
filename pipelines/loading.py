"""How a pipeline comes by its model: by name, of the right kind, with its adapter, on a device, or from another
pipeline with what belongs to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import WanTransformer3DModel

from emogen.pipelines.model_files import ModelFiles, is_in_files

if TYPE_CHECKING:
    from emogen.pipelines.composition import LoraOptions
    from emogen.pipelines.single_file import Plan
    from emogen.pipelines.speed_options import SpeedOptions

HUB_ARGUMENTS = ("cache_dir", "token", "revision", "local_files_only", "force_download")
KINDS = ("text", "image")
LOADS = ("both", "adapter", "lora")
_OTHERS = {"vace_layers": "VACE", "motion_encoder_dim": "Animate"}
DTYPES = ("float32", "bfloat16", "float16", "stored")


def best_device() -> str:
    """ "cuda", "mps" or "cpu"."""
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def open_pipeline(
    model: str | Path | ModelFiles,
    adapter: str | Path | None = None,
    *,
    kind: str | None = None,
    device: str | torch.device | None = None,
    dtype: str | None = None,
    load: str = "both",
    loras: LoraOptions | None = None,
    speed: SpeedOptions | None = None,
    preset: str | None = None,
) -> Any:
    """The one way that commands open a pipeline: model, adapter, LoRAs, device and speed options, in that order.

    diffusers and transformers are told to be quiet.

    Args:
        model: "embedded", "embedded_i2v", a folder, or a hub id; or files: the transformer as Wan, ComfyUI or GGUF have
            it, with the other parts beside it or named (see `ModelFiles`).
        adapter: the same of the emotion adapter; None or "none" loads none.
        kind: "text" or "image" (to video); None asks the model. Another name is a pipeline class of diffusers, which
            takes no adapter.
        device: None is the best there is. With offloading the weights stay where the offloading wants them.
        dtype: "float32", "bfloat16", "float16"; "stored" leaves every part as diffusers loads it unasked. None is
            float32 on the CPU and bfloat16 elsewhere.
        load: what of the adapter's folder: "both", "adapter", or "lora" alone.
        loras: LoRAs beside the emotion's, and the weight of the emotion's own (see `add_loras`).
        speed: what to switch on; `pipe.switched_on` says in words what that was.
        preset: a way of sampling (`emogen.pipelines.presets`); the embedded model gets its own LoRA for it.

    Raises:
        ValueError: an argument is none of the above, or a part does not fit the model.
        OSError, RuntimeError: with what cannot be loaded, and why.
    """
    from emogen.models.lora import read_lora
    from emogen.models.weights import LORA_NAMES
    from emogen.pipelines.composition import add_loras, check_fits
    from emogen.pipelines.presets import apply_preset, check_preset, loras_for

    _check_arguments(adapter, kind, dtype, load)
    check_preset(preset)
    _be_quiet()
    device = torch.device(device or best_device())
    numbers = None
    if dtype != "stored":
        numbers = getattr(torch, dtype or ("float32" if device.type == "cpu" else "bfloat16"))
    pipe, kind = _open_model(model, kind, numbers)
    loras = loras_for(preset, model, kind, loras)
    found = find_adapter(adapter, kind)
    if found is not None and load == "lora":
        if (Path(found) / LORA_NAMES["transformer_2"]).is_file():
            pipe.load_emotion_lora(found)
        elif Path(found).exists():  # what diffusers and peft would make of a strange header is found out before
            check_fits(read_lora(found), pipe.transformer, str(found))
            pipe.load_lora_weights(str(found))
        else:
            pipe.load_lora_weights(str(found))
    elif found is not None:
        pipe.load_emotion_adapter(found, load_lora=load == "both")
    if loras is not None and loras.any:
        add_loras(pipe, loras.specs, loras.emotion_weight)
    if preset is not None:
        apply_preset(pipe, preset)
    if speed is None or not speed.places_model:
        pipe.to(device)
    if speed is not None:
        from emogen.pipelines.speed import apply_speed

        pipe.switched_on += apply_speed(pipe, speed, device)
    return pipe


def _open_model(model: str | Path | ModelFiles, kind: str | None, dtype: torch.dtype | None) -> tuple[Any, str]:
    """A pipeline without adapter and LoRAs, and its kind; `switched_on` says which files it is made of."""
    plan = plan_in_files(model)
    if plan is None:
        folder = find_model(str(model), kind)
        kind = kind or kind_of(folder)
        pipe = _class_of(kind).from_pretrained(folder, **({} if dtype is None else {"dtype": dtype}))
        pipe.switched_on = []
        return pipe, kind
    kind = kind or plan.kinds[0]
    if kind in KINDS and kind not in plan.kinds:
        check_kind(plan.config, plan.expands_timesteps, kind == "image", str(plan.files))
    cls = _class_of(kind)
    pipe = cls(**plan.load("image" if plan.takes_first_frame or kind == "image" else "text", dtype))
    if plan.files.base is not None and kind in KINDS:
        from emogen.pipelines.defaults import GenerationDefaults

        pipe.generation_defaults = GenerationDefaults.from_pretrained(plan.files.base)
    pipe.switched_on = [plan.taken]
    return pipe, kind


def plan_in_files(model: str | Path | ModelFiles) -> Plan | None:
    """What a model that lies in files is made of, by their headers; None for one in diffusers' format or by a name.

    Raises:
        OSError, ValueError: a file is not what it is given for; says what it is.
    """
    if not isinstance(model, ModelFiles):
        if str(model) in ("embedded", "embedded_i2v") or not is_in_files(str(model)):
            return None
        model = ModelFiles(str(model))
    from emogen.pipelines.single_file import plan_of

    return plan_of(model)


def find_model(model: str | Path, kind: str | None = None) -> str:
    """The folder or hub id of a model; "embedded" is the text model, or with `kind` "image" the image model.

    Raises:
        FileNotFoundError: the embedded weights are not installed.
    """
    from emogen import embedded

    if str(model) in ("embedded", "embedded_i2v"):
        image = str(model) == "embedded_i2v" or kind == "image"
        return embedded.embedded_i2v_model() if image else embedded.embedded_model()
    return str(model)


def find_adapter(adapter: str | Path | None, kind: str | None = None) -> str | None:
    """The folder or hub id of an adapter, by the same names; None for None and "none".

    Raises:
        FileNotFoundError: the embedded weights are not installed.
    """
    from emogen import embedded

    if adapter is None or str(adapter).lower() == "none":
        return None
    if str(adapter) in ("embedded", "embedded_i2v"):
        image = str(adapter) == "embedded_i2v" or kind == "image"
        return embedded.embedded_i2v_adapter() if image else embedded.embedded_adapter()
    return str(adapter)


def kinds_of(model: str | Path | ModelFiles) -> tuple[str, ...]:
    """What a model on this machine can make: "text", "image", or both (Wan2.2's TI2V).

    Raises:
        OSError, ValueError: it lies in files that are none of a model; says what they are.
    """
    if (plan := plan_in_files(model)) is not None:
        return plan.kinds
    folder = str(model)
    try:
        index = json.loads((Path(folder) / "model_index.json").read_text(encoding="utf-8"))
        both = bool(index.get("expand_timesteps"))
    except (OSError, ValueError, AttributeError):
        both = True  # no model; opening it says so better
    return KINDS if both else (kind_of(folder),)


def needs_last_frame(model: str | Path | ModelFiles) -> bool:
    """Whether a model on this machine goes from a first to a last frame (FLF2V), and makes nothing of a first alone."""
    if (plan := plan_in_files(model)) is not None:
        return plan.config["pos_embed_seq_len"] is not None
    try:
        config = WanTransformer3DModel.load_config(str(model), subfolder="transformer")
    except (OSError, ValueError):
        return False
    return config.get("pos_embed_seq_len") is not None


def kind_of(folder: str | Path) -> str:
    """ "image" for a model whose transformer takes a first frame beside the noise, else "text" (what cannot be read is
    left to the pipeline's own error)."""
    try:
        config = WanTransformer3DModel.load_config(str(folder), subfolder="transformer")
    except (OSError, ValueError):
        return "text"
    return "image" if _takes_first_frame(config) else "text"


def _takes_first_frame(config: Mapping[str, Any]) -> bool:
    inside = config.get("in_channels", 0)
    return inside > 2 * (config.get("out_channels") or inside)


def _class_of(kind: str) -> Any:
    from emogen.pipelines import EmotionWanImageToVideoPipeline, EmotionWanPipeline

    if kind in KINDS:
        return EmotionWanPipeline if kind == "text" else EmotionWanImageToVideoPipeline
    import diffusers

    found = getattr(diffusers, kind, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)):
        raise ValueError(f"diffusers has no pipeline {kind!r}; an emotion pipeline's kind is {' or '.join(KINDS)}")
    return found


def _check_arguments(adapter: Any, kind: str | None, dtype: str | None, load: str) -> None:
    for name, value, known in (("dtype", dtype, (None, *DTYPES)), ("load", load, LOADS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}; it takes {', '.join(str(k) for k in known if k)}")
    if kind not in (None, *KINDS) and adapter is not None:
        raise ValueError(f"{kind} takes no emotion adapter; only the kinds {' and '.join(KINDS)} do")


def _be_quiet() -> None:
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


class ModelKindMixin:
    """Refuses a model that the pipeline's class cannot run, by the channels of its transformer.

    A text-to-video transformer takes as many channels as it makes. An image-to-video one takes mask and first frame
    beside the noise. Wan2.2's TI2V, marked by `expand_timesteps`, takes no more channels and is both.
    """

    _takes_image: bool = False

    def __init__(self, **components: Any):
        for name in ("transformer", "transformer_2"):
            if components.get(name) is not None:
                expands = bool(components.get("expand_timesteps"))
                check_kind(components[name].config, expands, self._takes_image, f"the given {name}")
        super().__init__(**components)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any):
        """As the stock pipeline's.

        Raises:
            ValueError: before anything is loaded, if the model is one for the other class.
        """
        if "transformer" not in kwargs:  # one that is given is seen by __init__
            hub = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
            try:
                index = cls.load_config(pretrained_model_name_or_path, **hub)
                config = WanTransformer3DModel.load_config(
                    pretrained_model_name_or_path, subfolder="transformer", **hub
                )
            except (OSError, ValueError):
                pass  # no model at all, or one without its first transformer: what follows says so better
            else:
                expands = bool(kwargs.get("expand_timesteps", index.get("expand_timesteps")))
                check_kind(config, expands, cls._takes_image, str(pretrained_model_name_or_path))
        return super().from_pretrained(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def from_pipe(cls, pipeline: Any, **kwargs: Any):
        """As the stock pipeline's; from an emotion pipeline with its defaults, and with the scale and the LoRA of the
        adapter that they then share."""
        pipe = super().from_pipe(pipeline, **kwargs)
        if isinstance(pipeline, ModelKindMixin):
            pipe.generation_defaults = pipeline.generation_defaults
            if pipe.emotion_adapter is not None and pipe.emotion_adapter is pipeline.emotion_adapter:
                pipe._emotion_scale, pipe._emotion_lora = pipeline._emotion_scale, pipeline._emotion_lora
        return pipe


def check_kind(config: Mapping[str, Any], expand_timesteps: bool, takes_image: bool, name: str) -> None:
    """Refuse a transformer of the other kind; one that is of neither is left to the stock pipeline.

    Args:
        config: the transformer's.
        name: of the model, for the error.

    Raises:
        ValueError: naming the class to use.
    """
    if (other := next((what for key, what in _OTHERS.items() if config.get(key) is not None), None)) is not None:
        raise ValueError(
            f"{name} is a Wan model of another kind, {other}, which has a pipeline of its own in diffusers and takes "
            "no emotion here: give a text-to-video or image-to-video model"
        )
    inside = config.get("in_channels", 0)
    outside = config.get("out_channels") or inside
    if takes_image and inside == outside and not expand_timesteps:
        raise ValueError(
            f"{name} is a text-to-video model ({inside} channels in and out, none for a first frame): use "
            "EmotionWanPipeline, or load an image-to-video model such as Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"
        )
    if not takes_image and _takes_first_frame(config):
        raise ValueError(
            f"{name} is an image-to-video model ({inside} channels in, {outside} out): use "
            "EmotionWanImageToVideoPipeline"
        )
