import math

import numpy as np
import pytest
import torch

from emogen.eval.metrics import FrechetVideoDistance, VideoFeatures, frechet_distance
from emogen.eval.metrics.frechet import frechet_from_moments, moved_moments


def reference(real, fake, ddof=0):
    """The textbook form: a matrix square root of the product of the covariances."""
    linalg = pytest.importorskip("scipy.linalg")
    s1, s2 = (np.cov(x, rowvar=False, ddof=ddof) for x in (real, fake))
    root = linalg.sqrtm(s1 @ s2)
    return float(np.square(real.mean(0) - fake.mean(0)).sum() + np.trace(s1 + s2 - 2 * root.real))


def draws(n, d, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + shift


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 12), (90, 400, 40), (30, 31, 5)])
def test_equals_the_matrix_square_root(n, m, d, ddof):
    real, fake = draws(n, d, 1), draws(m, d, 2, shift=0.7)
    assert frechet_distance(real, fake, ddof) == pytest.approx(reference(real, fake, ddof), rel=1e-6)


@pytest.mark.parametrize("ddof", [0, 1])
def test_equals_the_square_root_with_fewer_clips_than_features(ddof):
    real, fake = draws(12, 30, 3), draws(17, 30, 4, shift=0.5)
    # sqrtm of a singular product is itself only good to about 1e-5 here; the eigenvalues of the small Gram product say
    # the same exactly
    assert frechet_distance(real, fake, ddof) == pytest.approx(reference(real, fake, ddof), rel=1e-4)
    x, y = real - real.mean(0), fake - fake.mean(0)
    eigenvalues = np.linalg.eigvals(x @ y.T @ y @ x.T).real.clip(0)
    trace = np.square(x).sum() / (12 - ddof) + np.square(y).sum() / (17 - ddof)
    shared = np.sqrt(eigenvalues).sum() / math.sqrt((12 - ddof) * (17 - ddof))
    exact = np.square(real.mean(0) - fake.mean(0)).sum() + trace - 2 * shared
    assert frechet_distance(real, fake, ddof) == pytest.approx(exact, rel=1e-7)


def test_two_clips_a_side_by_hand():
    # covariances of two points are rank one, a a^T / 4 with a their difference, so tr (S1 S2)^(1/2) = |a . b| / 4
    real, fake = np.array([[0.0, 0, 0], [2, 0, 0]]), np.array([[1.0, 1, 3], [1, 3, 3]])
    assert frechet_distance(real, fake) == pytest.approx(4 + 9 + 1 + 1)
    turned = np.array([[0.0, 0, 0], [1, 1, 0]])
    expected = 0.25 + 0.25 + 1 + 0.5 - 2 * (2 * 1) / 4
    assert frechet_distance(real, turned) == pytest.approx(expected)
    assert frechet_distance(real, turned, ddof=1) == pytest.approx(0.5 + 2 * (1 + 0.5 - 2 * (2 * 1) / 4))


def test_diagonal_covariances_by_hand():
    # every combination of signs: mean 0, covariance diagonal with the squares of the scales
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    a, b = np.array([1.0, 2, 3]), np.array([2.0, 0.5, 3])
    assert frechet_distance(signs * a, signs * b) == pytest.approx(np.square(a - b).sum())
    assert frechet_distance(signs * a, signs * b + 2) == pytest.approx(np.square(a - b).sum() + 12)


def test_equal_covariances_leave_the_means():
    real = draws(60, 9, 5)
    assert frechet_distance(real, real + 0.25) == pytest.approx(9 * 0.0625, rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(50, 8), (10, 64), (2, 300)])
def test_a_set_has_no_distance_from_itself(n, d):
    real = draws(n, d, 6)
    assert 0 <= frechet_distance(real, real[::-1].copy()) < 1e-9 * np.square(real).sum()


