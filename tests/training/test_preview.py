import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from emogen.data.attributes import clip_attributes
from emogen.emotion import MIKELS, UnknownEmotionError
from emogen.eval.judges.embedded import Verdict
from emogen.eval.metrics.agreement import read_as_asked
from emogen.eval.statistics import rate
from emogen.media.reader import read_video
from emogen.models import EmotionAdapterConfig
from emogen.pipelines import EmotionWanPipeline
from emogen.training.families import family_of
from emogen.training.families.wan import fold_padding
from emogen.training.outputs import preview_report
from emogen.training.outputs.preview_report import (
    PreviewClip,
    PreviewJudge,
    asked_categories,
    log_to_trackers,
    save_preview,
)
from emogen.training.outputs.previews import EMOTIONS, Samples, undisturbed
from emogen.training.outputs.previews import sample_preview as sample_wanted

PROMPTS = ["a red ball", "the blue table"]
SMALL = {"num_inference_steps": 2, "guidance_scale": 3.0}


@pytest.fixture
def make_pipe(model_folder):
    """A pipeline around a model as it is in training: train mode here and there, gradients, trained weights."""

    def make(folded=None):
        pipe = EmotionWanPipeline.from_pretrained(model_folder)
        pipe.transformer.train()
        if folded:
            fold_padding(pipe.transformer, 12, folded)
        torch.manual_seed(0)
        sizes = EmotionAdapterConfig(num_tokens=2, hidden_dim=8, rank=8, head_dim=4, text_length=12)
        adapter = pipe.add_emotion_adapter(sizes)
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for value in adapter.state_dict().values():
                value.add_(torch.randn(value.shape, generator=draw))
        pipe.transformer.blocks[1].eval()
        return pipe

    return make


@pytest.fixture
def pipe(make_pipe):
    return make_pipe()


def handed_in(judge):
    """As the command hands a judge to training."""
    return None if judge is None else PreviewJudge(lambda clips: judge(clips).distribution, read_as_asked, rate)


def sample_preview(pipe, prompts, emotions=EMOTIONS, seeds=(0,), judge=None, accelerator=None, **more):
    kept = {name: more.pop(name) for name in list(more) if name in Samples.__dataclass_fields__}
    wanted = Samples(prompts=prompts, emotions=emotions, seeds=seeds, **kept)
    return sample_wanted(pipe, wanted, more, handed_in(judge), accelerator)


def report(clips, asked, shares, fps):
    """The report of a judge that reads these shares off the clips."""
    judge = None
    if shares is not None:
        left = list(shares)
        judge = PreviewJudge(lambda clips: np.stack([left.pop(0) for _ in clips]), read_as_asked, rate)
    return preview_report.report(clips, asked, judge, fps)


class ToldJudge:
    """Reads what it is told, clip after clip, and draws from every global generator on the way."""

    name = "told"

    def __init__(self, labels):
        self.labels, self.drawn = list(labels), []

    def __call__(self, clips):
        self.drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
        assert clips.dtype == np.uint8 and clips.ndim == 5 and not torch.is_grad_enabled()
        mine, self.labels = self.labels[: len(clips)], self.labels[len(clips) :]
        shares = np.eye(8)[[MIKELS.index(label) for label in mine]]
        return Verdict(shares, np.zeros((len(mine), 2)), np.ones(len(mine)))


class FlatPipe:
    """Stands in for a pipeline: clips of a grey that tells emotion and seed; notes its calls."""

    fps = 8.0
    _execution_device = torch.device("cpu")

    def __init__(self, shape=(2, 16, 16), frame=None):
        self.scheduler, self.components, self.calls = SimpleNamespace(), {}, []
        self.shape, self.frame = shape, frame

    def __call__(self, **call):
        self.calls.append(call)
        made = []
        for emotion, generator in zip(call["emotion"], call["generator"], strict=True):
            clip = np.full((*self.shape, 3), generator.initial_seed() / 10 + len(emotion) / 100)
            clip[:, 0, 0, 0] = np.linspace(0, 1, self.shape[0])  # no two frames are equal
            made.append(clip if self.frame is None else self.frame(emotion))
        return SimpleNamespace(frames=np.stack(made))


