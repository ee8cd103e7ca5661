"""A Wan2.1 of the published size with random weights, through the commands that people run.

    python benchmarks/real_size.py --work FOLDER              # Wan2.1-T2V-1.3B; about 9 GB of disk and of memory
    python benchmarks/real_size.py --work FOLDER --layers 2   # two of its thirty blocks, in a minute or two

It trains, resumes, samples and exports. Transformer and autoencoder are the published ones in every shape; the text
encoder is one block of the true width, since its output is all that is used and the true one (11 GB) is run once a
caption and put away. Two clips are drawn, so that encoding is real too. Nothing is asserted: the table says what was
done, the seconds, and the memory of the training process beside its forecast. The speed against a plain loop and
DiffSynth-Studio: `benchmarks/train_step.py`.

The forecast is of memory that is in use. glibc keeps freed blocks below a threshold, which it raises up to 32 MiB: a
process that trains on short clips then holds holes beside what it uses. The run that is compared with the forecast
reads its clips from the cache, since encoding is not forecast either, and has the threshold fixed, so that freed memory
goes back at once; that costs it time. Both are beside what a dry run takes, which is Python and its libraries. What the
first run took, as everybody's does, is printed too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from arms import wan_config

ROOT = Path(__file__).parents[1]
WORDS = ("a", "flat", "sticker", "of", "round", "yellow", "square", "blue", "face")
GIB = 2**30
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
"""What makes glibc return freed blocks of 64 KiB and more to the system."""


def make_model(folder: Path, name: str, layers: int | None) -> None:
    """A folder in diffusers' format. Whatever is in it already stays."""
    import torch
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    if (folder / "model_index.json").is_file():
        return
    torch.manual_seed(0)
    published = json.loads((ROOT / "tests/fixtures/wan_configs.json").read_text())
    vocabulary = {word: index for index, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    width = published["text_encoder"]["d_model"]
    small = {"d_kv": 64, "d_ff": 128, "num_layers": 1, "num_heads": 2, "vocab_size": len(vocabulary)}
    torch.set_default_dtype(torch.bfloat16)  # 1.3 billion float32 numbers are not needed, even for a moment
    try:
        transformer = WanTransformer3DModel.from_config(wan_config(name, layers))
    finally:
        torch.set_default_dtype(torch.float32)
    WanPipeline(
        tokenizer=tokenizer,
        text_encoder=UMT5EncoderModel(UMT5Config(d_model=width, **small)),
        transformer=transformer,
        vae=AutoencoderKLWan.from_config(published["vae"]["Wan2.1"]),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    ).save_pretrained(folder)


def make_clips(folder: Path, frames: int, height: int, width: int) -> None:
    """Two drawn clips with captions and labels."""
    import numpy as np

    from emogen.media import write_video
    from emogen.stickers.render import StickerSpec, render

    rows = []
    for index, (shape, color, emotion) in enumerate((("round", "yellow", "joy"), ("square", "blue", "fear"))):
        spec = StickerSpec(shape, color, "white", "none", emotion="amusement" if index == 0 else "fear")
        clip = render(spec, num_frames=frames, size=min(height, width), fps=16)[..., :3]
        side = (width - clip.shape[2]) // 2
        clip = np.pad(clip, ((0, 0), (0, 0), (side, width - clip.shape[2] - side), (0, 0)), mode="edge")
        write_video(folder / f"{index}.mp4", clip, 16)
        rows.append({"file_name": f"{index}.mp4", "caption": f"a {shape} {color} face", "emotion": emotion})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


class Run:
    """A command, its words, its seconds and the peak of its memory."""

    def __init__(self, *words: object, environment: Mapping[str, str] | None = None):
        command = [sys.executable, *map(str, words)]
        start = time.perf_counter()
        self.said, self.peak = "", 0
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        for line in process.stdout:
            self.said += line
            sys.stderr.write(line)
            self.peak = max(self.peak, _high_water(process.pid))
        self.status = process.wait()
        self.seconds = time.perf_counter() - start
        if self.status:
            raise SystemExit(f"{' '.join(command)} ended with {self.status}; its words are above")


def _high_water(pid: int) -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else 0


def forecast_of(said: str) -> int:
    """Bytes of the forecast's total."""
    number, unit = re.search(r"^  total\s+([\d.,]+) (\w+)", said, re.MULTILINE).groups()
    return round(float(number.replace(",", "")) * {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit])


def main(argv: Sequence[str] | None = None) -> None:
    """Do it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the model and what comes of it")
    parser.add_argument("--model", default="Wan2.1-T2V-1.3B", help="a name of tests/fixtures/wan_configs.json")
    parser.add_argument("--layers", type=int, help="only so many blocks, which are all alike")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=416)
    args = parser.parse_args(argv)
    name = f"{args.model}-{args.layers}" if args.layers else args.model
    work = args.work / name
    clips, out = work / "clips", work / "out"
    if (args.height % 16, args.width % 16, args.frames % 4) != (0, 0, 1):
        parser.error("height and width are multiples of 16, frames are 4k+1")
    clips.mkdir(parents=True, exist_ok=True)
    make_model(work / "model", args.model, args.layers)
    make_clips(clips, args.frames, args.height, args.width)
    shutil.rmtree(out, ignore_errors=True)
    size = ("--num_frames", args.frames, "--height", args.height, "--width", args.width)
    train = ["train_lora.py", "--config", "configs/wan2.1_t2v_1.3b.yaml", "--pretrained_model_name_or_path",
             work / "model", "--dataset_name", clips, "--cache_dir", work / "cache", "--output_dir", out, *size,
             "--checkpointing_steps", 1, "--validation_steps", 0, "--preview_steps", 0, "--report_to", "null",
             "--train_batch_size", 1, "--gradient_accumulation_steps", 1, "--cpu", "true",
             "--export_formats", "[comfyui]"]  # fmt: skip
    rows = []
    bare = Run(*train, "--max_train_steps", 2, "--dry_run", environment=GIVES_BACK).peak
    one = Run(*train, "--max_train_steps", 2)
    rows.append(("encode two clips, train two steps, export", one))
    before = (out / "checkpoint-2" / "trained.safetensors").read_bytes()
    shutil.rmtree(out / "checkpoint-2")
    resume = ("--max_train_steps", 2, "--resume_from_checkpoint", "latest")
    again = Run(*train, *resume, environment=GIVES_BACK)
    rows.append(("train the second step again, resumed from the first", again))
    exact = (out / "checkpoint-2" / "trained.safetensors").read_bytes() == before
    rows.append(("sample two steps with the adapter", Run(
        "sample.py", "--model", work / "model", "--adapter", out, "--prompt", "a round yellow face", "--emotion", "joy",
        *size, "--num_inference_steps", 2, "--seed", 0, "--dtype", "bfloat16", "--output", work / "joy.mp4",
    )))  # fmt: skip
    tokens = ((args.frames - 1) // 4 + 1) * args.height // 16 * args.width // 16
    print(f"\n{name}, {args.frames}x{args.height}x{args.width} ({tokens:,} tokens), {psutil.cpu_count()} cores\n")
    print("| what | seconds | peak of the process, GiB |\n|---|---|---|")
    for what, run in rows:
        print(f"| {what} | {run.seconds:.0f} | {run.peak / GIB:.2f} |")
    expected = forecast_of(again.said)
    found = again.peak - bare
    print(f"\nresumed: {'bit for bit the same weights' if exact else 'NOT the same weights'}")
    print(f"memory in use while it trains: {found / GIB:.2f} GiB beside {bare / GIB:.2f} of a dry run; "
          f"forecast {expected / GIB:.2f} ({expected / found - 1:+.1%})")  # fmt: skip
    print(f"the first run, with what the C library keeps and what encoding took: {(one.peak - bare) / GIB:.2f} GiB")
    adapter = sum(file.stat().st_size for file in out.glob("*.safetensors"))
    print(f"exported: {', '.join(sorted(file.name for file in out.glob('*.safetensors')))} ({adapter / 2**20:.0f} MiB)")


if __name__ == "__main__":
    main()