@pytest.mark.filterwarnings("ignore:frechet_features of")
def test_constant_features_and_float32_tensors():
    real = draws(40, 6, 7)
    fake = draws(40, 6, 8)
    padded = [np.concatenate([x, np.full((40, 3), 5.0)], 1) for x in (real, fake)]
    assert frechet_distance(*padded) == pytest.approx(frechet_distance(real, fake), rel=1e-12)
    metric = filled(*padded)
    assert float(metric.compute()) == pytest.approx(frechet_distance(real, fake), rel=1e-6)
    single = torch.from_numpy(real).float(), torch.from_numpy(fake).float()
    assert frechet_distance(*single) == pytest.approx(frechet_distance(real, fake), rel=1e-5)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.zeros((4, 3)), np.zeros((4, 2)), "real features are 3 wide and fake ones 2"),
        (np.zeros((1, 3)), np.zeros((4, 3)), "at least 2 clips a side, not 1 real and 4 fake"),
        (np.zeros((4, 3)), np.zeros(4), r"fake features must be \(n, d\)"),
        (np.zeros((4, 3)), np.array([[0.0, 1], [np.nan, 0]]), "fake features of 1 clips are NaN or infinite.*row 1"),
        (np.array([[np.inf], [0]]), np.zeros((2, 1)), "real features of 1 clips"),
    ],
)
def test_bad_features_are_refused(real, fake, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(real, fake)
    with pytest.raises(ValueError, match="ddof is 2"):
        frechet_distance(np.eye(3), np.eye(3), ddof=2)


def filled(real, fake, size=7, **kwargs):
    metric = FrechetVideoDistance(**kwargs)
    for rows, side in ((real, True), (fake, False)):
        for part in torch.as_tensor(rows).split(size):
            metric.update(part, real=side)
    return metric


@pytest.mark.filterwarnings("ignore:frechet_features of")
@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize(("n", "m", "d"), [(80, 70, 12), (9, 13, 60), (2, 2, 20)])
def test_streaming_equals_the_function(n, m, d, ddof):
    real, fake = draws(n, d, 9, shift=3), draws(m, d, 10, shift=3.4)
    metric = filled(real, fake, ddof=ddof)
    assert float(metric.compute()) == pytest.approx(frechet_distance(real, fake, ddof), rel=1e-6)
    assert metric.compute().dtype == torch.float64
    assert {tuple(v.shape) for v in metric.metric_state.values()} == {(d,), (d, d), ()}  # and nothing that grows


@pytest.mark.filterwarnings("ignore:frechet_features of", "ignore:The ``compute`` method")
def test_features_far_from_zero_keep_their_digits():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(100, 100)))[0]
    scales = np.arange(1, 101) ** -1.5
    real, fake = (rng.normal(size=(80, 100)) * s @ turn + 1000 for s in (scales, 1.2 * scales))
    exact = frechet_distance(real, fake)
    assert exact == pytest.approx(frechet_distance(real - 1000, fake - 1000), rel=1e-8)
    metric = filled(real, fake)
    assert float(metric.compute()) == pytest.approx(exact, rel=1e-6)
    # as from processes that saw other clips first
    one, other = filled(real[40:], fake[40:]), FrechetVideoDistance()
    other.update(torch.from_numpy(fake[:40]), real=False)
    other.update(torch.from_numpy(real[:40]), real=True)
    one.merge_state(FrechetVideoDistance())
    assert float(one.compute()) != pytest.approx(exact, rel=1e-2)
    one.merge_state(other.metric_state)
    assert float(one.compute()) == pytest.approx(exact, rel=1e-6)
    empty = FrechetVideoDistance()
    empty.merge_state(metric)
    assert float(empty.compute()) == pytest.approx(exact, rel=1e-6)
    with pytest.raises(ValueError, match="cannot add clips read by 'other' to those read by 'features'"):
        metric.merge_state(FrechetVideoDistance(feature_name="other"))
    with pytest.raises(ValueError, match="features are 2 wide; those before were 100"):
        metric.merge_state(filled(np.eye(2), np.eye(2)))
    assert int(metric.real_count) == 80 and float(metric.compute()) == pytest.approx(exact, rel=1e-6)


def test_moved_sums_are_those_of_moved_rows():
    rows, by = torch.from_numpy(draws(9, 4, 1)), torch.arange(4).double()
    sums = [(x.sum(0), x.T @ x, torch.tensor(9)) for x in (rows, rows + by)]
    assert all(torch.allclose(a, b) for a, b in zip(moved_moments(*sums[0], by), sums[1], strict=True))


def test_moments_of_unequal_rank():
    mean = torch.zeros(3, dtype=torch.float64)
    one, two = torch.diag(torch.tensor([4.0, 0, 0])).double(), torch.diag(torch.tensor([1.0, 9, 0])).double()
    assert frechet_from_moments((mean, mean + 1), (one, two)) == pytest.approx(3 + 4 + 10 - 2 * 2)


def test_small_samples_warn_and_large_ones_do_not(recwarn):
    rows = torch.randn(256, 3, generator=torch.Generator().manual_seed(0))
    filled(rows, rows, size=64).compute()
    assert not [w for w in recwarn if "bias of a small sample" in str(w.message)]
    with pytest.warns(UserWarning, match="frechet_features of 256 real and 255 fake clips: below 256"):
        filled(rows, rows[:255], size=64).compute()


