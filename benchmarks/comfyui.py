"""How far ComfyUI's samples with the nodes of comfyui/ are from those of the pipelines, on a CPU, for the same weights.

    python benchmarks/comfyui.py --comfyui PATH [--json FILE] [--only NAME ...]

PATH is a checkout of ComfyUI whose requirements are installed. Every row samples the same noise with the same weights,
text and emotion twice: by emogen's pipeline (image to video: by the transformer in a loop), and by ComfyUI's own guider
and Euler sampler on a model made by the nodes.

prediction  largest difference of what the model predicts from the noise with the emotion, before any guidance
largest     largest value of the prediction; moved: how far the emotion moved it
latents     largest difference of the latents after the last step, with CFG and emotion guidance
restored    whether the model without the emotion, and that with it, predict the same bits after others have run

In rows of 16 and 8 bits ComfyUI alone computes so, and is held against the pipeline in float32.

The transformers are tiny and random, but for "embedded".
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
SHIFT = 3.0
SIZES = {
    "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 32, "in_channels": 16, "out_channels": 16,
    "text_dim": 16, "freq_dim": 32, "ffn_dim": 96, "num_layers": 3, "cross_attn_norm": True,
}  # fmt: skip
IMAGE = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 64}
VACE = {"num_layers": 4, "vace_layers": [0, 2], "vace_in_channels": 96}
FRAMES, SIDE = 5, 8
ARC = "0:neutral 0.5:fear 1:joy@hold"


def import_comfyui(checkout: Path) -> str:
    """Make ComfyUI importable, on the CPU and without its command line; returns its version."""
    sys.path[:0] = [str(checkout), str(ROOT)]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    return import_module("comfyui_version").__version__


def import_pack() -> Any:
    """The node pack under the name `emogen_nodes`, as ComfyUI loads it: by the path of its folder."""
    if "emogen_nodes" not in sys.modules:
        spec = spec_from_file_location("emogen_nodes", ROOT / "comfyui" / "__init__.py")
        sys.modules["emogen_nodes"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["emogen_nodes"]


@dataclass
class Case:
    """One comparison.

    Args:
        kind: "t2v", "i2v", "vace" or "embedded".
        guidance: emotion guidance's scale.
        lora: the adapter's, from the "file" that `emogen convert` writes or by the "node".
        low_memory: load the model and the adapter so that ComfyUI fetches their weights layer by layer.
        halves: apply the emotion twice, once for each half of the sampling.
        dtype: of ComfyUI's weights; compute: of its computation, where that is another one.
    """

    kind: str
    emotion: str = "fear"
    negative: str | None = None
    strength: float = 1.0
    cfg: float = 4.0
    guidance: float | None = None
    lora: str | None = None
    low_memory: bool = False
    halves: bool = False
    steps: int = 3
    clips: int = 1
    dtype: torch.dtype = torch.float32
    compute: torch.dtype | None = None


CASES = {
    "text to video": Case("t2v"),
    "two clips, strength 0.7": Case("t2v", "joy:0.7+awe:0.3", strength=0.7, clips=2),
    "without CFG": Case("t2v", "awe", cfg=1.0),
    "negative emotion": Case("t2v", "amusement", negative="sadness:0.5"),
    "arc": Case("t2v", ARC),
    "arc against an emotion": Case("t2v", ARC, negative="sadness"),
    "neutral": Case("t2v", "neutral"),
    "in two halves of the steps": Case("t2v", "contentment", halves=True),
    "emotion guidance": Case("t2v", "anger", guidance=7.0),
    "emotion guidance of an arc": Case("t2v", ARC, guidance=1.5, negative="awe:0.5"),
    "low memory": Case("t2v", low_memory=True),
    "arc, low memory": Case("t2v", ARC, low_memory=True),
    "image to video": Case("i2v"),
    "image to video, arc": Case("i2v", ARC),
    "image to video, low memory": Case("i2v", "disgust", negative="awe", low_memory=True),
    "VACE": Case("vace", "awe"),
    "VACE, arc": Case("vace", ARC),
    "embedded model": Case("embedded", "sadness", cfg=2.5),
    "embedded model, LoRA file of the export": Case("embedded", "sadness", cfg=2.5, lora="file"),
    "embedded model, LoRA by the node": Case("embedded", "sadness", cfg=2.5, lora="node"),
    "embedded model, LoRA, arc, low memory": Case("embedded", ARC, cfg=2.5, lora="file", low_memory=True),
    "embedded model, LoRA, 20 steps": Case("embedded", "anger", cfg=2.5, lora="file", steps=20),
    "bfloat16": Case("t2v", dtype=torch.bfloat16),
    "float16": Case("t2v", dtype=torch.float16),
    "fp8 weights, bfloat16": Case("t2v", dtype=torch.float8_e4m3fn, compute=torch.bfloat16),
}


@dataclass
class Scene:
    """What both sides sample: weights, text, noise."""

    case: Case
    transformer: Any
    adapter: str
    embeds: list[torch.Tensor]
    """Of the prompt and the negative prompt, [1, 512, text_dim]."""
    noise: torch.Tensor
    image: dict[str, torch.Tensor] = field(default_factory=dict)
    vae: dict[str, Any] | None = None


def make_scene(case: Case, folder: Path) -> Scene:
    """Random weights, the same for the same kind; the embedded model's where that is asked for."""
    from diffusers import WanTransformer3DModel, WanVACETransformer3DModel

    from emogen.embedded import embedded_adapter, embedded_model
    from emogen.models import EmotionAdapterConfig, attach_emotion_adapter, detach_emotion_adapter, save_emotion_adapter

    random = torch.Generator().manual_seed(1)
    if case.kind == "embedded":
        transformer = WanTransformer3DModel.from_pretrained(embedded_model(), subfolder="transformer")
        vae = json.loads((Path(embedded_model()) / "vae" / "config.json").read_text())
        text = torch.randn(2, 512, 128, generator=random) * (torch.arange(512) < 9)[None, :, None]
        noise = torch.randn(case.clips, 16, 7, 24, 24, generator=random)
        return Scene(case, transformer.float().eval(), embedded_adapter(), list(text.split(1)), noise, vae=vae)
    torch.manual_seed(0)
    if case.kind == "vace":
        transformer = WanVACETransformer3DModel(**SIZES | VACE).eval()
    else:
        transformer = WanTransformer3DModel(**SIZES | (IMAGE if case.kind == "i2v" else {})).eval()
    with torch.no_grad():
        for value in transformer.parameters():  # biases and gates too, which start at zero or nearly
            value.add_(0.05 * torch.randn(value.shape, generator=random))
    adapter = attach_emotion_adapter(transformer, EmotionAdapterConfig(rank=64, head_dim=32, hidden_dim=32))
    with torch.no_grad():
        for value in adapter.state_dict().values():
            value.add_(0.2 * torch.randn(value.shape, generator=random))
    save_emotion_adapter(folder, adapter)
    detach_emotion_adapter(transformer)
    text = torch.randn(2, 512, 16, generator=random) * (torch.arange(512) < 20)[None, :, None]
    noise = torch.randn(case.clips, 16, FRAMES, SIDE, SIDE, generator=random)
    image = {}
    if case.kind == "i2v":
        image = {
            "latents": torch.randn(1, 16, FRAMES, SIDE, SIDE, generator=random),
            "mask": torch.randint(2, (1, 4, FRAMES, SIDE, SIDE), generator=random).float(),
            "embeds": torch.randn(1, 257, 1280, generator=random),
        }
    if case.kind == "vace":
        image = {"control": torch.randn(1, 96, FRAMES, SIDE, SIDE, generator=random)}
    return Scene(case, transformer, str(folder), list(text.split(1)), noise, image)