def state_of(pipe):
    """Everything of a training run that a preview could disturb."""
    numpy = [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()]
    rng = random.getstate(), numpy, torch.get_rng_state().tolist()
    modules = {f"{part}.{name}": module.training for part in ("transformer", "vae", "text_encoder")
               for name, module in getattr(pipe, part).named_modules()}  # fmt: skip
    weights = {name: (value.detach().clone(), value.requires_grad, None if value.grad is None else value.grad.clone())
               for name, value in pipe.transformer.named_parameters()}  # fmt: skip
    scheduler = {name: value.tolist() if isinstance(value, torch.Tensor) else value
                 for name, value in vars(pipe.scheduler).items()}  # fmt: skip
    adapter = (pipe.emotion_adapter.scale, pipe.emotion_adapter.text_length)
    return rng, modules, weights, (id(pipe.scheduler), scheduler), adapter, getattr(pipe, "_progress_bar_config", None)


def assert_undisturbed(pipe, before):
    after = state_of(pipe)
    for one, other in zip(before[:2] + before[3:], after[:2] + after[3:], strict=True):
        assert one == other
    for name, (value, wanted, grad) in before[2].items():
        now, still_wanted, now_grad = after[2][name]
        assert torch.equal(value, now) and wanted == still_wanted, name
        assert (grad is None) == (now_grad is None) and (grad is None or torch.equal(grad, now_grad)), name


def test_clips_are_in_order_and_carry_their_emotion(pipe):
    preview = sample_preview(pipe, PROMPTS, ["neutral", "fear"], seeds=[3, 4], batch_size=3, **SMALL)
    assert [(clip.prompt, clip.seed, clip.emotion) for clip in preview.clips] == [
        (prompt, seed, emotion) for prompt in PROMPTS for seed in (3, 4) for emotion in ("neutral", "fear")
    ]
    assert preview.fps == 8
    with undisturbed(pipe):  # each is what the pipeline itself makes
        for clip in preview.clips:
            generator = torch.Generator().manual_seed(clip.seed)
            alone = pipe(clip.prompt, emotion=clip.emotion, generator=generator, output_type="np", **SMALL).frames[0]
            assert np.abs(clip.frames - alone * 255).max() < 2
            assert clip.attributes == clip_attributes(clip.frames)
    frames = [clip.frames for clip in preview.clips]
    assert all((a != b).any() for i, a in enumerate(frames) for b in frames[:i])


def test_the_same_every_time(pipe):
    first = sample_preview(pipe, PROMPTS, ["neutral", "awe"], **SMALL)
    torch.rand(7), np.random.rand(7), random.random()
    again = sample_preview(pipe, PROMPTS, ["neutral", "awe"], **SMALL)
    for one, other in zip(first.clips, again.clips, strict=True):
        assert (one.frames == other.frames).all()
    assert first.values == again.values


def test_the_run_is_left_as_it_was(pipe):
    pipe.set_progress_bar_config(leave=False)
    pipe.scheduler.set_timesteps(7)  # as if the run used it too
    out = pipe.transformer(torch.randn(1, 4, 2, 4, 4), torch.tensor([500.0]), torch.randn(1, 12, 16), return_dict=False)
    out[0].sum().backward()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    before = state_of(pipe)
    assert before[1]["transformer."] and not before[1]["transformer.blocks.1"]
    one, other = ToldJudge(["awe"] * 2), ToldJudge(["awe"] * 2)
    sample_preview(pipe, PROMPTS, ["awe"], judge=one, **SMALL)
    assert_undisturbed(pipe, before)
    torch.rand(3)
    sample_preview(pipe, PROMPTS, ["awe"], judge=other, **SMALL)
    assert one.drawn == other.drawn  # a judge that draws at random draws the same


def test_the_run_is_left_as_it_was_after_an_error(pipe):
    class Broken:
        def __call__(self, clips):
            torch.rand(3), np.random.rand(3), random.random()
            raise RuntimeError("no judge today")

    before = state_of(pipe)
    with pytest.raises(RuntimeError, match="no judge today"):
        sample_preview(pipe, PROMPTS[:1], ["awe"], judge=Broken(), **SMALL)
    assert_undisturbed(pipe, before)


