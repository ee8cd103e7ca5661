import json
from dataclasses import replace

import pytest
import torch

from emogen.data.buckets import Bucket
from emogen.data.records import read_records
from emogen.files import fingerprint_sample
from emogen.training.config import DataConfig
from emogen.training.data.clips import ClipError, PlannedClip, load_clip, resolve_geometry
from emogen.training.data.encode import Encoding, cache_of, encode_captions, encode_clips
from emogen.training.families import family_of
from emogen.training.families.wan import WanClipEncoder, WanFamily

CPU = torch.device("cpu")


SIZE = Bucket(5, 16, 16)


@pytest.fixture
def cache(tmp_path, model_folder):
    return cache_of(family_of(model_folder), tmp_path / "cache", 8.0, "skip", 12)


@pytest.fixture
def encode(cache, model_folder):
    """Encode clips into the cache; returns those that cannot be read."""
    return lambda clips, batch: encode_clips(family_of(model_folder), cache, clips, Encoding(CPU, clips=batch))


@pytest.fixture(scope="module")
def records(clips_folder):
    return read_records(clips_folder)


@pytest.fixture(scope="module")
def clips(records):
    return [PlannedClip(record, SIZE) for record in records]


def of_size(clip, **changes):
    return replace(clip, bucket=replace(clip.bucket, **changes))


def test_geometry_comes_from_the_model_unless_configured(model_folder, tmp_path):
    geometry = resolve_geometry(family_of(model_folder).clip_defaults, DataConfig(dataset_name="unused", height=32))
    assert (geometry.height, geometry.width, geometry.num_frames) == (32, 16, 5)
    assert (geometry.fps, geometry.max_sequence_length) == (8, 12)
    published = resolve_geometry(WanFamily.from_config({}, tmp_path).clip_defaults, DataConfig(dataset_name="unused"))
    assert (published.height, published.width, published.num_frames, published.fps) == (480, 832, 81, 16)


def test_a_clip_is_cropped_centrally_and_scaled(clips):
    plain = load_clip(clips[0], 8, "skip")
    assert plain.shape == (3, 5, 16, 16) and plain.min() >= -1 and plain.max() <= 1
    wide = load_clip(of_size(clips[0], height=8), 8, "skip")
    assert torch.equal(wide, plain[:, :, 4:12])
    assert load_clip(of_size(clips[0], height=32, width=32), 8, "skip").shape == (3, 5, 32, 32)
    assert torch.equal(load_clip(of_size(clips[0], num_frames=1), 8, "skip"), plain[:, :1])


def test_a_clip_keeps_its_speed(clips):
    plain = load_clip(clips[0], 8, "skip")
    denser = load_clip(of_size(clips[0], num_frames=9), 16, "skip")  # at twice the rate frame k comes at place 2 k
    assert torch.equal(denser[:, ::2], plain)


def test_short_clips(clips):
    longer = of_size(clips[0], num_frames=9)
    with pytest.raises(ClipError, match="has 5 frames at 8 fps, 9 are needed"):
        load_clip(longer, 8, "skip")
    plain = load_clip(clips[0], 8, "skip")
    assert torch.equal(load_clip(longer, 8, "loop"), torch.cat([plain, plain[:, :4]], dim=1))
    assert torch.equal(load_clip(longer, 8, "hold")[:, 5:], plain[:, 4:].expand(-1, 4, -1, -1))


def test_latents_are_the_normalised_mode(cache, encode, clips, model_folder):
    from diffusers import AutoencoderKLWan

    assert encode(clips, 3) == []
    stored = cache.read_clip(clips[4])
    vae = AutoencoderKLWan.from_pretrained(model_folder / "vae")
    with torch.no_grad():
        raw = vae.encode(load_clip(clips[4], 8, "skip")[None]).latent_dist.mode()[0]
    mean = torch.tensor([0.1, -0.1, 0.0, 0.2]).view(4, 1, 1, 1)
    std = torch.tensor([0.5, 1.0, 1.5, 2.0]).view(4, 1, 1, 1)
    assert set(stored) == {"latents"} and stored["latents"].shape == (4, 2, 4, 4)
    assert torch.allclose(stored["latents"].float(), (raw - mean) / std, atol=2e-3, rtol=2e-3)


