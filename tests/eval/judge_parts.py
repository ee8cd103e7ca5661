"""Tiny models, saved as the published ones are, and labelled folders that any judge can learn."""

import json

import numpy as np
import torch

from emogen.emotion import MIKELS
from emogen.media.writer import write_video

SMALL = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2)
SQUARE = dict(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def loud(model):
    """Larger weights, so that outputs differ."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.5)
    return model.eval()


def save_clip(path):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

    path.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz-,"
    words = [*letters, *(f"{x}</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    CLIPProcessor(CLIPImageProcessorPil(**SQUARE), CLIPTokenizer.from_pretrained(path)).save_pretrained(path)
    end = len(words) - 1
    text = dict(
        SMALL,
        vocab_size=len(words),
        max_position_embeddings=64,
        bos_token_id=end - 1,
        eos_token_id=end,
        pad_token_id=end,
    )
    model = CLIPModel(
        CLIPConfig(text_config=text, vision_config=dict(SMALL, image_size=16, patch_size=8), projection_dim=8)
    )
    loud(model).save_pretrained(path)
    return path


def tokenizer_of_bytes(special, bos=None):
    """A tokenizer of bytes and a few merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("a", "w"), ("aw", "e"), ("s", "a"), ("d", "n"), ("f", "e"), ("fe", "a")]
    vocab |= {"".join(pair): len(vocab) + i for i, pair in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        bos_token=bos,
        additional_special_tokens=special,
    )


def save_video_llava(path):
    """A model that takes videos; its processor needs torchvision."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )

    fast = tokenizer_of_bytes(["<image>", "<video>"])
    size = {"height": 16, "width": 16}
    template = TEMPLATE.replace("{% else %}{{ c", "{% elif c['type'] == 'video' %}<video>{% else %}{{ c")
    LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[16, 16]]), fast,
        LlavaOnevisionVideoProcessor(size=size), num_image_tokens=4, vision_feature_select_strategy="full",
        chat_template=template,
    ).save_pretrained(path)  # fmt: skip
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(**SMALL, image_size=16, patch_size=8, vision_use_head=False),
        text_config=Qwen2Config(**SMALL, vocab_size=len(fast), num_key_value_heads=2, max_position_embeddings=1024),
        image_token_id=fast.convert_tokens_to_ids("<image>"), video_token_id=fast.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[16, 16]], vision_feature_layer=-1,
    )  # fmt: skip
    loud(LlavaOnevisionForConditionalGeneration(config)).save_pretrained(path)
    return path


def save_llava(path, template=TEMPLATE, bos=None):
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    fast = tokenizer_of_bytes(["<image>"], bos)
    LlavaProcessor(
        CLIPImageProcessorPil(**SQUARE),
        fast,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=template,
        num_additional_image_tokens=1,
    ).save_pretrained(path)
    text = LlamaConfig(**SMALL, vocab_size=len(fast), num_key_value_heads=2, max_position_embeddings=1024)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**SMALL, image_size=16, patch_size=8),
        text_config=text,
        image_token_index=fast.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    loud(LlavaForConditionalGeneration(config)).save_pretrained(path)
    return path


def save_videomae(path):
    from transformers import VideoMAEConfig, VideoMAEImageProcessorPil, VideoMAEModel

    config = VideoMAEConfig(**SMALL, image_size=16, patch_size=8, num_frames=4, tubelet_size=2)
    loud(VideoMAEModel(config)).save_pretrained(path)
    VideoMAEImageProcessorPil(**SQUARE).save_pretrained(path)
    return path


def clip_of(place, rng, frames=4, size=16):
    """A clip uint8 `(F, H, W, 3)` whose colour tells its label's place, under noise."""
    color = np.array([40 + 170 * (place >> bit & 1) for bit in range(3)]) * (0.6 if place == 8 else 1)
    noise = rng.normal(0, 25, (frames, size, size, 3))
    return np.clip(color + noise, 0, 255).astype(np.uint8)


def save_clips(folder, each=6, labels=MIKELS, splits=("train", "train", "train", "train", "val", "val"), **more):
    """A labelled folder; clip `k` of a label is of split `splits[k % len(splits)]`."""
    rng = np.random.default_rng(more.pop("seed", 0))
    rows = []
    for place, label in enumerate(labels):
        for k in range(each):
            name = f"{label}_{k}.png"
            write_video(folder / name, clip_of(place, rng), 4)
            row = {"file_name": name, "caption": f"a {label} clip {k}", "emotion": label, **more}
            rows.append(row | ({"split": splits[k % len(splits)]} if splits else {}))
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