def test_samples_in_evaluation_mode_without_a_graph(pipe):
    seen = []
    pipe.transformer.register_forward_hook(
        lambda module, args, out: seen.append((module.training, module.blocks[0].training, out[0].requires_grad))
    )
    sample_preview(pipe, PROMPTS[:1], ["awe"], **SMALL)
    assert set(seen) == {(False, False, False)}


def test_folded_text_padding_is_undone_meanwhile(make_pipe, model_folder):
    plain, folded = make_pipe(), make_pipe(folded=6)
    folded.emotion_adapter.text_length = 6
    one = sample_preview(plain, PROMPTS[:1], ["neutral", "awe"], **SMALL)
    with family_of(model_folder).unfolded(folded.transformer, folded.emotion_adapter):
        other = sample_preview(folded, PROMPTS[:1], ["neutral", "awe"], **SMALL)
    for a, b in zip(one.clips, other.clips, strict=True):
        assert np.abs(a.frames.astype(int) - b.frames).max() <= 1
    processors = [block.attn2.processor.inner for block in folded.transformer.blocks]
    assert [processor.count for processor in processors] == [7, 7]
    assert folded.emotion_adapter.text_length == 6


def test_encoded_prompts_do_without_a_text_encoder(pipe):
    arguments = {"emotions": ["neutral", "awe"], **SMALL}
    wanted = sample_preview(pipe, PROMPTS, **arguments)
    with torch.no_grad():
        embeds, negative = (pipe.encode_prompt(text, do_classifier_free_guidance=False, max_sequence_length=12)[0]
                            for text in (PROMPTS, [""]))  # fmt: skip
    pipe.text_encoder = None
    found = sample_preview(pipe, PROMPTS, prompt_embeds=embeds, negative_prompt_embeds=negative, **arguments)
    for one, other in zip(wanted.clips, found.clips, strict=True):
        assert np.abs(one.frames.astype(int) - other.frames).max() <= 1


def test_batches_and_arguments():
    pipe = FlatPipe()
    preview = sample_preview(pipe, PROMPTS, ["neutral", "awe", "fear"], [1, 2], batch_size=5, height=16)
    assert [len(call["emotion"]) for call in pipe.calls] == [5, 5, 2]
    assert all(call["height"] == 16 and "image" not in call for call in pipe.calls)
    assert pipe.calls[1]["prompt"] == [PROMPTS[0], *[PROMPTS[1]] * 4]
    assert [clip.frames[0, 9, 9, 0] for clip in preview.clips] == [
        round(255 * (seed / 10 + len(emotion) / 100)) for _ in PROMPTS for seed in (1, 2)
        for emotion in ("neutral", "awe", "fear")
    ]  # fmt: skip