def test_encoding_continues_where_it_stopped(cache, encode, clips, monkeypatch):
    encode(clips[:3], 2)
    seen, call = [], WanClipEncoder.__call__

    def spy(encoder, pixels):
        seen.append(tuple(pixels.shape))
        return call(encoder, pixels)

    monkeypatch.setattr(WanClipEncoder, "__call__", spy)
    still = of_size(clips[0], num_frames=1)
    encode([*clips, still], 4)
    assert sorted(seen) == [(1, 3, 1, 16, 16), (3, 3, 5, 16, 16), (4, 3, 5, 16, 16)]  # one size a call
    encode([*clips, still], 4)
    assert len(seen) == 3
    assert not list(cache.folder.rglob(".*"))  # nothing temporary is left


def test_unreadable_clips_are_returned_with_a_reason(cache, encode, clips, tmp_path):
    broken = tmp_path / "broken.webp"
    broken.write_bytes(b"not a picture")
    bad = encode([clips[0], replace(clips[1], record=replace(clips[1].record, path=broken))], 2)
    assert [clip.record.path for clip in bad] == [broken] and bad[0].reason
    assert cache.clip_state(clips[0]) == "whole"


def test_captions_are_encoded_as_the_pipeline_does(cache, model_folder):
    from diffusers import WanPipeline

    captions = ["a red ball", "", "the  blue ball rolls on the table"]
    encode_captions(family_of(model_folder), cache, captions, Encoding(CPU, captions=2))
    pipeline = WanPipeline.from_pretrained(model_folder, vae=None, transformer=None)
    with torch.no_grad():
        expected, _ = pipeline.encode_prompt(
            captions, do_classifier_free_guidance=False, max_sequence_length=12, device=CPU
        )
    lengths = []
    for caption, row in zip(captions, expected, strict=True):
        tokens = cache.read_text(caption)
        lengths.append(len(tokens))
        padded = torch.cat([tokens, torch.zeros(12 - len(tokens), tokens.shape[1])])
        assert torch.allclose(padded, row, atol=1e-6)
    assert lengths == [4, 1, 8]  # words and the end token


def test_a_name_depends_on_everything_that_shapes_the_content(cache, clips, model_folder, tmp_path):
    import shutil

    clip, model = clips[0], family_of(model_folder)

    def moved(path):
        return replace(clip, record=replace(clip.record, path=path))

    for changes in ({"height": 32}, {"width": 32}, {"num_frames": 1}):
        assert cache.clip_path(of_size(clip, **changes)) != cache.clip_path(clip)
    for fps, short, length in ((9.0, "skip", 12), (8.0, "loop", 12), (8.0, "skip", 13)):
        other = cache_of(model, cache.folder, fps, short, length)
        assert (other.clip_path(clip) != cache.clip_path(clip)) == (length == 12)
        assert (other.text_path("a") != cache.text_path("a")) == (length == 13)
    assert cache.text_path("a") != cache.text_path("b")
    copy = tmp_path / "moved.webp"
    shutil.copy(clip.record.path, copy)
    assert cache.clip_path(moved(copy)) == cache.clip_path(clip)
    changed = tmp_path / "changed.webp"
    changed.write_bytes(copy.read_bytes() + b"\0")
    assert cache.clip_path(moved(changed)) != cache.clip_path(clip)
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    settings = json.loads((folder / "vae/config.json").read_text())
    (folder / "vae/config.json").write_text(json.dumps(settings | {"latents_mean": [0.0] * 4}))
    other_vae = cache_of(family_of(folder), cache.folder, 8.0, "skip", 12)
    assert other_vae.clip_path(clip) != cache.clip_path(clip)
    assert other_vae.text_path("a") == cache.text_path("a")


def test_large_files_are_fingerprinted_by_samples(tmp_path, monkeypatch):
    monkeypatch.setattr("emogen.files._READ_WHOLE", 1000)
    monkeypatch.setattr("emogen.files._CHUNK", 100)
    path = tmp_path / "large"
    path.write_bytes(bytes(10_000))
    prints = {fingerprint_sample(path)}
    for position in (0, 9_999):
        path.write_bytes(bytes(position) + b"x" + bytes(9_999 - position))
        prints.add(fingerprint_sample(path))
    path.write_bytes(bytes(10_001))
    prints.add(fingerprint_sample(path))
    assert len(prints) == 4