def test_counts_widths_and_arguments_are_checked():
    metric = FrechetVideoDistance()
    metric.update(torch.randn(3, 5), real=True)
    with pytest.raises(ValueError, match="not 3 real and 0 fake"):
        metric.compute()
    with pytest.raises(ValueError, match="features are 4 wide; those before were 5"):
        metric.update(torch.randn(3, 4), real=False)
    with pytest.raises(ValueError, match="fake features of 2 clips are NaN or infinite, the first in row 1"):
        metric.update(torch.tensor([[0.0] * 5, [math.nan] * 5, [math.inf] * 5]), real=False)
    with pytest.raises(TypeError, match=r"call update\(clips, real=True\)"):
        metric.update(torch.randn(3, 5), torch.randn(3, 5))
    with pytest.raises(ValueError, match=r"takes features \[B, d\], not \[2, 4, 3, 8, 8\]"):
        metric.update(torch.rand(2, 4, 3, 8, 8), real=True)
    with pytest.raises(TypeError, match="a batch has no distance"):
        metric(torch.randn(3, 5), real=True)
    assert int(metric.real_count) == 3 and int(metric.fake_count) == 0


@pytest.mark.filterwarnings("ignore:frechet_features of")
def test_reset_may_keep_the_real_clips():
    real, fake, other = draws(20, 4, 1), draws(20, 4, 2), draws(20, 4, 3, shift=1)
    metric = filled(real, fake, reset_real=False)
    metric.compute()
    metric.reset()
    assert int(metric.real_count) == 20 and int(metric.fake_count) == 0
    metric.update(torch.from_numpy(other), real=False)
    assert float(metric.compute()) == pytest.approx(frechet_distance(real, other), rel=1e-6)
    plain = filled(real, fake)
    plain.reset()
    assert int(plain.real_count) == 0
    plain.update(torch.randn(3, 7), real=True)  # a new width is fine after forgetting everything


def moments(clips):
    pixels = clips.float() / 255 if clips.dtype == torch.uint8 else clips
    return torch.cat([pixels.mean((1, 3, 4)), pixels.std((1, 3, 4))], 1)


@pytest.mark.filterwarnings("ignore:frechet_moments of")
def test_a_callable_reads_clips_of_either_kind():
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randint(0, 256, (11, 3, 3, 8, 8), generator=generator, dtype=torch.uint8) for _ in range(2))
    values = []
    for a, b in ((real, fake), (real.double() / 255, fake.double() / 255)):
        metric = FrechetVideoDistance(moments, batch_size=4)
        metric.update(a, real=True)
        metric.update(b, real=False)
        values.append(float(metric.compute()))
    assert values[0] == pytest.approx(frechet_distance(moments(real), moments(fake)), rel=1e-6)
    assert values[1] == pytest.approx(values[0], rel=1e-4)
    assert metric.describe() == {
        "name": "frechet_moments",
        "features": "moments",
        "settings": {},
        "ddof": 0,
        "real": 11,
        "fake": 11,
    }
    with pytest.raises(ValueError, match="divide by 255"):
        metric.update(real.float(), real=True)
    with pytest.raises(ValueError, match=r"'flat' must give \[B, d\] for B clips, not \[36"):
        FrechetVideoDistance(lambda x: x.flatten(), feature_name="flat").update(real[:1, :, :, :2, :2], real=True)


class Named(VideoFeatures):
    def __init__(self, name, width):
        super().__init__()
        self.name, self.width = name, width

    def read(self, pixels):
        return pixels.mean((1, 2, 3, 4))[:, None].expand(-1, self.width)


def test_only_i3d_is_called_fvd():
    assert FrechetVideoDistance(Named("i3d_kinetics400", 400)).name == "fvd"
    assert FrechetVideoDistance(Named("videomae", 9)).name == "fvd_videomae"
    assert FrechetVideoDistance(Named("transnetv2", 704)).name == "frechet_transnetv2"
    assert FrechetVideoDistance(moments, feature_name="My Net").name == "frechet_my_net"
    assert FrechetVideoDistance().name == "frechet_features"
    assert FrechetVideoDistance(feature_name="i3d_kinetics400").name == "fvd"
    for name in ("fvd", "FVD", "my-fvd", "I3D_Kinetics400"):
        with pytest.raises(ValueError, match="FVD is the distance of I3D features"):
            FrechetVideoDistance(moments, feature_name=name)
    with pytest.raises(ValueError, match="must not pass for 'fvd'"):
        FrechetVideoDistance(moments, feature_name="i3d_kinetics400")
    with pytest.raises(ValueError, match="are 'transnetv2'; they cannot be called 'i3d_kinetics400'"):
        FrechetVideoDistance(Named("transnetv2", 704), feature_name="i3d_kinetics400")
    with pytest.raises(ValueError, match=r"400 wide, and these are 704.*must not be called 'fvd'"):
        FrechetVideoDistance(feature_name="i3d_kinetics400").update(torch.randn(3, 704), real=True)
    with pytest.raises(AttributeError):
        FrechetVideoDistance().name = "fvd"
    with pytest.raises(TypeError, match="feature must be a callable"):
        FrechetVideoDistance("i3d")
