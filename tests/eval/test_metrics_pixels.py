import numpy as np
import pytest
import torch

from emogen.eval.metrics import TemporalFlickering, check_clips, temporal_flickering
from emogen.eval.metrics.pixels import check_images, to_bytes, to_unit

GOOD = torch.rand(2, 3, 3, 4, 4)


@pytest.mark.parametrize(
    ("clips", "error", "message"),
    [
        (np.zeros((1, 2, 4, 4, 3), np.uint8), TypeError, r"must be a torch tensor.*permute\(0, 1, 4, 2, 3\)"),
        (torch.zeros(1, 2, 4, 4, 3), ValueError, r"look like \[B, F, H, W, 3\]"),
        (torch.zeros(2, 3, 4, 4), ValueError, r"must be \[B, F, 3, H, W\], not \[2, 3, 4, 4\]"),
        (torch.zeros(1, 2, 3, 4, 4, dtype=torch.int64), TypeError, "must be uint8 or floating point.*int64"),
        (torch.zeros(0, 2, 3, 4, 4), ValueError, "are empty"),
        (GOOD * 255, ValueError, "divide by 255 or give uint8"),
        (GOOD * 2 - 1, ValueError, r"map them by \(x \+ 1\) / 2"),
        (GOOD * 1.05, ValueError, "clamp them"),
        (GOOD.masked_fill(GOOD.max() == GOOD, torch.nan), ValueError, "hold NaN"),
    ],
)
def test_what_is_not_a_clip_is_refused(clips, error, message):
    with pytest.raises(error, match=message):
        check_clips(clips)
    with pytest.raises(error):
        TemporalFlickering().update(clips)


def test_what_is_a_clip_passes():
    assert check_clips(GOOD) is GOOD
    assert check_clips(GOOD.bfloat16()).dtype == torch.bfloat16
    levels = torch.arange(48, dtype=torch.uint8).reshape(1, 1, 3, 4, 4) * 5
    assert torch.equal(to_bytes(to_unit(levels)), levels) and to_unit(levels).max() == 235 / 255
    assert to_bytes(torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 0.999, 1.0])).tolist() == [0, 0, 1, 255, 255]
    with pytest.raises(ValueError, match="clips have 3 frames; at least 4"):
        check_clips(GOOD, least_frames=4)
    with pytest.raises(ValueError, match=r"images must be \[B, 3, H, W\]"):
        check_images(GOOD)


def test_flickering_by_hand():
    clips = torch.zeros(2, 3, 3, 2, 2, dtype=torch.uint8)
    clips[0, 1] = 51  # up 51 and down 51: MAE 51
    clips[1, 2, 0] = 30  # one colour of three, in one pair of two: MAE 30 / 6 = 5
    expected = torch.tensor([(255 - 51) / 255, (255 - 5) / 255], dtype=torch.float64)
    assert torch.allclose(temporal_flickering(clips), expected, atol=1e-7)
    assert torch.allclose(temporal_flickering(clips, "error"), torch.tensor([0.2, 5 / 255]).double(), atol=1e-7)
    assert torch.allclose(temporal_flickering(clips.float() / 255), expected, atol=1e-7)


def test_flickering_does_not_wrap_around():
    clips = torch.zeros(1, 2, 3, 2, 2, dtype=torch.uint8)
    clips[0, 0] = 250  # 0 - 250 in uint8 would be 6
    assert float(temporal_flickering(clips)) == pytest.approx(5 / 255)


def test_the_metric_is_the_mean_of_clips_not_of_batches():
    clips = torch.randint(0, 256, (5, 4, 3, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for form in ("score", "error"):
        metric = TemporalFlickering(form)
        metric.update(clips[:4])
        metric.update(clips[4:])
        array = clips.numpy().astype(np.float64)
        error = np.abs(array[:, 1:] - array[:, :-1]).mean((1, 2, 3, 4)).mean() / 255
        assert float(metric.compute()) == pytest.approx(1 - error if form == "score" else error, abs=1e-7)
        assert metric.compute().dtype == torch.float64 and metric.higher_is_better == (form == "score")
        assert float(metric(clips[:2])) == pytest.approx(float(metric.score(clips[:2]).mean()))
        assert int(metric.weight) == 7
        metric.reset()
        metric.update(torch.zeros(1, 2, 3, 4, 4))
        assert float(metric.compute()) == (1.0 if form == "score" else 0.0)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_flickering_needs_two_frames_a_form_and_clips():
    with pytest.raises(ValueError, match="1 frames; at least 2"):
        temporal_flickering(torch.zeros(1, 1, 3, 4, 4))
    with pytest.raises(ValueError, match="form 'loss' is not one of score, error"):
        TemporalFlickering("loss")
    with pytest.raises(ValueError, match="TemporalFlickering: no clips were given"):
        TemporalFlickering().compute()
