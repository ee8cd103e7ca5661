"""The work behind the studio's page."""

import threading

import numpy as np
import pytest
from PIL import Image

from emogen.emotion import MIKELS, EmotionArc, EmotionState, parse_emotion
from emogen.media.reader import read_metadata, read_video
from emogen.studio.engine import Busy, Engine, Job, Stopped
from emogen.studio.models import TEXT, ModelMissing, Source

FEAR = EmotionState.of("fear")


def test_clip_is_judged_kept_and_says_what_made_it(engine):
    emotion = parse_emotion("joy:0.6+awe:0.2")
    result = engine.generate(Job("a round face", emotion, seed=7, avoid=FEAR, emotion_guidance_scale=4.0))
    assert engine.results == [result] and engine.result(1) is result and engine.result(2) is None
    assert result.reading.label == "fear" and result.reading.judge == "fearful"
    assert result.reading.distribution[MIKELS.index("fear")] == pytest.approx(0.7)
    made = read_metadata(result.path)
    assert made["prompt"] == "a round face" and made["seed"] == 7 and made["num_inference_steps"] == 3
    assert parse_emotion(made["emotion"]) == emotion and parse_emotion(made["avoid"]) == FEAR
    assert made["emotion_guidance_scale"] == 4 and made["guidance_scale"] == 2.5
    assert made["reading"]["distribution"]["fear"] == 0.7
    frames = result.frames()
    assert frames.shape == (5, 16, 16, 3) and frames.dtype == np.uint8
    shown, fps = read_video(result.path)
    assert len(shown) == 5 and min(shown.shape[1:3]) >= 384 and fps == pytest.approx(12, abs=0.3)
    call = engine.loaded[0].calls[0]
    assert call["emotion"] == [emotion] and call["negative_emotion"] == [FEAR] and call["prompt"] == ["a round face"]
    assert "image" not in call


def test_same_seed_same_frames_and_no_seed_is_drawn_and_told(engine):
    first, again = (engine.generate(Job("a", FEAR, seed=3)) for _ in range(2))
    drawn = engine.generate(Job("a", FEAR))
    assert (first.frames() == again.frames()).all() and first.path != again.path
    assert (engine.generate(Job("a", FEAR, seed=4)).frames() != first.frames()).any()
    assert read_metadata(drawn.path)["seed"] == drawn.seed
    assert (engine.generate(Job("a", FEAR, seed=drawn.seed)).frames() == drawn.frames()).all()
    assert len(engine.loaded) == 1, "the pipeline is loaded once"


def test_job_s_numbers_come_before_the_model_s_own(engine):
    engine.generate(Job("a", FEAR, steps=2, num_frames=9, guidance_scale=1.0, emotion_scale=0.5, seed=0))
    call = engine.loaded[0].calls[0]
    assert (call["num_inference_steps"], call["num_frames"], call["guidance_scale"]) == (2, 9, 1.0)
    assert call["emotion_scale"] == 0.5 and "emotion_guidance_scale" not in call


def test_picture_is_kept_beside_the_clips_for_the_metadata_names_it(engine, tmp_path):
    upload = tmp_path / "upload.png"
    Image.new("RGB", (8, 8), "red").save(upload)
    data = upload.read_bytes()
    result = engine.generate(Job("a", FEAR, image=upload, seed=0))
    upload.unlink()
    made = read_metadata(result.path)
    kept = engine.folder / "pictures"
    assert [p.read_bytes() for p in kept.iterdir()] == [data] and made["image"] == str(next(kept.iterdir()))
    assert engine.loaded[0].calls[0]["image"] == made["image"] and engine.loaded[0].source.kind == "image"


def test_an_upload_is_kept_by_what_it_is_and_the_page_gives_away_copies_alone(engine, tmp_path):
    upload = tmp_path / "upload.html"
    Image.new("RGB", (8, 8), "red").save(upload, format="PNG")
    result = engine.generate(Job("a", FEAR, image=upload, seed=0))
    assert [path.suffix for path in (engine.folder / "pictures").iterdir()] == [".png"]
    assert result.shown.parent == engine.served and not engine.served.is_relative_to(engine.folder)
    assert [path.name for path in engine.served.iterdir()] == [result.path.name]
    assert result.shown.read_bytes() == result.path.read_bytes()
    upload.write_text("<script>alert(1)</script>")
    with pytest.raises(ValueError, match="is not a picture"):
        engine.generate(Job("a", FEAR, image=upload, seed=0))
    assert len(list((engine.folder / "pictures").iterdir())) == 1


