"""The ComfyUI user's walk: from a training to a LoRA and an adapter that ComfyUI's nodes load.

python benchmarks/walks/comfyui.py --work FOLDER
"""

from __future__ import annotations

from collections.abc import Sequence

from safetensors import safe_open
from walk import StepFailed, Walk, command_line


def walk_on(walk: Walk) -> None:
    """Train a little, write the LoRA in ComfyUI's form, and give the adapter to the nodes."""
    steps, clips = (2, 18) if walk.quick else (20, 90)
    few = " --height 32 --width 32 --train_batch_size 2 --lr_warmup_steps 0" if walk.quick else ""
    options = f"--num_stickers {clips} --validation_steps 0 --max_train_steps {steps}{few}"
    walk.type(f"emogen train --config configs/embedded_t2v.yaml --output_dir out {options}")
    walk.type("emogen convert out my_lora.safetensors --to comfyui")
    (lora,) = walk.made("my_lora.safetensors")
    with safe_open(lora, "np") as file:
        names = list(file.keys())
    strange = [name for name in names if not name.startswith("diffusion_model.")]
    if strange or not any(name.endswith(".alpha") for name in names):
        raise StepFailed(f"{lora.name} is not in ComfyUI's form: {(strange or names)[0]}")
    walk.type("mkdir -p ComfyUI/models/emogen && cp -r out ComfyUI/models/emogen/my_adapter")
    # What ComfyUI does with the nodes, without ComfyUI: tests/comfyui/ runs workflows where there is a checkout of it.
    look = "import emogen, comfyui; from comfyui.adapter import LoadedAdapter as load"
    read = "load('ComfyUI/models/emogen/my_adapter'); print(len(comfyui.NODE_CLASS_MAPPINGS), 'nodes')"
    if "nodes" not in walk.type(f'python -c "{look}; {read}"', counts=False):
        raise StepFailed("the nodes do not read the trained adapter")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return command_line(__doc__, walk_on, argv)


if __name__ == "__main__":
    raise SystemExit(main())
