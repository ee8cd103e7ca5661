"""The recipe's shortcuts must be exact, and its data honest."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from emogen.emotion import MIKELS, EmotionArc, EmotionState, parse_emotion_or_arc
from emogen.training.families.wan import fold_padding
from recipe import base, clips, judge, shades, text, vae


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    config = vae.VAE_CONFIG | {
        "base_dim": 8,
        "decoder_base_dim": 8,
        "z_dim": 4,
        "latents_mean": [0.0] * 4,
        "latents_std": [1.0] * 4,
    }
    return AutoencoderKLWan(**config).eval()


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 5, 13])
def test_full_sequence_equals_the_cached_loop(autoencoder, frames):
    clip = torch.rand(1, 3, frames, 16, 24) * 2 - 1
    moments = autoencoder._encode(clip)
    latent = moments[:, :4]
    decoded = autoencoder.decode(latent).sample
    with vae.full_sequence():
        assert torch.allclose(vae.encode(autoencoder, clip), moments, atol=1e-5)
        assert torch.allclose(vae.decode(autoencoder, latent).clamp(-1, 1), decoded, atol=1e-5)
    assert torch.equal(autoencoder._encode(clip), moments)  # the patch is gone afterwards


@torch.no_grad()
def test_folded_text_equals_padding_to_512():
    torch.manual_seed(0)
    config = base.TRANSFORMER_CONFIG | {
        "num_layers": 2,
        "num_attention_heads": 2,
        "attention_head_dim": 32,
        "ffn_dim": 64,
        "text_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
    }
    model = WanTransformer3DModel(**config).eval()
    words = torch.randn(2, 9, 16)
    latents, times = torch.randn(2, 4, 2, 8, 8), torch.tensor([300.0, 800.0])
    padded = torch.nn.functional.pad(words, (0, 0, 0, 512 - 9))
    full = model(latents, times, padded, return_dict=False)[0]
    fold_padding(model, 512, 13)
    short = model(latents, times, torch.nn.functional.pad(words, (0, 0, 0, 4)), return_dict=False)[0]
    assert torch.allclose(full, short, atol=1e-5)


def test_times_are_stratified_and_shifted():
    rng = np.random.default_rng(0)
    plain, shifted = (base.shifted_timesteps(rng, 512, s).sort().values for s in (1.0, 3.0))
    assert ((plain > 0) & (plain < 1)).all()
    assert abs(plain.median() - 0.5) < 0.02 and abs(shifted.median() - 0.75) < 0.02
    spread = [base.shifted_timesteps(rng, 64).mean().item() for _ in range(20)]
    assert np.std(spread) < 0.01  # independent draws would spread by 0.025


def test_emotion_words_enter_captions_and_only_when_asked():
    rng = np.random.default_rng(0)
    record = {
        "caption": "a flat sticker of a round red face on a blue background",
        "short": "a round red face",
        "emotion": "sadness",
    }
    plain = {base.caption_of(record, rng, 0.0) for _ in range(50)}
    assert plain == {record["caption"], record["short"]}
    with_words = [base.caption_of(record, rng, 1.0) for _ in range(200)]
    assert all(any(w in t for w in text.EMOTION_WORDS["sadness"]) for t in with_words)
    assert any(t.startswith("a flat sticker of a ") and " round red face" in t for t in with_words)
    assert set(text.EMOTION_WORDS) == set(MIKELS)


def test_tokenizer_is_word_level_and_refuses_to_truncate(tmp_path):
    tokenizer = text.build_tokenizer(["a heart-shaped pink face", "the video is in the"], tmp_path)
    ids, mask = text.tokenize(tokenizer, ["a Pink face", "a dragon"], 8)
    assert ids[0, 3] == tokenizer.eos_token_id and mask[0].tolist() == [1] * 4 + [0] * 4
    assert ids[1, 1] == tokenizer.unk_token_id
    with pytest.raises(ValueError, match="longer than 4"):
        text.tokenize(tokenizer, ["a pink face a pink face"], 4)


def test_stores_are_whole_or_absent(tmp_path):
    with pytest.raises(FileNotFoundError, match="stage `clips`"):
        clips.load(tmp_path, "train_rendered")
    clips.write_rendered(tmp_path, "train", 9)
    drawn, records = clips.load(tmp_path, "train_rendered")
    assert drawn.shape == (9, clips.FRAMES, clips.SIZE, clips.SIZE, 3)
    assert [r["emotion"] for r in records] == list(clips.EMOTIONS)
    before = drawn.copy()
    (tmp_path / "train_rendered.jsonl").unlink()  # as a killed run leaves it
    clips.write_rendered(tmp_path, "train", 9)
    assert (clips.load(tmp_path, "train_rendered")[0] == before).all()


def test_shades_are_labelled_with_what_they_show():
    rng = np.random.default_rng(0)
    for _ in range(40):
        mixed = parse_emotion_or_arc(shades.blend(rng))
        shares = sorted(mixed.distribution)[-3:]
        assert shares[0] == 0 and 0.3 < shares[1] <= shares[2] < 0.7 and 0.35 <= mixed.intensity <= 1.01
        place = parse_emotion_or_arc(shades.point(rng))
        assert place.is_neutral or sum(place.distribution) == pytest.approx(1)
        arc = parse_emotion_or_arc(shades.change(rng))
        assert isinstance(arc, EmotionArc) and not arc.is_constant and arc.keyframes[-1].time <= 1
    shown = shades.states_of("0:neutral@hold 0.5:awe", 5)
    assert [state.dominant for state in shown] == ["neutral", "neutral", "awe", "awe", "awe"]
    assert shades.states_of("fear", 3) == [EmotionState.of("fear")] * 3


def test_a_judge_of_blends_learns_shares():
    half = EmotionState.of("fear", 0.5)
    assert judge._targets(half, by_strength=True)[0][MIKELS.index("fear")] == 0.5
    assert judge._targets(half, by_strength=True)[0][-1] == 0.5
    assert judge._targets(half, by_strength=False)[0][MIKELS.index("fear")] == 1
    neutral, place = judge._targets(EmotionState.neutral(), by_strength=False)
    assert neutral == [0] * 8 + [1] and place == [0, 0]
    assert judge._state({"emotion": "awe", "intensity": 0.4}) == EmotionState.of("awe", 0.4)
    mixed = judge._state({"emotion": "awe:0.5+fear:0.5"})
    assert judge._targets(mixed, by_strength=True)[0] == [*mixed.distribution, 0]
