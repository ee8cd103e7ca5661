"""Arguments of image-to-video: what the stock pipeline takes, sizes, batches, what is refused; folders and LoRAs."""

import inspect
import json
from types import SimpleNamespace

import pytest
import torch
from diffusers import DiffusionPipeline, WanImageToVideoPipeline
from wan_i2v_parts import film, picture, tiny_i2v

from emogen.models import EmotionAdapterConfig
from emogen.pipelines import EmotionWanImageToVideoPipeline, EmotionWanPipeline, GenerationDefaults

PROMPTS = ["a red ball", "the table"]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def noise(count, frames=2):
    return torch.randn(count, 4, frames, 4, 4, generator=torch.Generator().manual_seed(9))


@pytest.fixture
def make(make_pipe):
    def build(form="wan2.1", kind=EmotionWanImageToVideoPipeline, **overrides):
        return tiny_i2v(make_pipe, kind, form, **overrides)

    return build


@pytest.fixture
def dress(make, train):
    """Builds a pipeline with a trained adapter."""

    def build(form="wan2.1"):
        pipe = make(form)
        train(pipe.add_emotion_adapter(EmotionAdapterConfig(rank=64, head_dim=32, hidden_dim=16)))
        return pipe

    return build


@pytest.fixture
def called(monkeypatch):
    """What reaches the stock pipeline's `__call__`, which then does nothing."""
    seen = {}
    signature = inspect.signature(WanImageToVideoPipeline.__call__)

    def note(self, **arguments):
        seen.clear()
        seen.update(arguments)
        return SimpleNamespace(frames=None)

    note.__signature__ = signature
    monkeypatch.setattr(WanImageToVideoPipeline, "__call__", note)
    return seen


def test_all_stock_arguments_are_kept():
    own = inspect.signature(EmotionWanImageToVideoPipeline.__call__).parameters
    stock = inspect.signature(WanImageToVideoPipeline.__call__).parameters
    added = ["emotion", "negative_emotion", "emotion_scale", "emotion_guidance_scale", "guidance_interval"]
    assert list(own) == [*stock, *added, "background"]
    assert all(own[name] == stock[name] for name in stock)
    for method in ("encode_prompt", "__init__"):
        names = [
            list(inspect.signature(getattr(kind, method)).parameters)
            for kind in (EmotionWanImageToVideoPipeline, WanImageToVideoPipeline)
        ]
        assert names[0] == names[1]


def test_positional_arguments(dress):
    pipe = dress()
    expected = film(pipe, negative_prompt="the table", emotion="fear")
    out = pipe(
        picture(), "a red ball", "the table", 16, 16, 5, 2, 3.0, output_type="pt", emotion="fear", return_dict=False,
        generator=torch.Generator().manual_seed(5),
    )  # fmt: skip
    assert torch.equal(out[0], expected)


def test_forms_of_one_image(dress, tmp_path):
    """What the stock pipeline does not take: paths, and transparency on a background."""
    pipe, clear = dress(), picture(mode="RGBA")
    clear.save(tmp_path / "a.png")
    white, black = (film(pipe, image=clear, background=colour) for colour in ("white", "black"))
    assert torch.equal(film(pipe, image=tmp_path / "a.png"), white) and not torch.equal(white, black)
    with pytest.raises(ValueError, match="background is 'blurple'"):
        film(pipe, background="blurple")


@pytest.mark.parametrize(
    ("image", "given", "expected"),
    [
        ((64, 64), {}, (624, 624)),
        ((1920, 1080), {}, (832, 480)),
        ((64, 128), {"width": 32}, (32, 64)),
        ((64, 128), {"height": 32}, (16, 32)),
        ((1000, 10), {"width": 32}, (32, 16)),
        ((64, 128), {"height": 32, "width": 48}, (48, 32)),
    ],
)
def test_sizes_follow_from_the_image(image, given, expected, make, called):
    make("wan2.2")(picture(*image), "a red ball", **given)
    assert (called["width"], called["height"]) == expected
    assert called["image"].size == (image if len(given) == 2 else expected)


def test_sizes_within_the_models_own_area(make, called):
    pipe = make("wan2.2")
    pipe.generation_defaults = GenerationDefaults(height=32, width=32)
    pipe(picture(100, 400), "a red ball", last_image=picture(50, 50))
    assert (called["width"], called["height"]) == (16, 64)
    assert called["image"].size == called["last_image"].size == (16, 64)
    pipe(picture(100, 400), "a red ball", height=None, width=None)
    assert (called["width"], called["height"]) == (16, 64)


