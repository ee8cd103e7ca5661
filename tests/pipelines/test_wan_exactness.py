"""When nothing is asked of the adapter, the video is the stock pipeline's, bit for bit."""

import pytest
import torch

from emogen.emotion import EmotionArc, EmotionState


def test_without_adapter_and_emotion(pipe, stock, generate):
    assert torch.equal(generate(pipe), generate(stock))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"emotion": None},
        {"emotion": "neutral"},
        {"emotion": "fear:0"},
        {"emotion": EmotionState.neutral()},
        {"emotion": "0:neutral 1:neutral"},
        {"emotion": ["neutral"]},
        {"emotion": "fear", "emotion_scale": 0},
        {"emotion": "0:fear 1:awe", "emotion_scale": 0.0},
        {"negative_emotion": "fear", "emotion_scale": 0},
    ],
)
def test_a_trained_adapter_at_rest(arguments, dressed, stock, generate):
    assert torch.equal(generate(dressed, **arguments), generate(stock))


def test_scale_zero_set_for_all_calls(dressed, stock, generate):
    dressed.set_emotion_scale(0)
    assert torch.equal(generate(dressed, emotion="fear"), generate(stock))


def test_an_untrained_adapter(pipe, stock, config, generate):
    pipe.add_emotion_adapter(config)
    for emotion in ("fear", "0:fear 1:awe"):
        assert torch.equal(generate(pipe, emotion=emotion), generate(stock))


def test_an_emotion_changes_the_video(dressed, stock, generate):
    base, fear, awe = generate(stock), generate(dressed, emotion="fear"), generate(dressed, emotion="awe")
    assert (fear - base).abs().mean() > 1e-3
    assert (fear - awe).abs().mean() > 1e-3
    assert torch.equal(generate(dressed, emotion="fear"), fear)
    assert torch.equal(generate(dressed), base)  # nothing of a call outlives it


def test_the_stock_pipeline_runs_on_a_dressed_transformer(dressed, stock, generate):
    base = generate(stock)
    stock.transformer = dressed.transformer
    assert torch.equal(generate(stock), base)
    with pytest.raises(ValueError, match=r"given 20 tokens.*max_sequence_length=12"):
        generate(stock, max_sequence_length=20)


def test_another_text_length_for_one_call(dressed, stock, generate):
    base = generate(stock, max_sequence_length=20)
    assert torch.equal(generate(dressed, max_sequence_length=20), base)
    assert not torch.equal(generate(dressed, max_sequence_length=20, emotion="fear"), base)
    assert dressed.emotion_adapter.text_length == 12


def test_a_constant_arc_is_the_plain_emotion(dressed, generate):
    plain = generate(dressed, emotion="fear:0.8")
    for arc in ("0:fear:0.8", "0:fear:0.8 1:fear:0.8", EmotionArc.constant("fear:0.8")):
        assert torch.equal(generate(dressed, emotion=arc), plain)


def test_an_arc_of_a_single_frame_is_its_beginning(dressed, generate):
    arc = generate(dressed, emotion="0:fear 1:awe", num_frames=1)
    assert torch.equal(arc, generate(dressed, emotion="fear", num_frames=1))


def test_detaching_after_a_failed_call(dressed, stock, generate):
    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(dressed, emotion="fear", emotion_scale=0.5, max_sequence_length=20, callback_on_step_end=fail)
    assert dressed.emotion_adapter.scale == 1 and dressed.emotion_adapter.text_length == 12
    assert torch.equal(generate(dressed), generate(stock))
