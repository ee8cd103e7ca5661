import json

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from emogen.eval.metrics import CLIPTextScore, SDScore, reference_images
from emogen.eval.metrics.clip import CLIPEncoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random CLIP of two layers with a tokenizer of letters, saved as the published ones are."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

    path = tmp_path_factory.mktemp("clip")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{x}</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(path)
    images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    CLIPProcessor(images, tokenizer).save_pretrained(path)
    torch.manual_seed(0)
    small = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2)
    text = dict(
        small, vocab_size=len(words), max_position_embeddings=12, bos_token_id=52, eos_token_id=53, pad_token_id=53
    )
    model = CLIPModel(
        CLIPConfig(text_config=text, vision_config=dict(small, image_size=16, patch_size=8), projection_dim=8)
    )
    for parameter in model.parameters():  # the default start gives all texts nearly one embedding
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.5)
    model.eval().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return CLIPEncoder(folder)


def clips(b, f, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (b, f, 3, size, size), generator=generator, dtype=torch.uint8)


TEXTS = ["a cat", "dogs run", "zebra"]


def test_score_is_the_clamped_mean_over_frames(folder, encoder):
    batch = clips(3, 4)
    mean, std = (
        torch.tensor(getattr(encoder.processor.image_processor, n))[:, None, None] for n in ("image_mean", "image_std")
    )
    with torch.no_grad():
        seen = encoder.model.get_image_features(pixel_values=(batch.flatten(0, 1) / 255 - mean) / std).pooler_output
        said = torch.cat(
            [
                encoder.model.get_text_features(**encoder.processor.tokenizer(t, return_tensors="pt")).pooler_output
                for t in TEXTS
            ]
        )
    cosine = torch.stack([F.cosine_similarity(seen[4 * i : 4 * i + 4], said[i : i + 1]) for i in range(3)])
    assert (cosine < 0).any() and (cosine > 0).any()
    metric = CLIPTextScore(folder)
    assert torch.allclose(metric.score(batch, TEXTS).float(), 100 * cosine.clamp_min(0).mean(1), atol=1e-3)
    metric.update(batch[:2], TEXTS[:2])
    metric.update(batch[2:].float() / 255, TEXTS[2:])
    assert float(metric.compute()) == pytest.approx(float(100 * cosine.clamp_min(0).mean()), abs=1e-3)


def test_agrees_with_torchmetrics(encoder):
    from torchmetrics.functional.multimodal.clip_score import clip_score

    class AsVersion4:  # torchmetrics 1.9 wants transformers 4's plain tensors
        config = encoder.model.config

        def to(self, device):
            return self

        def get_image_features(self, pixels):
            return encoder.model.get_image_features(pixels).pooler_output

        def get_text_features(self, ids, mask):
            return encoder.model.get_text_features(ids, mask).pooler_output

    batch = clips(3, 1, size=24)
    for i, text in enumerate(TEXTS):
        with torch.no_grad():
            expected = clip_score(batch[i, 0], text, lambda: (AsVersion4(), encoder.processor))
        assert float(CLIPTextScore(encoder).score(batch[i : i + 1], [text])) == pytest.approx(float(expected), abs=1e-3)


def test_a_long_text_keeps_its_end(encoder):
    # cut to the model's 12 places: start, ten words, end
    long, cut = " ".join("abcdefghijklmnop"), " ".join("abcdefghij")
    assert torch.allclose(encoder.texts([long]), encoder.texts([cut]), atol=1e-6)
    assert not torch.allclose(encoder.texts([long]), encoder.texts([cut[:-2]]), atol=1e-3)


def test_evalcrafter_feeds_raw_values(encoder):
    batch, text = clips(2, 3, size=40), TEXTS[:2]
    pixels = F.interpolate(batch.flatten(0, 1).float(), (16, 16), mode="bilinear")
    with torch.no_grad():
        seen = F.normalize(encoder.model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
    expected = (seen.unflatten(0, (2, 3)) * encoder.texts(text)[:, None]).sum(-1).mean(1)
    metric = CLIPTextScore(encoder, variant="evalcrafter")
    assert torch.allclose(metric.score(batch, text).float(), expected.float(), atol=1e-5)
    assert not torch.allclose(metric.score(batch, text) * 100, CLIPTextScore(encoder).score(batch, text), atol=0.1)


def test_sd_score_of_a_clip_and_itself_and_by_hand(encoder):
    still = clips(2, 1)
    metric = SDScore(encoder)
    assert torch.allclose(metric.score(still.expand(-1, 3, -1, -1, -1), still), torch.ones(2).double(), atol=1e-6)
    batch, references = clips(2, 3), clips(2, 5, size=30, seed=1)
    found = metric.score(batch, references)
    for i in range(2):
        frames, images = encoder.images(batch[i]), encoder.images(references[i])
        assert float(found[i]) == pytest.approx(float((frames @ images.T).mean()), abs=1e-6)
    metric.update(batch, references)
    assert float(metric.compute()) == pytest.approx(float(found.mean()))
    other = SDScore(encoder, variant="evalcrafter").score(batch, references)
    for i in range(2):
        frames = encoder.raw_images(batch[i], 255.0, antialias=True)
        images = encoder.raw_images(references[i], 1.0, antialias=True)
        assert float(other[i]) == pytest.approx(float((frames @ images.T).mean()), abs=1e-6)
    assert not torch.allclose(other, found, atol=1e-3)


def test_reference_images_are_found_by_name(tmp_path):
    for k in range(2):
        Image.new("RGB", (6, 4), (10 * k, 20, 30)).save(tmp_path / f"clip7_{k}.png")
    found = reference_images(tmp_path, "clip7", count=2)
    assert found.shape == (1, 2, 3, 4, 6) and found[0, 1, :, 0, 0].tolist() == [10, 20, 30]
    with pytest.raises(FileNotFoundError, match=r"clip7_2.png: no such reference image; clip 'clip7' needs 5"):
        reference_images(tmp_path, "clip7")
    Image.new("RGB", (8, 8)).save(tmp_path / "clip7_2.png")
    with pytest.raises(ValueError, match="different sizes"):
        reference_images(tmp_path, "clip7", count=3)


def test_bad_input_is_refused(encoder, tmp_path):
    metric = CLIPTextScore(encoder)
    with pytest.raises(ValueError, match="texts must be 2 strings, one a clip, not one string"):
        metric.update(clips(2, 2), "a cat")
    with pytest.raises(ValueError, match="not 1"):
        metric.update(clips(2, 2), ["a cat"])
    with pytest.raises(ValueError, match="divide by 255"):
        metric.update(clips(1, 2).float(), ["a cat"])
    with pytest.raises(ValueError, match="2 clips and references for 1"):
        SDScore(encoder).update(clips(2, 2), clips(1, 2))
    with pytest.raises(ValueError, match=r"references must be \[B, F, 3, H, W\]"):
        SDScore(encoder).update(clips(2, 2), clips(2, 1)[:, 0])
    with pytest.raises(ValueError, match="variant 'mine'"):
        SDScore(encoder, variant="mine")
    with pytest.raises(FileNotFoundError, match="neither a folder with a CLIP model"):
        CLIPTextScore(tmp_path / "nothing")
    with pytest.raises(ValueError, match="needs its processor too"):
        CLIPTextScore(encoder.model)
    with pytest.raises(ValueError, match="Linear is no CLIP model"):
        CLIPTextScore(torch.nn.Linear(1, 1))
    metric.train()
    assert not metric.encoder.model.training