def test_an_image_goes_with_its_prompt_alone():
    pipe, images = FlatPipe(), [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    sample_preview(pipe, PROMPTS, ["neutral", "awe", "fear"], batch_size=4, images=images)
    assert [(len(call["emotion"]), set(call["prompt"]), call["image"]) for call in pipe.calls] == [
        (3, {PROMPTS[0]}, images[0]), (3, {PROMPTS[1]}, images[1])]  # fmt: skip


def test_clips_that_are_not_finite_are_named_and_black():
    def frame(emotion):
        return np.full((2, 16, 16, 3), np.nan if emotion == "awe" else 2.0)

    with pytest.warns(UserWarning, match=r"not finite, shown black: 'a red ball' as awe$"):
        preview = sample_preview(FlatPipe(frame=frame), PROMPTS[:1], ["awe", "fear"])
    assert (preview.clips[0].frames == 0).all() and (preview.clips[1].frames == 255).all()


def _in_one_of_two(results):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    pipe = FlatPipe()
    emotions = ["neutral", "awe", "fear"]
    preview = sample_preview(pipe, PROMPTS, emotions, [1, 2, 3], accelerator=accelerator, batch_size=4)
    sizes = [len(call["emotion"]) for call in pipe.calls]
    torch.save({"sizes": sizes, "frames": None if preview is None else [clip.frames for clip in preview.clips]},
               f"{results}/{accelerator.process_index}")  # fmt: skip


def test_processes_share_the_batches(tmp_path):
    from accelerate import debug_launcher

    debug_launcher(_in_one_of_two, (str(tmp_path),), num_processes=2)
    main, other = (torch.load(tmp_path / name, weights_only=False) for name in ("0", "1"))
    assert main["sizes"] == [4, 4, 2] and other["sizes"] == [4, 4, 2]  # the last batch twice: as many calls for each
    assert other["frames"] is None
    alone = sample_preview(FlatPipe(), PROMPTS, ["neutral", "awe", "fear"], [1, 2, 3])
    assert len(main["frames"]) == len(alone.clips)
    assert all((a == b.frames).all() for a, b in zip(main["frames"], alone.clips, strict=True))


def clips_of(colours, prompts=("p", "q", "r", "s")):
    """A flat clip a prompt and emotion; `colours` emotion -> RGB."""
    return [PreviewClip(prompt, emotion, 0, clip, clip_attributes(clip)) for prompt in prompts
            for emotion, colour in colours.items() for clip in [np.full((2, 16, 16, 3), colour, np.uint8)]]  # fmt: skip


def read_as(*labels):
    return np.eye(8)[[MIKELS.index(label) for label in labels]]


def test_agreement_with_its_interval():
    emotions = ["neutral", "awe", "sadness:0.5", "anger"]
    clips = clips_of(dict.fromkeys(emotions, (90, 90, 90)))
    shares = read_as("fear", "awe", "sadness", "awe", "awe", "awe", "fear", "anger",
                     "fear", "anger", "sadness", "disgust", "fear", "awe", "sadness", "anger")  # fmt: skip
    preview = report(clips, asked_categories(emotions), shares, 8.0)
    eight, two = preview.agreement["EA-8"], preview.agreement["EA-2"]
    assert eight["n"] == two["n"] == 12  # neutral clips are asked for nothing
    assert eight["value"] == pytest.approx(8 / 12) and two["value"] == pytest.approx(10 / 12)
    assert (eight["low"], eight["high"]) == pytest.approx((0.3906, 0.8619), abs=1e-4)  # Wilson, 8 of 12
    assert eight["neutral"] == pytest.approx(1 / 12)  # one neutral clip is read as awe, and asked for thrice
    values = preview.values
    assert values["val/EA-8"] == eight["value"] and values["val/EA-8_low"] == eight["low"]
    assert values["val/EA-2_high"] == two["high"] and values["val/EA-8_n"] == 12
    assert values["val/EA-8/awe"] == 0.75 and values["val/EA-8/anger"] == 0.5
    assert values["val/EA-8/sadness:0.5"] == 0.75 and values["val/EA-8_neutral"] == eight["neutral"]
    assert all(type(value) is float for value in values.values())


def test_without_judge_or_neutral_nothing_is_claimed():
    clips = clips_of({"neutral": (90, 90, 90), "awe": (200, 90, 90)})
    preview = report(clips, asked_categories(["neutral", "awe"]), None, 8.0)
    assert preview.agreement is None and preview.recolours is None and preview.only_recolours is None
    assert preview.changes["awe"].recoloured() and not any("EA" in key or "recolours" in key for key in preview.values)
    clips = clips_of({"fear": (90, 90, 90), "awe": (200, 90, 90)})
    preview = report(clips, asked_categories(["fear", "awe"]), read_as(*["fear", "awe"] * 4), 8.0)
    assert preview.changes == {} and preview.recolours is None and preview.agreement["EA-8"]["value"] == 1
    assert "neutral" not in preview.agreement["EA-8"]


def test_changes_are_against_the_neutral_clip_of_the_same_prompt():
    clips = clips_of({"neutral": (200, 100, 100), "awe": (100, 200, 100)}, ["p"])
    clips += clips_of({"neutral": (100, 200, 100), "awe": (100, 100, 200)}, ["q"])
    preview = report(clips, asked_categories(["neutral", "awe"]), None, 8.0)
    assert preview.changes["awe"].hue == pytest.approx(120)  # in both, though their hues are all different
    assert preview.values["val/change/hue/awe"] == pytest.approx(120)
    first = (0.7152 - 0.2126) * 100 / 255
    assert preview.values["val/change/brightness/awe"] == pytest.approx((first + (0.0722 - 0.7152) * 100 / 255) / 2)


@pytest.mark.parametrize(("colour", "read", "each", "all_of_them"), [
    ((200, 60, 60), "fear", True, True),  # red, and not read as awe
    ((200, 60, 60), "awe", False, False),  # red, and read as awe
    ((121, 120, 120), "fear", False, False),  # neither
    ((121, 120, 120), "awe", False, False),
])  # fmt: skip
def test_a_model_that_merely_recolours_is_caught(colour, read, each, all_of_them):
    clips = clips_of({"neutral": (120, 120, 120), "awe": colour})
    preview = report(clips, asked_categories(["neutral", "awe"]), read_as(*["fear", read] * 4), 8.0)
    assert preview.recolours == {"awe": each} and preview.only_recolours == all_of_them
    assert preview.values["val/recolours/awe"] == each and preview.values["val/recolours"] == all_of_them


def test_being_read_no_more_often_than_neutral_is_not_being_read():
    clips = clips_of({"neutral": (120, 120, 120), "awe": (200, 60, 60)})
    preview = report(clips, asked_categories(["neutral", "awe"]), read_as(*["awe", "awe"] * 4), 8.0)
    assert preview.agreement["EA-8"]["value"] == 1 and preview.recolours == {"awe": True} and preview.only_recolours


def test_a_judge_sees_every_clip_once():
    emotions = ["neutral", *MIKELS]
    judge = ToldJudge(["fear" if emotion == "neutral" else emotion for _ in range(3) for emotion in emotions])
    preview = sample_preview(FlatPipe(), ["a", "b", "c"], judge=judge)  # 27 clips, more than one batch of the judge's
    assert preview.agreement["EA-8"]["value"] == 1 and preview.agreement["EA-8"]["n"] == 24
    assert preview.agreement["EA-8"]["neutral"] == 1 / 8 and judge.labels == []


def test_what_a_judge_should_read():
    assert asked_categories(["neutral", "joy", "sadness:-0.5", "0:fear 1:amusement", "awe:0.7+fear:0.3"]) == {
        "neutral": None, "joy": "amusement", "sadness:-0.5": None, "0:fear 1:amusement": None,
        "awe:0.7+fear:0.3": "awe"}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [
    ({"prompts": []}, r"prompts is \[\]"),
    ({"prompts": "a red ball"}, "prompts is 'a red ball'; give a list"),
    ({"prompts": ["a", "b", "a"]}, "prompts has 'a' twice"),
    ({"emotions": ["awe", "awe"]}, "emotions has 'awe' twice"),
    ({"seeds": []}, r"seeds is \[\]"),
    ({"batch_size": 0}, "batch_size is 0"),
    ({"images": [None]}, "images has 1 entries for 2 prompts"),
    ({"prompt_embeds": torch.zeros(3, 2, 2)}, "prompt_embeds has 3 entries for 2 prompts"),
])  # fmt: skip
def test_bad_input_is_refused_before_sampling(change, message):
    pipe = FlatPipe()
    with pytest.raises(ValueError, match=message):
        sample_preview(pipe, **({"prompts": PROMPTS, "emotions": ["awe"], "seeds": [0]} | change))
    assert pipe.calls == []


