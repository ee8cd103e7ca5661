"""Forms of `emotion=`: batches, several videos, embeddings, guidance, scales, arcs, and no adapter at all."""

import inspect
import warnings

import pytest
import torch
from diffusers import WanPipeline

from emogen.emotion import EmotionArc, EmotionState, UnknownEmotionError, emotion_prompt
from emogen.pipelines import EmotionWanPipeline

PROMPTS = ["a red ball", "the table"]


def latents(count, frames=2):
    return torch.randn(count, 4, frames, 4, 4, generator=torch.Generator().manual_seed(9))


def test_forms_of_one_emotion_agree(dressed, generate):
    expected = generate(dressed, emotion="fear:0.5")
    for form in (EmotionState.parse("fear:0.5"), EmotionState.parse("fear:0.5").to_dict(), ["fear:0.5"]):
        assert torch.equal(generate(dressed, emotion=form), expected)


def test_each_prompt_has_its_emotion(dressed, generate):
    noise = latents(2)
    both = generate(dressed, PROMPTS, emotion=["fear", None], latents=noise)
    for index, emotion in enumerate(["fear", None]):
        alone = generate(dressed, PROMPTS[index], emotion=emotion, latents=noise[index : index + 1])
        torch.testing.assert_close(both[index], alone[0], atol=1e-4, rtol=1e-4)
    one_for_all = generate(dressed, PROMPTS, emotion="fear", latents=noise)
    torch.testing.assert_close(one_for_all[0], both[0], atol=1e-4, rtol=1e-4)
    assert (one_for_all[1] - both[1]).abs().mean() > 1e-3


