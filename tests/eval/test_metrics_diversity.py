import builtins
import importlib.util
import math

import pytest
import torch

from emogen.eval.metrics import FirstFrameLPIPS, FirstFramePSNR, LPIPSDiversity
from emogen.eval.metrics.perceptual import load_lpips


def square(a, b):
    """A stand-in for LPIPS of its shapes: [N, 3, H, W] in [-1, 1] to [N, 1, 1, 1]."""
    assert a.dtype == torch.float32 and a.min() >= -1 and a.max() <= 1
    return (a - b).square().mean((1, 2, 3), keepdim=True)


def flat(*levels, frames=2):
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None, None].expand(-1, frames, 3, 4, 4).clone()


def test_diversity_by_hand():
    metric = LPIPSDiversity(square)
    metric.update(flat(0, 51, 255))  # in [-1, 1] apart by 0.4, 1.6 and 2
    one = (0.16 + 2.56 + 4) / 3
    assert float(metric.compute()) == pytest.approx(one, abs=1e-6)
    metric.update(flat(9, 9))
    assert float(metric.compute()) == pytest.approx(one / 2, abs=1e-6)  # prompts weigh the same, not pairs
    half = flat(0, 255)
    half[1, 1] = 0  # different in one frame of two
    assert float(LPIPSDiversity(square).score(half)) == pytest.approx(2)


def test_first_frame_distance_reads_the_first_frame_only():
    clips = flat(0, 255, frames=3)
    clips[:, 1:] = 77
    images = torch.zeros(2, 3, 4, 4)
    metric = FirstFrameLPIPS(square)
    assert metric.score(clips, images).tolist() == pytest.approx([0, 4], abs=1e-6)
    metric.update(clips, images)
    assert float(metric.compute()) == pytest.approx(2, abs=1e-6)


def test_psnr_by_hand_pooled_over_clips():
    metric = FirstFramePSNR()
    clips = flat(0, 51)
    clips[:, 1] = 200
    metric.update(clips[:1], torch.zeros(1, 3, 4, 4))
    assert float(metric.compute()) == math.inf
    metric.update(clips[1:], torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    assert float(metric.compute()) == pytest.approx(10 * math.log10(1 / 0.02), abs=1e-4)  # MSE 0.04, and 0


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 2 clips of the prompt, not 1"):
        LPIPSDiversity(square).update(flat(0))
    with pytest.raises(ValueError, match=r"images must be \[2, 3, 4, 4\].*not \[2, 3, 8, 8\]"):
        FirstFramePSNR().update(flat(0, 1), torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match=r"images of torch\.float32 must lie in"):
        FirstFramePSNR().update(flat(0), torch.full((1, 3, 4, 4), 3.0))
    with pytest.raises(ValueError, match="no clips were given"):
        FirstFramePSNR().compute()
    with pytest.raises(ValueError, match="for 1 pairs, or a value not finite"):
        FirstFrameLPIPS(lambda a, b: torch.full((1,), torch.nan)).update(flat(0), torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'lpips'"), RuntimeError("operator torchvision::nms does not exist")]
)
def test_lpips_that_cannot_be_had_is_named(monkeypatch, error):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "lpips":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"(?s)lpips.*nms|lpips.*\.\[lpips\].*FirstFramePSNR"):
        LPIPSDiversity()


def test_real_lpips():
    if not importlib.util.find_spec("lpips") or not importlib.util.find_spec("torchvision"):
        pytest.skip("needs the extra lpips; torchvision has no build for this torch here")
    try:
        network = load_lpips()
    except (ImportError, RuntimeError) as error:
        pytest.skip(str(error))
    ones = torch.ones(1, 3, 64, 64)
    assert float(FirstFrameLPIPS(network).score(ones[:, None], torch.zeros(1, 3, 64, 64))) > 0.3
    assert float(FirstFrameLPIPS(network).score(ones[:, None], ones)) == pytest.approx(0, abs=1e-6)
