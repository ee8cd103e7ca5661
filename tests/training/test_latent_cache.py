import json
from dataclasses import replace

import pytest
import torch

from emogen.data.records import read_records
from emogen.training.cache import LatentCache, fingerprint_file
from emogen.training.clips import ClipError, load_clip, resolve_geometry
from emogen.training.config import DataConfig
from emogen.training.encode import encode_captions, encode_clips, encode_pixels, scrub_records

CPU = torch.device("cpu")


@pytest.fixture
def geometry(model_folder):
    return resolve_geometry(model_folder, DataConfig(metadata="unused"))


@pytest.fixture
def cache(tmp_path, model_folder, geometry):
    return LatentCache(tmp_path / "cache", model_folder, geometry)


@pytest.fixture(scope="module")
def records(clips_folder):
    return read_records(clips_folder)


def test_geometry_comes_from_the_model_unless_configured(model_folder, tmp_path):
    geometry = resolve_geometry(model_folder, DataConfig(metadata="unused", height=32))
    assert (geometry.height, geometry.width, geometry.num_frames) == (32, 16, 5)
    assert (geometry.fps, geometry.max_sequence_length) == (8, 12)
    published = resolve_geometry(tmp_path, DataConfig(metadata="unused"))
    assert (published.height, published.width, published.num_frames, published.fps) == (480, 832, 81, 16)


def test_a_clip_is_cropped_centrally_and_scaled(records, geometry):
    plain = load_clip(records[0], geometry)
    assert plain.shape == (3, 5, 16, 16) and plain.min() >= -1 and plain.max() <= 1
    wide = load_clip(records[0], replace(geometry, height=8))
    assert torch.equal(wide, plain[:, :, 4:12])
    assert load_clip(records[0], replace(geometry, height=32, width=32)).shape == (3, 5, 32, 32)


def test_short_clips(records, geometry):
    longer = replace(geometry, num_frames=9)
    with pytest.raises(ClipError, match="has 5 frames at 8 fps, 9 are needed"):
        load_clip(records[0], longer)
    plain = load_clip(records[0], geometry)
    looped = load_clip(records[0], replace(longer, short_clips="loop"))
    assert torch.equal(looped, torch.cat([plain, plain[:, :4]], dim=1))
    held = load_clip(records[0], replace(longer, short_clips="hold"))
    assert torch.equal(held[:, 5:], plain[:, 4:].expand(-1, 4, -1, -1))


def test_latents_are_the_normalised_mode(cache, records, model_folder, geometry):
    from diffusers import AutoencoderKLWan

    assert encode_clips(cache, model_folder, records, CPU, batch=3, quiet=True) == []
    stored = cache.read_latents(records[4])
    vae = AutoencoderKLWan.from_pretrained(model_folder / "vae")
    with torch.no_grad():
        raw = vae.encode(load_clip(records[4], geometry)[None]).latent_dist.mode()[0]
    mean = torch.tensor([0.1, -0.1, 0.0, 0.2]).view(4, 1, 1, 1)
    std = torch.tensor([0.5, 1.0, 1.5, 2.0]).view(4, 1, 1, 1)
    assert stored.shape == (4, 2, 4, 4)
    assert torch.allclose(stored.float(), (raw - mean) / std, atol=2e-3, rtol=2e-3)


def test_encoding_continues_where_it_stopped(cache, records, model_folder, monkeypatch):
    encode_clips(cache, model_folder, records[:3], CPU, batch=2, quiet=True)
    seen = []

    def spy(vae, pixels):
        seen.append(len(pixels))
        return encode_pixels(vae, pixels)

    monkeypatch.setattr("emogen.training.encode.encode_pixels", spy)
    encode_clips(cache, model_folder, records, CPU, batch=4, quiet=True)
    assert seen == [4, 3]
    encode_clips(cache, model_folder, records, CPU, batch=4, quiet=True)
    assert seen == [4, 3]
    assert not list(cache.folder.rglob(".*"))  # nothing temporary is left


def test_unreadable_clips_are_returned_with_a_reason(cache, records, model_folder, tmp_path):
    broken = tmp_path / "broken.webp"
    broken.write_bytes(b"not a picture")
    bad = encode_clips(cache, model_folder, [records[0], replace(records[1], path=broken)], CPU, batch=2, quiet=True)
    assert [clip.record.path for clip in bad] == [broken] and bad[0].reason
    assert cache.has_latents(records[0])


def test_captions_are_encoded_as_the_pipeline_does(cache, model_folder):
    from diffusers import WanPipeline

    captions = ["a red ball", "", "the  blue ball rolls on the table"]
    encode_captions(cache, model_folder, captions, CPU, batch=2, quiet=True)
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


def test_a_name_depends_on_everything_that_shapes_the_content(cache, records, model_folder, geometry, tmp_path):
    import shutil

    other_size = LatentCache(cache.folder, model_folder, replace(geometry, height=32))
    assert other_size.latents_path(records[0]) != cache.latents_path(records[0])
    assert other_size.text_path("a") == cache.text_path("a")
    other_length = LatentCache(cache.folder, model_folder, replace(geometry, max_sequence_length=13))
    assert other_length.text_path("a") != cache.text_path("a")
    assert other_length.latents_path(records[0]) == cache.latents_path(records[0])
    moved = tmp_path / "moved.webp"
    shutil.copy(records[0].path, moved)
    assert cache.latents_path(replace(records[0], path=moved)) == cache.latents_path(records[0])
    changed = tmp_path / "changed.webp"
    changed.write_bytes(moved.read_bytes() + b"\0")
    assert cache.latents_path(replace(records[0], path=changed)) != cache.latents_path(records[0])
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    settings = json.loads((folder / "vae/config.json").read_text())
    (folder / "vae/config.json").write_text(json.dumps(settings | {"latents_mean": [0.0] * 4}))
    other_vae = LatentCache(cache.folder, folder, geometry)
    assert other_vae.latents_path(records[0]) != cache.latents_path(records[0])
    assert other_vae.text_path("a") == cache.text_path("a")


def test_large_files_are_fingerprinted_by_samples(tmp_path, monkeypatch):
    monkeypatch.setattr("emogen.training.cache._WHOLE", 1000)
    monkeypatch.setattr("emogen.training.cache._SAMPLE", 100)
    path = tmp_path / "large"
    path.write_bytes(bytes(10_000))
    prints = {fingerprint_file(path)}
    for position in (0, 9_999):
        path.write_bytes(bytes(position) + b"x" + bytes(9_999 - position))
        prints.add(fingerprint_file(path))
    path.write_bytes(bytes(10_001))
    prints.add(fingerprint_file(path))
    assert len(prints) == 4


def test_scrubbing_reports_what_changed(records):
    marked = [replace(records[0], caption="a sad red ball"), records[1]]
    scrubbed, changed = scrub_records(marked)
    assert "sad" not in scrubbed[0].caption and "ball" in scrubbed[0].caption
    assert scrubbed[1] == records[1]
    assert [(one.row, one.before, one.words) for one in changed] == [(1, "a sad red ball", ["sad"])]