def by_pipeline(scene: Scene, case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents [B, 16, F, h, w] of emogen's text-to-video pipeline, and the noise levels it went through."""
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler

    from emogen.pipelines import EmotionWanPipeline

    vae = AutoencoderKLWan.from_config(scene.vae) if scene.vae else None
    pipe = EmotionWanPipeline(
        tokenizer=None, text_encoder=None, vae=vae, transformer=scene.transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    pipe.load_emotion_adapter(scene.adapter, load_lora=case.lora is not None)
    spatial, temporal = pipe.vae_scale_factor_spatial, pipe.vae_scale_factor_temporal
    clips, _, frames, height, width = scene.noise.shape
    made = pipe(
        prompt_embeds=scene.embeds[0].expand(clips, -1, -1),
        negative_prompt_embeds=scene.embeds[1].expand(clips, -1, -1),
        height=height * spatial, width=width * spatial, num_frames=(frames - 1) * temporal + 1,
        num_inference_steps=case.steps, guidance_scale=case.cfg, latents=scene.noise.clone(), output_type="latent",
        max_sequence_length=512, emotion=case.emotion, negative_emotion=case.negative, emotion_scale=case.strength,
        emotion_guidance_scale=case.guidance,
    )  # fmt: skip
    latents, sigmas = made.frames, pipe.scheduler.sigmas.clone()
    pipe.unload_emotion_adapter()
    return latents, sigmas


def by_transformer(scene: Scene, case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for image to video and VACE: Euler steps on the transformer with its adapter."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    from emogen.emotion.given import read_emotion
    from emogen.models import detach_emotion_adapter, load_emotion_adapter
    from emogen.models.encoder import emotion_tensors

    adapter = load_emotion_adapter(scene.adapter, scene.transformer)
    adapter.scale = case.strength
    read = [read_emotion(case.emotion), read_emotion(case.negative)]
    moving = any(hasattr(emotion, "keyframes") for emotion in read)
    contexts = [
        torch.cat([text, adapter.tail(emotion_tensors([emotion], scene.noise.shape[2], 4, moving))], dim=1)
        for text, emotion in zip(scene.embeds, read, strict=True)
    ]
    scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    scheduler.set_timesteps(case.steps)
    sigmas, latents = scheduler.sigmas.clone(), scene.noise.clone()
    given, condition = {}, []
    if case.kind == "vace":
        given = {"control_hidden_states": scene.image["control"], "control_hidden_states_scale": torch.ones(2)}
    else:
        given = {"encoder_hidden_states_image": scene.image["embeds"]}
        condition = [scene.image["mask"], scene.image["latents"]]
    with torch.no_grad():
        for step, sigma in enumerate(sigmas[:-1]):
            hidden, level = torch.cat([latents, *condition], dim=1), (sigma * 1000)[None]
            found = [scene.transformer(hidden, level, text, return_dict=False, **given)[0] for text in contexts]
            latents = latents + (sigmas[step + 1] - sigma) * torch.lerp(found[1], found[0], case.cfg)
    detach_emotion_adapter(scene.transformer)
    return latents, sigmas


def load_in_comfyui(scene: Scene, case: Case) -> tuple[Any, Any, Any, Any]:
    """The model, the same one with the emotion, with emotion guidance too, and with another emotion."""
    pack = import_pack()
    embedded, adapters = import_module("emogen_nodes.embedded"), import_module("emogen_nodes.adapter")
    latents = embedded.latent_format(scene.vae) if scene.vae else None
    sizes, weights = dict(scene.transformer.config), scene.transformer.state_dict()
    base = embedded.load_transformer(
        sizes, weights, shift=SHIFT, latents=latents, dtype=case.dtype, compute=case.compute
    )
    adapter = adapters.LoadedAdapter(scene.adapter)
    nodes = pack.NODE_CLASS_MAPPINGS
    if case.lora == "node":
        (base,) = nodes["EmogenAdapterLora"]().apply(base, adapter, 1.0)
    elif case.lora == "file":
        base = _with_exported_lora(base, scene.adapter)
    emotion, _ = nodes["EmogenWords"]().make(case.emotion, 1.0)
    negative = nodes["EmogenWords"]().make(case.negative, 1.0)[0] if case.negative else None
    model = base
    for start, end in ((0.0, 0.5), (0.5, 1.0)) if case.halves else ((0.0, 1.0),):
        (model,) = nodes["EmogenApply"]().apply(model, adapter, emotion, case.strength, start, end, negative)
    guided = model
    if case.guidance is not None:
        (guided,) = nodes["EmogenGuidance"]().apply(model, case.guidance, 0.0, 1.0)
    (other,) = nodes["EmogenApply"]().apply(base, adapter, nodes["EmogenWords"]().make("joy", 1.0)[0], 1.0, 0.0, 1.0)
    return base, model, guided, other


def by_comfyui(scene: Scene, case: Case, model: Any, sigmas: torch.Tensor) -> torch.Tensor:
    """Latents of ComfyUI's sampler, in the scale that the network has them in."""
    import comfy.samplers

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(*([[text, _image_condition(scene, model)]] for text in scene.embeds))
    guider.set_cfg(case.cfg)
    sampler = comfy.samplers.ksampler("euler")
    with LowMemory(case.low_memory), torch.no_grad():
        made = guider.sample(scene.noise, torch.zeros_like(scene.noise), sampler, sigmas, disable_pbar=True)
    return model.model.process_latent_in(made)


def _image_condition(scene: Scene, model: Any) -> dict[str, Any]:
    if not scene.image:
        return {}
    if "control" in scene.image:
        frames, mask = scene.image["control"].split([32, 64], dim=1)
        raw = torch.cat([model.model.process_latent_out(part) for part in frames.split(16, dim=1)], dim=1)
        return {"vace_frames": [raw], "vace_mask": [mask], "vace_strength": [1.0]}
    from types import SimpleNamespace

    return {
        "concat_latent_image": model.model.process_latent_out(scene.image["latents"]),
        "concat_mask": 1 - scene.image["mask"],
        "clip_vision_output": SimpleNamespace(penultimate_hidden_states=scene.image["embeds"]),
    }


def _with_exported_lora(model: Any, adapter: str) -> Any:
    import comfy.sd
    import comfy.utils

    from emogen.models.lora import read_lora, write_lora

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lora.safetensors"
        write_lora(read_lora(adapter), file, "comfyui")
        return comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(str(file)), 1.0, 0)[0]


class LowMemory:
    """While open, every model is loaded as on a card too small for any of its layers: on a CPU ComfyUI would not."""

    def __init__(self, wanted: bool):
        self.wanted = wanted

    def __enter__(self) -> None:
        import comfy.model_management as management

        self.stock = management.load_models_gpu
        if self.wanted:
            management.load_models_gpu = self._load

    def __exit__(self, *error: Any) -> None:
        import comfy.model_management as management

        management.load_models_gpu = self.stock

    @staticmethod
    def _load(models: list[Any], **kwargs: Any) -> None:
        for model in models:
            model.partially_load(torch.device("cpu"), extra_memory=1)
            assert model.model.model_lowvram


def compare(case: Case) -> dict[str, Any]:
    """See the top of the file."""
    sample: Callable = by_transformer if case.kind in ("i2v", "vace") else by_pipeline
    once = replace(case, steps=1, cfg=1.0, guidance=None)
    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(case, Path(folder))
        (first, one_step), (last, sigmas) = sample(scene, once), sample(scene, case)
        base, model, guided, other = load_in_comfyui(scene, case)
        before = by_comfyui(scene, once, base, one_step)
        # The one step goes from noise to none, so its latents are the noise less the prediction.
        found = by_comfyui(scene, once, model, one_step)
        whole = by_comfyui(scene, case, guided, sigmas)
        by_comfyui(scene, once, other, one_step)
        again = by_comfyui(scene, once, model, one_step)
        after = by_comfyui(scene, once, base, one_step)
    return {
        "prediction": float((first - found).abs().max()),
        "latents": float((last - whole).abs().max()),
        "moved": float((found - before).abs().max()),
        "largest": float((scene.noise - first).abs().max()),
        "restored": bool(torch.equal(before, after) and torch.equal(found, again)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME")
    args = parser.parse_args()
    version = import_comfyui(args.comfyui)
    torch.set_num_threads(1)
    rows = {}
    print(f"ComfyUI {version}, torch {torch.__version__}\n")
    print("| case | prediction | largest | moved | latents | after steps | restored |\n|---|---|---|---|---|---|---|")
    for name in args.only:
        rows[name] = row = compare(CASES[name])
        figures = f"{row['prediction']:.1e} | {row['largest']:.1f} | {row['moved']:.1f} | {row['latents']:.1e}"
        print(f"| {name} | {figures} | {CASES[name].steps} | {'yes' if row['restored'] else 'NO'} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"version": version, "rows": rows}))


if __name__ == "__main__":
    main()