def test_an_unknown_emotion_is_refused_before_sampling():
    pipe = FlatPipe()
    with pytest.raises(UnknownEmotionError, match="joyy"):
        sample_preview(pipe, PROMPTS, ["joyy"])
    assert pipe.calls == []


@pytest.mark.parametrize(("shape", "cell"), [((5, 16, 16), (96, 96)), ((5, 48, 120), (48, 120)),
                                             ((1, 240, 480), (96, 192))])  # fmt: skip
def test_grid_and_sheet(tmp_path, shape, cell):
    height, width = cell
    preview = sample_preview(FlatPipe(shape), PROMPTS, ["neutral", "awe"], seeds=[1, 2])
    bar = max(14, height // 10)
    assert preview.grid.shape == (shape[0], 2 * (height + bar), 3 * width, 3)
    shown = [c.frames[0, 9, 9, 0] for c in preview.clips if c.seed == 1]
    centres = [preview.grid[0, row * (height + bar) + bar + height // 2, column * width + width // 2, 0]
               for row in range(2) for column in (1, 2)]  # fmt: skip
    assert centres == shown
    for row in range(2):  # each prompt is written at the left
        text = preview.grid[:, row * (height + bar) + bar : (row + 1) * (height + bar), :width]
        assert (text[0] < 128).any() and (text == text[:1]).all()
    moving, still = save_preview(preview, tmp_path / "preview", "step_000010")
    assert sorted(p.name for p in moving.parent.iterdir()) == ["step_000010.png", "step_000010.webp"]
    frames, fps = read_video(moving)
    assert frames.shape == preview.grid.shape and (shape[0] == 1 or abs(fps - 8) < 0.1)
    assert (np.asarray(Image.open(still)) == preview.sheet).all()
    columns = 2 * (width * (2 if shape[0] > 1 else 1) + 6)
    assert preview.sheet.shape == (24 + 2 * (height + 6), 150 + columns, 3)


def tracker(name, run):
    return SimpleNamespace(name=name, tracker=run)


class FakeRun:
    def __init__(self):
        self.logged = []

    def log(self, values, step):
        self.logged.append((values, step))


@pytest.fixture
def preview():
    return sample_preview(FlatPipe(), PROMPTS, ["neutral", "awe"], seeds=[1])


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_pictures_go_to_trackers_that_take_files(monkeypatch, preview, name):
    library = SimpleNamespace(Video=lambda path: read_video(path), Image=lambda picture: picture)
    monkeypatch.setitem(sys.modules, name, library)
    run, other = FakeRun(), SimpleNamespace(name="aim")
    log_to_trackers(SimpleNamespace(is_main_process=True, trackers=[other, tracker(name, run)]), preview, 40)
    [(values, step)] = run.logged
    assert step == 40 and set(values) == {"preview/moving", "preview/still"}
    frames, fps = values["preview/moving"]
    assert frames.shape == preview.grid.shape and fps == pytest.approx(8)
    assert (values["preview/still"] == preview.sheet).all()


def test_pictures_go_to_tensorboard(tmp_path, preview):
    board = pytest.importorskip("torch.utils.tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = board.SummaryWriter(tmp_path)
    log_to_trackers(SimpleNamespace(is_main_process=True, trackers=[tracker("tensorboard", writer)]), preview, 40)
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0}).Reload()
    assert set(events.Tags()["images"]) == {"preview/moving", "preview/still"}
    [moving], [still] = events.Images("preview/moving"), events.Images("preview/still")
    assert moving.step == still.step == 40
    assert (moving.height, moving.width) == preview.grid.shape[1:3]
    (tmp_path / "moving.gif").write_bytes(moving.encoded_image_string)
    frames, fps = read_video(tmp_path / "moving.gif")
    assert frames.shape == preview.grid.shape and fps == pytest.approx(1000 / 120)  # whole hundredths of a second
    (tmp_path / "still.png").write_bytes(still.encoded_image_string)
    assert (np.asarray(Image.open(tmp_path / "still.png")) == preview.sheet).all()


def test_a_tracker_that_fails_does_not_stop_the_others(monkeypatch, preview):
    class Failing(FakeRun):
        def log(self, values, step):
            raise ConnectionError("offline")

    library = SimpleNamespace(Video=str, Image=lambda picture: picture)
    monkeypatch.setitem(sys.modules, "wandb", library)
    monkeypatch.setitem(sys.modules, "trackio", None)  # not installed
    run = FakeRun()
    trackers = [tracker("wandb", Failing()), tracker("trackio", FakeRun()), tracker("wandb", run)]
    with pytest.warns(UserWarning) as warned:
        log_to_trackers(SimpleNamespace(is_main_process=True, trackers=trackers), preview, 3)
    texts = [str(warning.message) for warning in warned]
    assert any("step 3: wandb did not take" in text and "offline" in text for text in texts)
    assert any("trackio did not take" in text for text in texts) and len(run.logged) == 1


def test_other_processes_send_nothing(preview):
    run = FakeRun()
    for main, what in ((False, preview), (True, None)):
        log_to_trackers(SimpleNamespace(is_main_process=main, trackers=[tracker("wandb", run)]), what, 1)
    assert run.logged == []
