"""The embedded model: a small Wan2.1 trained by us and shipped in the package, with its adapter and its judges.

It has Wan2.1's architecture and folder format, so whatever runs on it runs unchanged on the published checkpoints.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
WEIGHTS = "diffusion_pytorch_model.safetensors"
CHANGES = "changes.safetensors"
"""Of image to video's transformer what differs from text to video's, in place of the whole."""


def _folder(name: str, file: str) -> str:
    folder = _HERE / name
    if not (folder / file).is_file():
        raise FileNotFoundError(
            f"{folder / file} is missing: this installation came without the embedded weights. "
            "Reinstall emogen, or train them anew with `python -m recipe --help`"
        )
    return str(folder)


def embedded_model() -> str:
    """Folder of the embedded text-to-video model, in diffusers' format: any Wan pipeline's `from_pretrained` reads it.

    Raises:
        FileNotFoundError: the weights are not installed.
    """
    return _folder("model", "model_index.json")


def embedded_adapter() -> str:
    """Folder of the emotion adapter and LoRA trained on the embedded model, for `pipe.load_emotion_adapter`.

    Raises:
        FileNotFoundError: the weights are not installed.
    """
    return _folder("adapter", "config.json")


def embedded_fast() -> str:
    """Folder of a LoRA with which the embedded text-to-video model takes 4 steps without guidance: for `--lora` beside
    `--preset fast`, which loads it by itself.

    Raises:
        FileNotFoundError: the weights are not installed.
    """
    return _folder("fast", "pytorch_lora_weights.safetensors")


def embedded_i2v_model() -> str:
    """Folder of the embedded image-to-video model: for `EmotionWanImageToVideoPipeline`, or diffusers' own.

    It is put together in the user's cache at the first call (`$EMOGEN_CACHE`, by default beside Hugging Face's):
    the package holds what it shares with the text-to-video model only once, and of the transformer perhaps only what
    differs.

    Raises:
        FileNotFoundError: the weights are not installed.
        OSError: no folder can be written.
    """
    from emogen.embedded.assemble import Made, assemble
    from emogen.embedded.merge import merge

    own, shared = Path(_folder("i2v", "model_index.json")), Path(embedded_model())
    parts = {name: shared / name for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
    names = ("transformer", "image_encoder", "image_processor", "model_index.json", "generation_config.json")
    parts |= {name: own / name for name in names}
    changes, whole = own / "transformer" / CHANGES, f"transformer/{WEIGHTS}"
    if not changes.is_file():
        return str(assemble("embedded_i2v", parts))
    parts["transformer/config.json"] = parts.pop("transformer") / "config.json"
    made = {whole: Made((shared / whole, changes), merge)}
    return str(assemble("embedded_i2v", parts, made))


def embedded_i2v_adapter() -> str:
    """Folder of the emotion adapter and LoRA trained on the embedded image-to-video model.

    Raises:
        FileNotFoundError: the weights are not installed.
    """
    return _folder("i2v_adapter", "config.json")


def embedded_judge(kind: str = "judge") -> str:
    """Folder of a small classifier of stickers.

    Args:
        kind: "judge" reads emotion; "judge_blends" too, and has also seen blends of two emotions; "content" reads
            shape, colour and background.

    Raises:
        ValueError: another kind.
        FileNotFoundError: the weights are not installed.
    """
    kinds = ("judge", "judge_blends", "content")
    if kind not in kinds:
        raise ValueError(f"there is no embedded judge {kind!r}; there are {', '.join(kinds)}")
    return _folder(kind, "config.json")