@pytest.mark.parametrize("emotions", [["fear", "awe"], ["fear", "0:awe 1:anger"]])
def test_several_videos_for_each_prompt(emotions, dressed, generate):
    noise = latents(4)
    videos = generate(dressed, PROMPTS, emotion=emotions, latents=noise, num_videos_per_prompt=2)
    for row in range(4):
        alone = generate(dressed, PROMPTS[row // 2], emotion=emotions[row // 2], latents=noise[row : row + 1])
        torch.testing.assert_close(videos[row], alone[0], atol=1e-4, rtol=1e-4)


def test_embeddings_in_place_of_prompts(dressed, generate):
    with torch.no_grad():
        embeds, negative = dressed.encode_prompt(PROMPTS, "", max_sequence_length=12)
    assert embeds.shape == (2, 12, 16)  # outside a call there is no tail
    given = {"prompt_embeds": embeds, "negative_prompt_embeds": negative, "latents": latents(2)}
    for emotion in ("fear", ["fear", "awe"], ["fear", "0:awe 1:anger"]):
        expected = generate(dressed, PROMPTS, negative_prompt="", emotion=emotion, latents=latents(2))
        assert torch.equal(generate(dressed, None, emotion=emotion, **given), expected)
    given["negative_prompt_embeds"] = negative[:, :-2]
    with pytest.raises(ValueError, match="prompt_embeds have 12 tokens and negative_prompt_embeds 10"):
        generate(dressed, None, emotion="fear", **given)


def test_without_guidance(dressed, stock, generate):
    assert torch.equal(generate(dressed, guidance_scale=1.0), generate(stock, guidance_scale=1.0))
    fear = generate(dressed, guidance_scale=1.0, emotion="fear")
    assert (fear - generate(stock, guidance_scale=1.0)).abs().mean() > 1e-4
    both = generate(dressed, guidance_scale=1.0, emotion="fear", negative_emotion="awe")
    assert torch.equal(both, fear)


def test_a_negative_emotion_is_what_guidance_leaves(dressed, generate):
    fear = generate(dressed, emotion="fear")
    assert not torch.equal(generate(dressed, emotion="fear", negative_emotion="awe"), fear)
    assert torch.equal(generate(dressed, emotion="fear", negative_emotion="neutral"), fear)
    # the same on both sides: guidance sees no difference, as without guidance but for the prompts
    same = generate(dressed, "", emotion="fear", negative_emotion="fear")
    torch.testing.assert_close(same, generate(dressed, "", emotion="fear", guidance_scale=1.0))
    moving = generate(dressed, emotion="fear", negative_emotion="0:awe 1:anger")
    assert moving.isfinite().all() and not torch.equal(moving, fear)


def test_scales_multiply(dressed, generate):
    quarter = generate(dressed, emotion="fear", emotion_scale=0.25)
    dressed.set_emotion_scale(0.5)
    assert torch.equal(generate(dressed, emotion="fear", emotion_scale=0.5), quarter)
    assert dressed.emotion_adapter.scale == 1


def test_an_arc_moves_its_own_frames(dressed, generate):
    """Two arcs that differ in the last latent frame's emotion give the tails that differ there alone."""
    seen = []
    encode = dressed._tail
    dressed._tail = lambda emotions, like: seen.append(emotions) or encode(emotions, like)
    generate(dressed, emotion="0:fear 1:awe", num_frames=9)
    cond, uncond = seen
    arc = EmotionArc.parse("0:fear 1:awe")
    expected = [arc.at(time).distribution for time in (0, 2.5 / 8, 6.5 / 8)]
    torch.testing.assert_close(cond.distribution[0], torch.tensor(expected))
    assert uncond.intensity.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("frames", [5, 8, 9])
def test_arcs_fit_every_clip_length(frames, dressed, generate):
    assert generate(dressed, emotion="0:fear 1:awe", num_frames=frames).isfinite().all()


def test_what_is_refused(dressed, generate):
    with pytest.raises(UnknownEmotionError):
        generate(dressed, emotion="feer")
    with pytest.raises(ValueError, match="emotion has 3 entries for 2 prompts"):
        generate(dressed, PROMPTS, emotion=["fear"] * 3)
    with pytest.raises(ValueError, match="negative_emotion has 2 entries for 1 prompt;"):
        generate(dressed, negative_emotion=["fear"] * 2)
    with pytest.raises(TypeError, match="not float"):
        generate(dressed, emotion=0.3)
    with pytest.raises(TypeError, match="colour"):
        generate(dressed, colour="red")


def test_all_stock_arguments_are_kept():
    own = inspect.signature(EmotionWanPipeline.__call__).parameters
    stock = inspect.signature(WanPipeline.__call__).parameters
    added = ["emotion", "negative_emotion", "emotion_scale", "emotion_guidance_scale", "guidance_interval"]
    assert list(own) == [*stock, *added]
    assert all(own[name] == stock[name] for name in stock)
    assert list(inspect.signature(EmotionWanPipeline.encode_prompt).parameters) == list(
        inspect.signature(WanPipeline.encode_prompt).parameters
    )


def test_positional_arguments(dressed, generate):
    expected = generate(dressed, negative_prompt="the table", emotion="fear")
    more = {"num_frames": 5, "num_inference_steps": 2, "guidance_scale": 3.0, "max_sequence_length": 12}
    out = dressed(
        "a red ball", "the table", 16, 16, **more, output_type="pt", emotion="fear",
        generator=torch.Generator().manual_seed(5), return_dict=False,
    )  # fmt: skip
    assert torch.equal(out[0], expected)


def test_embeddings_can_be_changed_between_steps(dressed, generate):
    """A callback sees the text alone, as with the stock pipeline, and the emotion stays with what it gives back."""
    seen = []

    def run(replace, emotion="fear", inputs=("prompt_embeds", "negative_prompt_embeds")):
        def callback(pipe, step, timestep, tensors):
            seen.append({name: value.shape[1] for name, value in tensors.items()})
            return {name: replace(value) for name, value in tensors.items()}

        return generate(dressed, emotion=emotion, callback_on_step_end=callback,
                        callback_on_step_end_tensor_inputs=list(inputs))  # fmt: skip

    assert torch.equal(run(lambda embeds: embeds.clone()), generate(dressed, emotion="fear"))
    assert seen == [{"prompt_embeds": 12, "negative_prompt_embeds": 12}] * 2
    other = torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(1))
    replaced = run(lambda embeds: other)
    assert not torch.equal(replaced, generate(dressed, emotion="fear"))
    assert not torch.equal(replaced, run(lambda embeds: other, emotion="neutral"))
    with pytest.raises(ValueError, match="gave prompt_embeds of 11 tokens, and this call has 12; pad them"):
        run(lambda embeds: embeds[:, :11], inputs=["prompt_embeds"])


def test_without_an_adapter_the_emotion_is_said(pipe, stock, generate):
    sentence = emotion_prompt(EmotionState.parse("fear"))
    assert "fear" in sentence
    expected = generate(stock, ["a red ball " + sentence, "the table"], max_sequence_length=24)
    with pytest.warns(UserWarning, match="added to the prompt"):
        said = generate(pipe, PROMPTS, emotion=["fear", "neutral"], max_sequence_length=24)
    assert torch.equal(said, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = generate(pipe, PROMPTS, emotion=["fear", "neutral"], max_sequence_length=24)  # warns once
        assert torch.equal(generate(pipe, emotion="fear", emotion_scale=0), generate(stock))
    assert torch.equal(again, expected)


def test_the_sentence_is_read_after_a_prompt_that_is_too_long(pipe, stock, generate):
    """It used to fall off, and every emotion gave the same clip."""
    long, sentence = "the table on " * 20, emotion_prompt(EmotionState.parse("fear"))
    with pytest.warns(UserWarning, match=r"reads 16; the emotion's sentence is kept. What is not read: .* words\)"):
        said = generate(pipe, long, emotion="fear", max_sequence_length=16)
    assert torch.equal(said, generate(stock, f"the table on the table {sentence}", max_sequence_length=16))


def test_a_prompt_that_is_cut_is_told(dressed, generate):
    with pytest.warns(UserWarning, match="a prompt has 61 tokens and the text encoder reads 16. What is not read"):
        generate(dressed, "the table on " * 20, emotion="fear", max_sequence_length=16)


def test_what_cannot_be_said_in_a_prompt(pipe, generate):
    with pytest.raises(ValueError, match="changes over the clip"):
        generate(pipe, emotion="0:fear 1:awe")
    with pytest.raises(ValueError, match="negative_emotion, cannot be said"):
        generate(pipe, negative_emotion="fear")
    embeds, _ = pipe.encode_prompt("a red ball", max_sequence_length=12)
    with pytest.raises(ValueError, match="prompt_embeds needs an emotion adapter"):
        generate(pipe, None, prompt_embeds=embeds, emotion="fear")
    with pytest.raises(RuntimeError, match="no emotion adapter is loaded"):
        pipe.set_emotion_scale(2)