def test_only_one_model_is_held(engine, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    for image in (None, tmp_path / "p.png", None):
        engine.generate(Job("a", FEAR, image=image, seed=0))
    assert [pipe.source.kind for pipe in engine.loaded] == ["text", "image", "text"]
    assert len(engine._pipes) == 1


def test_progress_counts_steps_and_ends_at_one(engine):
    told = []
    engine.generate(Job("a", FEAR, seed=0), lambda share, text: told.append((share, text)))
    assert [text for _, text in told if text.startswith("step")] == [f"step {i} of 3" for i in (1, 2, 3)]
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1


def test_stop_ends_the_clip_at_its_next_step_and_the_next_clip_is_not_stopped(engine):
    def stop_at_two(share, text):
        if text == "step 2 of 3":
            engine.stop()

    with pytest.raises(Stopped):
        engine.generate(Job("a", FEAR, seed=0), stop_at_two)
    assert engine.results == []
    assert engine.generate(Job("a", FEAR, seed=0)).number == 1


def test_one_clip_at_a_time(engine):
    inside, go_on = threading.Event(), threading.Event()

    def wait(share, text):
        inside.set()
        go_on.wait(20)

    worker = threading.Thread(target=lambda: engine.generate(Job("a", FEAR, seed=0), wait))
    worker.start()
    assert inside.wait(20)
    try:
        with pytest.raises(Busy, match="another clip"):
            engine.generate(Job("b", FEAR, seed=0))
    finally:
        go_on.set()
        worker.join(20)
    assert [r.prompt for r in engine.results] == ["a"]


@pytest.mark.parametrize(("changes", "message"), [
    ({"prompt": "  "}, "prompt is empty"),
    ({"num_frames": 12}, "num_frames is 12; Wan makes 4k.1 frames: 9 or 13"),
    ({"steps": 0}, "steps is 0"),
    ({"steps": 2.5}, "steps is 2.5"),
    ({"seed": -1}, "seed is -1"),
    ({"image": "/no/such.png"}, "no file /no/such.png"),
    ({"prompt": "a \ud800"}, "prompt's character 3 is half of one"),
    ({"steps": float("nan")}, "steps is nan"),
    ({"steps": float("inf")}, "steps is inf"),
    ({"num_frames": 10**400}, "num_frames is 1000"),
    ({"emotion_scale": float("nan")}, "emotion_scale is nan"),
    ({"guidance_scale": float("inf")}, "guidance_scale is inf"),
    ({"emotion_guidance_scale": 1e30}, r"emotion_guidance_scale is 1e\+30"),
])  # fmt: skip
def test_bad_jobs_are_refused_before_a_model_is_loaded(engine, changes, message):
    with pytest.raises(ValueError, match=message):
        engine.generate(Job(**({"prompt": "a", "emotion": FEAR} | changes)))
    assert engine.loaded == [] and engine.results == []


def test_missing_model_is_said_before_anything_is_loaded(tmp_path):
    engine = Engine({TEXT: Source(TEXT, str(tmp_path))}, folder=tmp_path / "out", load=lambda *_: pytest.fail("loaded"))
    with pytest.raises(ModelMissing, match=r"model_index\.json is missing"):
        engine.generate(Job("a", FEAR))


def test_other_models_are_not_judged_by_the_embedded_judge(engine):
    engine._make_judge = None
    result = engine.generate(Job("a", FEAR, seed=0))
    assert result.reading is None and "reading" not in read_metadata(result.path)


def test_embedded_model_makes_the_clip_that_its_pipeline_makes(tmp_path):
    import torch

    engine = Engine(folder=tmp_path, device="cpu")
    arc = EmotionArc.parse("0:neutral 1:fear")
    result = engine.generate(Job("a round yellow face", arc, seed=5, steps=1, num_frames=5))
    pipe = engine._pipes["text"]
    frames = pipe("a round yellow face", emotion=arc, num_frames=5, num_inference_steps=1, output_type="np",
                  generator=torch.Generator().manual_seed(5)).frames[0]  # fmt: skip
    assert np.abs(result.frames().astype(float) - frames * 255).max() <= 0.51
    assert result.reading.judge == "embedded sticker judge" and sum(result.reading.distribution) == pytest.approx(1)
    assert EmotionArc.parse(read_metadata(result.path)["emotion"]) == arc
