"""The work behind the studio's page."""

import threading

import numpy as np
import pytest
from PIL import Image

from emogen.emotion import MIKELS, EmotionArc, EmotionState, parse_emotion
from emogen.media.reader import read_metadata, read_video
from emogen.studio.engine import Busy, Engine, Stopped
from emogen.studio.job import Job, Opening
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
    frames, _ = result.frames()
    assert frames.shape == (5, 16, 16, 3) and frames.dtype == np.uint8
    shown, fps = read_video(result.path)
    assert len(shown) == 5 and min(shown.shape[1:3]) >= 384 and fps == pytest.approx(12, abs=0.3)
    call = engine.loaded[0].calls[0]
    assert call["emotion"] == [emotion] and call["negative_emotion"] == [FEAR] and call["prompt"] == ["a round face"]
    assert "image" not in call


def test_same_seed_same_frames_and_no_seed_is_drawn_and_told(engine):
    first, again = (engine.generate(Job("a", FEAR, seed=3)) for _ in range(2))
    drawn = engine.generate(Job("a", FEAR))
    assert (first.frames()[0] == again.frames()[0]).all() and first.path != again.path
    assert (engine.generate(Job("a", FEAR, seed=4)).frames()[0] != first.frames()[0]).any()
    assert read_metadata(drawn.path)["seed"] == drawn.seed
    assert (engine.generate(Job("a", FEAR, seed=drawn.seed)).frames()[0] == drawn.frames()[0]).all()
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
    ({"height": 0}, "height is 0"),
    ({"negative_prompt": "a \ud800"}, "negative prompt's character 3 is half of one"),
    ({"guidance_interval": (0.6, 0.2), "emotion_guidance_scale": 3.0}, "guidance interval is 0.6 to 0.2"),
    ({"guidance_interval": (0, 0.6)}, "give that too"),
    ({"opening": Opening(loras=("no_such.safetensors",))}, "no such file"),
    ({"opening": Opening(cache="magcache")}, "needs the model's own ratios"),
    ({"opening": Opening(compile=True, fp8=True)}, "--compile with --fp8"),
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
    (pipe,) = engine._pipes.values()
    frames = pipe("a round yellow face", emotion=arc, num_frames=5, num_inference_steps=1, output_type="np",
                  generator=torch.Generator().manual_seed(5)).frames[0]  # fmt: skip
    assert np.abs(result.frames()[0].astype(float) - frames * 255).max() <= 0.51
    assert result.reading.judge == "embedded sticker judge" and sum(result.reading.distribution) == pytest.approx(1)
    assert EmotionArc.parse(read_metadata(result.path)["emotion"]) == arc


def test_several_clips_share_a_drawn_seed_and_come_one_by_one(engine):
    told = []
    jobs = [Job("a", EmotionState.of(name)) for name in MIKELS[:3]]
    results = list(engine.make(jobs, progress=lambda share, text: told.append((share, text))))
    assert len({result.seed for result in results}) == 1 and [r.number for r in results] == [1, 2, 3]
    assert "clip 2 of 3, step 1 of 3" in [text for _, text in told]
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    first = engine.make(jobs)
    assert next(first).emotion == EmotionState.of(MIKELS[0]) and len(engine.results) == 4
    with pytest.raises(Busy):
        engine.generate(Job("b", FEAR))
    first.close()
    engine.generate(Job("b", FEAR))


def test_best_of_keeps_the_seed_that_the_judge_reads_best_and_says_so(engine):
    class Picky:
        """Reads as much fear as the seed's first pixel is bright."""

        name = "picky"

        def __call__(self, clips):
            shares = np.zeros((len(clips), 8))
            shares[:, MIKELS.index("fear")] = clips[:, 0, 0, 0, 0] / 255
            return type("Verdict", (), {"distribution": shares, "valence_arousal": np.zeros((len(clips), 2)),
                                        "confidence": np.ones(len(clips))})()  # fmt: skip

    engine._make_judge = Picky
    (best,) = engine.make([Job("a", FEAR, seed=5)], best_of=4)
    alone = [engine.generate(Job("a", FEAR, seed=seed)) for seed in range(5, 9)]
    scores = {str(one.seed): round(float(one.reading.distribution[MIKELS.index("fear")]), 4) for one in alone}
    made = read_metadata(best.path)
    assert made["chosen"]["scores"] == scores and made["chosen"]["judge"] == "picky"
    assert str(best.seed) == max(scores, key=scores.get) and made["best_of"] == 4
    assert (best.frames()[0] == alone[best.seed - 5].frames()[0]).all()
    engine._make_judge = None
    with pytest.raises(ValueError, match="best of needs a judge"):
        list(engine.make([Job("a", FEAR)], best_of=2))
    with pytest.raises(ValueError, match="best of is 0"):
        list(engine.make([Job("a", FEAR)], best_of=0))


def test_what_shapes_the_clip_reaches_the_pipeline_and_the_metadata(engine):
    job = Job("a", FEAR, seed=0, negative_prompt="text", height=32, width=48, emotion_guidance_scale=3.0,
              guidance_interval=(0.0, 0.6), opening=Opening(cache="first_block", vae_tiling=True))  # fmt: skip
    made = read_metadata(engine.generate(job).path)
    call = engine.loaded[0].calls[0]
    assert call["negative_prompt"] == ["text"] and call["guidance_interval"] == (0.0, 0.6)
    assert (call["height"], call["width"]) == (32, 48) and engine.loaded[0].opening == job.opening
    expected = {"negative_prompt": "text", "height": 32, "width": 48, "guidance_interval": [0.0, 0.6],
                "cache": "first_block", "vae_tiling": True}  # fmt: skip
    assert {name: made.get(name) for name in expected} == expected and "fp8" not in made and "lora" not in made
    engine.generate(Job("a", FEAR, seed=0))
    assert len(engine.loaded) == 2 and len(engine._pipes) == 1, "another opening loads the model again"


def test_clips_of_before_are_there_again_and_strangers_are_not(engine, tmp_path):
    results = [engine.generate(Job("a face", parse_emotion(text), seed=3)) for text in ("fear", "joy:0.6+awe:0.2")]
    Image.new("RGB", (8, 8)).save(engine.folder / "mine.webp")
    (engine.folder / "torn.webp").write_bytes(results[0].path.read_bytes()[:300])
    again = Engine(folder=engine.folder, load=lambda *_: pytest.fail("loaded"))
    assert [(r.number, r.prompt, r.seed, r.emotion, r.path) for r in again.results] == [
        (r.number, r.prompt, r.seed, r.emotion, r.path) for r in results
    ]
    found = again.results[0]
    assert found.reading.to_dict() == results[0].reading.to_dict() and found.shown.parent == again.served
    frames, fps = found.frames()
    assert len(frames) == 5 and fps == pytest.approx(12, abs=0.3)


def test_another_model_takes_over_for_further_clips(engine, tmp_path):
    engine.generate(Job("a", FEAR, seed=0))
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_index.json").write_text("{}")
    engine.use(Source(TEXT, str(other), "its adapter"))
    engine.generate(Job("a", FEAR, seed=0))
    assert [pipe.source.model for pipe in engine.loaded] == [engine.loaded[0].source.model, str(other)]
    with pytest.raises(ModelMissing):
        engine.use(Source(TEXT, str(tmp_path / "nowhere")))
    assert engine.sources[TEXT].model == str(other)
