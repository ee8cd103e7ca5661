"""The tokenizer inside ComfyUI's text encoders: ids as SentencePiece itself gives them."""

import struct

import layout_parts as parts
import pytest
import torch

from emogen.pipelines.loading import open_pipeline
from emogen.pipelines.spiece import tokenizer_of

PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581a", -1.0), ("\u2581red", -2.0), ("\u2581", -3.0),
          ("ball", -2.5), ("b", -6.0), ("all", -6.0), ("r", -7.0), ("e", -7.0), ("d", -7.0)]  # fmt: skip


def varint(value):
    made = b""
    while value > 0x7F:
        made, value = made + bytes([value & 0x7F | 0x80]), value >> 7
    return made + bytes([value])


def message(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def spiece_model(pieces=PIECES):
    """A SentencePiece model by its format: pieces with scores, `<unk>` as 2, no normalisation but of spaces."""
    made = b""
    for index, (piece, score) in enumerate(pieces):
        kind = b"\x18" + varint({0: 3, 1: 3, 2: 2}.get(index, 1))
        made += message(1, message(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + kind)
    trained = varint(3 << 3) + varint(1) + varint(40 << 3) + varint(2)
    return made + message(2, trained) + message(3, message(1, b"identity"))


@pytest.mark.parametrize(
    ("text", "ids"),
    [("a red ball", [3, 4, 5, 6, 1]), ("  a   red ", [3, 4, 1]), ("ball", [5, 6, 1]), ("a Q", [3, 5, 2, 1]), ("", [1])],
)
def test_ids(text, ids):
    assert tokenizer_of(spiece_model())(text).input_ids == ids


def test_as_sentencepiece_itself(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece", reason="compares with the package sentencepiece")
    words = ["a", "round", "yellow", "face", "on", "the", "table", "red", "ball", "shows", "joy", "and", "fear", "of"]
    words += ["snow", "!", "?", ".", ",", "12", "34"]
    (tmp_path / "c.txt").write_text("\n".join(" ".join(words[i % 19 :] + words[: i % 7]) for i in range(300)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "c.txt"), model_prefix=str(tmp_path / "t5"), vocab_size=330, model_type="unigram",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "t5.model"), add_eos=True)
    ours = tokenizer_of((tmp_path / "t5.model").read_bytes())
    for text in (
        "a round yellow face",
        "  two   spaces ",
        "Joy and fear, \u00e9t\u00e9 \uff01 \u4e2d\u6587",
        "Ω 🙂",
        "",
    ):
        assert ours(text).input_ids == theirs.encode(text), text


def test_it_comes_with_the_text_encoder(tmp_path):
    """Without a tokenizer's folder, and without a network."""
    root = parts.comfyui_folder(tmp_path)
    for file in (root / "text_encoders" / "tokenizer").iterdir():
        file.unlink()
    parts.save(parts.wan_names(parts.transformer()), root / "diffusion_models" / "wan.safetensors")
    tensors = parts.text_tensors(parts.text_encoder())
    tensors["spiece_model"] = torch.tensor(list(spiece_model()), dtype=torch.uint8)
    parts.save(tensors, root / "text_encoders" / "umt5_xxl.safetensors")
    pipe = open_pipeline(str(root / "diffusion_models" / "wan.safetensors"), device="cpu")
    assert pipe.tokenizer("a red ball").input_ids == [3, 4, 5, 6, 1]
    embeds, _ = pipe.encode_prompt("a red ball", do_classifier_free_guidance=False, max_sequence_length=8)
    assert embeds.shape == (1, 8, 16) and not embeds[0, 5:].any()


@pytest.mark.parametrize("content", [b"", b"\xff\xff", spiece_model()[:-9], spiece_model(PIECES[1:])])
def test_what_is_none(content):
    with pytest.raises(ValueError, match=r"no SentencePiece model|no unigram model"):
        tokenizer_of(content)
