"""The recipe, one command a stage: `python -m recipe STAGE --work FOLDER`.

Every stage goes on where it stopped and leaves a finished result alone. In order:

    clips    draw the rendered stickers, import the real ones (--source: folder with the npm packages)
    vae      train the autoencoder
    latents  encode the training clips
    text     tokenizer, and the text encoder's first lessons
    base     train the base model; `torchrun --nproc_per_node 2 -m recipe base ...` uses two cores
    export   write the diffusers folder
    dataset  write the emotion stage's training folder (metadata.jsonl and WebP clips) for `train_lora.py`
    turns    draw and dissolve faces that change, and encode them, for image-to-video
    i2v      train the image-to-video base, from the text-to-video base
    export_i2v, dataset_i2v   as export and dataset, of image-to-video
    judge    train the emotion judge (--source: also static art of other vendors)
    judge_blends   train the second judge, which has also seen blends of two emotions and points of the plane
    judge_art      train a judge on other people's drawings alone, to ask whether ours are read as they mean
    content  train the content reader

The emotion adapter and LoRA come after `dataset`, from the same trainer that everyone uses:
`accelerate launch train_lora.py --config configs/embedded_t2v.yaml --dataset_name WORK/emotion_dataset`, and once more
from there (`--lora_weights`, `--adapter_weights`, `--learning_rate 7e-4 --adapter_learning_rate 2e-3
--max_train_steps 1800`, or more); for image-to-video, after `dataset_i2v`, with `configs/embedded_i2v.yaml`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

STAGES = (
    "clips",
    "vae",
    "latents",
    "text",
    "base",
    "export",
    "dataset",
    "turns",
    "i2v",
    "export_i2v",
    "dataset_i2v",
    "judge",
    "judge_blends",
    "judge_art",
    "content",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m recipe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--work", type=Path, required=True, help="folder for everything on the way (about 10 GB)")
    parser.add_argument("--source", type=Path, help="folder with the npm packages of emoji art, as packed or unpacked")
    parser.add_argument("--out", type=Path, help="where results go (default: the work folder)")
    parser.add_argument("--minutes", type=float, nargs="+", help="training time of the stage, a number a phase")
    parser.add_argument("--threads", type=int, default=1, help="threads of a single-process stage")
    args = parser.parse_args()
    import torch

    from recipe import stages

    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    getattr(stages, args.stage)(args)


if __name__ == "__main__":
    main()