@pytest.mark.parametrize("form", ["wan2.1", "wan2.2"])
def test_each_prompt_has_its_emotion(form, dress):
    pipe = dress(form)
    for emotions in (["fear", None], ["fear", "0:awe 1:anger"]):
        both = film(pipe, PROMPTS, emotion=emotions, latents=noise(2))
        for row, (prompt, emotion) in enumerate(zip(PROMPTS, emotions, strict=True)):
            alone = film(pipe, prompt, emotion=emotion, latents=noise(2)[row : row + 1])
            torch.testing.assert_close(both[row], alone[0], **CLOSE)


@pytest.mark.parametrize("form", ["wan2.1", "flf2v", "wan2.2"])
def test_several_videos_for_each_prompt(form, dress):
    pipe, emotions = dress(form), ["fear", "0:awe 1:anger"]
    last = {"last_image": picture(seed=2)} if form == "flf2v" else {}
    videos = film(pipe, PROMPTS, emotion=emotions, latents=noise(4), num_videos_per_prompt=2, **last)
    for row in range(4):
        own = {"emotion": emotions[row // 2], "latents": noise(4)[row : row + 1]} | last
        torch.testing.assert_close(videos[row], film(pipe, PROMPTS[row // 2], **own)[0], **CLOSE)
    one = film(pipe, negative_prompt="the table", num_videos_per_prompt=2, emotion="fear", **last)
    assert one.shape[0] == 2


def test_several_videos_with_their_own_words(dress):
    """Negative prompts, embeddings and generators stay with their prompts."""
    pipe = dress()
    generators = lambda: [torch.Generator().manual_seed(seed) for seed in range(4)]  # noqa: E731
    negative = ["the table", "a red"]
    several = {"num_videos_per_prompt": 2, "emotion": ["fear", "awe"]}
    videos = film(pipe, PROMPTS, negative_prompt=negative, generator=generators(), **several)
    with torch.no_grad():
        embeds, away = pipe.encode_prompt(PROMPTS, negative, max_sequence_length=512)
    assert embeds.shape == (2, 512, 16)  # outside a call there is no tail
    given = {"prompt_embeds": embeds, "negative_prompt_embeds": away}
    torch.testing.assert_close(film(pipe, None, generator=generators(), **given, **several), videos, **CLOSE)
    for row in range(4):
        own = {"generator": torch.Generator().manual_seed(row), "emotion": ["fear", "awe"][row // 2]}
        alone = film(pipe, PROMPTS[row // 2], negative_prompt=negative[row // 2], **own)
        torch.testing.assert_close(videos[row], alone[0], **CLOSE)


@pytest.mark.parametrize(
    ("form", "call", "message"),
    [
        ("wan2.1", {"image": None}, r"image is missing.*image_embeds do not replace it"),
        ("wan2.1", {"last_image": picture()}, "knows only a first frame; leave last_image out, or load"),
        ("ti2v", {"last_image": picture()}, r"\(Wan2\.2 TI2V\) knows only a first frame; leave last_image out"),
        ("flf2v", {}, "makes the frames between two images; give last_image"),
        ("flf2v", {"last_image": picture(), "num_frames": 1}, r"last_image needs .* set num_frames to 5 or more"),
        ("wan2.2", {"last_image": picture(), "num_frames": 3}, "last_image needs a clip of at least two latent"),
        ("wan2.1", {"emotion": "0:fear 1:awe", "num_frames": 1}, "an emotion that changes .* num_frames to 5"),
        ("wan2.2", {"negative_emotion": "0:fear 1:awe", "num_frames": 1}, "an emotion that changes"),
        ("wan2.1", {"max_sequence_length": 12}, "takes 512 text tokens, and max_sequence_length has 12"),
        ("wan2.1", {"prompt": None, "prompt_embeds": torch.zeros(1, 12, 16)}, "and prompt_embeds has 12.*pad"),
        ("wan2.1", {"negative_prompt_embeds": torch.zeros(1, 9, 16)}, "and negative_prompt_embeds has 9"),
        ("wan2.2", {"latents": noise(2)}, r"latents have the shape \(2, 4, 2, 4, 4\).*\(1, 4, 2, 4, 4\)"),
        ("wan2.2", {"latents": noise(1, 3)}, r"this call's are \(1, 4, 2, 4, 4\).*set num_frames, height and width"),
        ("wan2.2", {"latents": noise(1), "height": 32}, r"this call's are \(1, 4, 2, 8, 4\)"),
        ("wan2.2", {"latents": noise(1), "num_videos_per_prompt": 2}, r"this call's are \(2, 4, 2, 4, 4\)"),
        ("wan2.1", {"height": 24}, "divisible by 16"),
        ("wan2.1", {"image_embeds": torch.zeros(1, 5, 24)}, "both `image`"),
    ],
)
def test_what_is_refused(form, call, message, dress):
    with pytest.raises(ValueError, match=message):
        film(dress(form), **call)


def test_what_other_models_take(dress):
    pipe = dress("wan2.2")
    assert film(pipe, max_sequence_length=12, emotion="fear").isfinite().all()
    assert film(pipe, emotion="fear", num_frames=1).shape[1] == 1
    with pytest.raises(TypeError, match="image is a list"):
        film(pipe, image=[picture()])
    with pytest.raises(TypeError, match="colour"):
        film(pipe, colour="red")


@pytest.mark.parametrize("part", ["image_encoder", "image_processor"])
def test_a_missing_image_encoder(part, make):
    with pytest.raises(ValueError, match="needs image_encoder and image_processor, and the pipeline has none"):
        film(make(**{part: None}))


def test_models_of_the_other_kind(make, make_pipe, make_transformer, tmp_path):
    image_model, text_model = make("wan2.2", WanImageToVideoPipeline), make_pipe()
    text_class = r"is a text-to-video model \(4 channels in and out.*use EmotionWanPipeline"
    image_class = r"is an image-to-video model \(12 channels in, 4 out\): use EmotionWanImageToVideoPipeline"
    with pytest.raises(ValueError, match=f"the given transformer {text_class}"):
        make(transformer=make_transformer())
    with pytest.raises(ValueError, match=f"the given transformer_2 {text_class}"):
        make("wan2.2", transformer_2=make_transformer())
    with pytest.raises(ValueError, match=f"the given transformer {image_class}"):
        make_pipe(transformer=image_model.transformer)
    with pytest.raises(ValueError, match=text_class):
        EmotionWanImageToVideoPipeline.from_pipe(text_model)
    text_model.save_pretrained(tmp_path / "text")
    image_model.save_pretrained(tmp_path / "image")
    with pytest.raises(ValueError, match=f"text {text_class}"):
        EmotionWanImageToVideoPipeline.from_pretrained(tmp_path / "text")
    with pytest.raises(ValueError, match=f"image {image_class}"):
        EmotionWanPipeline.from_pretrained(tmp_path / "image")
    with pytest.raises(ValueError, match=f"the given transformer {text_class}"):
        EmotionWanImageToVideoPipeline.from_pretrained(tmp_path / "image", transformer=make_transformer())
    # Wan2.2's TI2V is a model for both
    EmotionWanPipeline(**text_model.components, expand_timesteps=True)


@pytest.mark.parametrize("form", ["wan2.1", "wan2.2", "ti2v"])
def test_folders(form, dress, make, tmp_path):
    pipe, base = dress(form), film(make(form, WanImageToVideoPipeline))
    fear = film(pipe, emotion="fear")
    pipe.save_emotion_adapter(tmp_path / "adapter")
    pipe.save_pretrained(tmp_path / "model")
    assert json.loads((tmp_path / "model/model_index.json").read_text())["_class_name"] == "WanImageToVideoPipeline"
    stock = DiffusionPipeline.from_pretrained(tmp_path / "model")
    assert type(stock) is WanImageToVideoPipeline
    again = EmotionWanImageToVideoPipeline.from_pretrained(tmp_path / "model")
    for opened in (stock, again):
        opened.set_progress_bar_config(disable=True)
        # weights that lie otherwise in memory may round otherwise
        torch.testing.assert_close(film(opened), base, atol=1e-5, rtol=1e-5)
    base = film(stock)
    assert torch.equal(film(again), base)
    again.load_emotion_adapter(tmp_path / "adapter")
    torch.testing.assert_close(film(again, emotion="fear"), fear, atol=1e-5, rtol=1e-5)
    assert torch.equal(film(again), base)
    again.unload_emotion_adapter()
    assert again.emotion_adapter is None and torch.equal(film(again), base)
