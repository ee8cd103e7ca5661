"""The Frechet distance of two sets of features, and of real and generated clips as a metric that streams."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn
from torchmetrics.utilities.distributed import gather_all_tensors

from emogen.eval.metrics.pixels import check_clips
from emogen.eval.metrics.video_features import VideoFeatures

ENOUGH = 256
"""Below so many clips a side the distance is mostly the bias of a small sample."""

NAMES = {"i3d_kinetics400": "fvd", "videomae": "fvd_videomae", "transnetv2": "frechet_transnetv2"}
"""This package's features -> what their distance is called."""

WIDTHS = {"i3d_kinetics400": 400, "transnetv2": 704}
"""How many features there must be, where the name says it."""


class FrechetVideoDistance(Metric):
    """Frechet distance of real and generated clips by the features of a video network (Unterthiner et al. 2018).

    Only sums, outer products and counts are kept, in float64, so memory does not grow with clips, and processes are
    reduced by adding up. The distance is named by its features (`name`): it is "fvd" with I3D trained on Kinetics-400
    and with nothing else. Compare distances of equal counts only: two sets of real clips are further apart the fewer
    they are. Never bootstrap it naively: duplicates push it up.

    Args:
        feature: a `VideoFeatures` network, or any callable that takes clips `[B, F, 3, H, W]` and
            gives `[B, d]`; None when `update` is given features.
        feature_name: what the features are called, for a callable without a `name` and for features computed
            elsewhere. The names of `NAMES` belong to this package's own networks, or to features said to be theirs.
        ddof: see `frechet_distance`.
        batch_size: clips through the network at a time.
        reset_real: whether `reset` forgets the real clips too; False keeps them for the next set of fake ones.

    Raises:
        ValueError: a name that is not this network's to bear.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False

    def __init__(
        self,
        feature: Callable[[Tensor], Tensor] | None = None,
        *,
        feature_name: str | None = None,
        ddof: int = 0,
        batch_size: int = 8,
        reset_real: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_ddof(ddof)
        if feature is not None and not callable(feature):
            raise TypeError(f"feature must be a callable or None, not {type(feature).__name__}")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        self.feature_name = feature_name_of(feature, feature_name)
        self.feature, self.ddof, self.batch_size, self.reset_real = feature, ddof, batch_size, reset_real
        # Sums are taken around a point near the features, the mean of the first ones, or the covariance of features far
        # from 0 would drown in rounding. The width is known at the first update.
        self.add_state("shift", torch.zeros(0, dtype=torch.float64), dist_reduce_fx="max")  # one when it is reduced
        for side in ("real", "fake"):
            self.add_state(f"{side}_sum", torch.zeros(0, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{side}_outer", torch.zeros(0, 0, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{side}_count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    @property
    def name(self) -> str:
        """What this distance may be called: "fvd", "fvd_videomae", "frechet_transnetv2" or "frechet_<features>"."""
        return NAMES.get(self.feature_name, f"frechet_{self.feature_name}")

    def describe(self) -> dict[str, Any]:
        """What a reader of the number must know: name, features and their settings, `ddof` and clips a side (of this
        process)."""
        return {
            "name": self.name,
            "features": self.feature_name,
            "settings": getattr(self.feature, "settings", {}),
            "ddof": self.ddof,
            "real": int(self.real_count),
            "fake": int(self.fake_count),
        }

    def update(self, clips: Tensor, real: bool) -> None:
        """Add clips of one side.

        Args:
            clips: `[B, F, 3, H, W]`, uint8 or float in [0, 1]; or features `[B, d]` when there is no network.
            real: whether these are real clips.

        Raises:
            TypeError: not tensors, or `real` is not a bool.
            ValueError: not clips, too few frames, features that are not `[B, d]`, of another width than before, or
                not finite.
        """
        if not isinstance(real, bool):
            raise TypeError(f"real is {type(real).__name__}; call update(clips, real=True), then real=False")
        rows = matrix(self._features(clips), "real" if real else "fake").to(self.real_count.device)
        self._widen(rows.mean(0))
        rows = rows - self.shift
        side = "real" if real else "fake"
        setattr(self, f"{side}_sum", getattr(self, f"{side}_sum") + rows.sum(0))
        setattr(self, f"{side}_outer", getattr(self, f"{side}_outer") + rows.T @ rows)
        setattr(self, f"{side}_count", getattr(self, f"{side}_count") + len(rows))

    def compute(self) -> Tensor:
        """The distance, a float64 scalar >= 0; warns below 256 clips a side.

        Raises:
            ValueError: fewer than 2 clips a side.
        """
        counts = int(self.real_count), int(self.fake_count)
        check_count(*counts)
        if min(counts) < ENOUGH:
            rank_zero_warn(
                f"{self.name} of {counts[0]} real and {counts[1]} fake clips: below {ENOUGH} it is mostly "
                "the bias of a small sample; compare it at equal counts only",
                UserWarning,
            )
        means, covariances = [], []  # means around the shift: only their difference counts
        for side, count in zip(("real", "fake"), counts, strict=True):
            total = getattr(self, f"{side}_sum")
            means.append(total / count)
            centred = getattr(self, f"{side}_outer") - torch.outer(total, means[-1])
            covariances.append(centred / (count - self.ddof))
        value = frechet_from_moments(tuple(means), tuple(covariances))
        return torch.tensor(value, dtype=torch.float64, device=self.real_sum.device)

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """Refused: one batch of one side has no distance."""
        raise TypeError("call update(clips, real=...) for both sides and then compute(); a batch has no distance")

    def reset(self) -> None:
        """Forget all clips, or the fake ones only (`reset_real=False`)."""
        kept = {} if self.reset_real else {n: getattr(self, n) for n in self._defaults if not n.startswith("fake")}
        super().reset()
        for name, value in kept.items():
            setattr(self, name, value)
        if len(self.shift):
            self._widen(self.shift)

    def _features(self, clips: Tensor) -> Tensor:
        if self.feature is None:
            if not isinstance(clips, Tensor) or clips.ndim != 2:
                shape = list(getattr(clips, "shape", [])) or type(clips).__name__
                raise ValueError(
                    f"this distance has no network, so update takes features [B, d], not {shape}; "
                    "give `feature=` a VideoFeatures network to take clips"
                )
            return clips
        check_clips(clips)
        with torch.no_grad():
            parts = [self.feature(part) for part in clips.split(self.batch_size)]
        bad = next((p for p in parts if not isinstance(p, Tensor) or p.ndim != 2), None)
        if bad is not None or sum(map(len, parts)) != len(clips):
            shape = list(getattr(bad if bad is not None else parts[0], "shape", []))
            raise ValueError(f"features {self.feature_name!r} must give [B, d] for B clips, not {shape}")
        return torch.cat(parts)

    def _widen(self, shift: Tensor) -> None:
        """Size the sums at the first features, around `shift` `[d]`, and refuse other widths after that."""
        width = len(shift)
        known = WIDTHS.get(self.feature_name, width)
        if width != known:
            raise ValueError(
                f"features {self.feature_name!r} are {known} wide, and these are {width}: not the same "
                f"network, so their distance must not be called {self.name!r}"
            )
        if len(self.shift) not in (0, width):
            raise ValueError(f"features are {width} wide; those before were {len(self.shift)}")
        if not len(self.shift):
            self.shift = shift
        for side in ("real", "fake"):
            if not len(getattr(self, f"{side}_sum")):
                setattr(self, f"{side}_sum", shift.new_zeros(width))
                setattr(self, f"{side}_outer", shift.new_zeros(width, width))

    def _state_around(self, state: dict[str, Any], shift: Tensor) -> dict[str, Any]:
        """A state with its sums taken around another point."""
        new = {"shift": shift}
        for side in ("real", "fake"):
            names = [f"{side}_{what}" for what in ("sum", "outer", "count")]
            new |= zip(names, moved_moments(*(state[n] for n in names), state["shift"] - shift), strict=True)
        return new

    def _sync_dist(self, dist_sync_fn: Callable = gather_all_tensors, process_group: Any = None) -> None:
        # sums can be added up when they are of one width and around one point; a process without clips has neither
        group = process_group or self.process_group
        widths = [int(w) for w in dist_sync_fn(torch.tensor(len(self.shift), device=self.shift.device), group=group)]
        known = set(widths) - {0}
        if len(known) > 1:
            raise ValueError(f"processes have features of different widths: {widths}")
        if known:
            mine = self.shift if len(self.shift) else self.shift.new_zeros(max(known))
            shifts = dist_sync_fn(mine, group=group)
            shift = shifts[next(i for i, width in enumerate(widths) if width)]
            self._widen(shift)
            for name, value in self._state_around(self.metric_state, shift).items():
                setattr(self, name, value)
        super()._sync_dist(dist_sync_fn, process_group)

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the clips of another such metric, or of its `metric_state`.

        Raises:
            ValueError: features of another name or width.
        """
        if isinstance(incoming_state, FrechetVideoDistance):
            if incoming_state.feature_name != self.feature_name:
                raise ValueError(
                    f"cannot add clips read by {incoming_state.feature_name!r} to those read by {self.feature_name!r}"
                )
            incoming_state = incoming_state.metric_state
        if isinstance(incoming_state, dict) and "shift" in incoming_state:
            if not len(incoming_state["shift"]):
                return  # it has no clips
            self._widen(incoming_state["shift"])
            incoming_state = self._state_around(incoming_state, self.shift)
        super().merge_state(incoming_state)
        self._computed = None


def frechet_distance(real: np.ndarray | Tensor, fake: np.ndarray | Tensor, ddof: int = 0) -> float:
    """Frechet distance of the Gaussians fitted to two sets of features (Dowson and Landau 1982).

    `|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`, in float64. No matrix square root is taken: with `S1 = A^T A`
    and `S2 = B^T B`, `tr (S1 S2)^(1/2)` is the sum of the singular values of `A B^T`, and the triangular factors of
    the centred features serve as A and B. That holds for fewer clips than features too, where `sqrtm` is unstable.

    Args:
        real, fake: `(n, d)` and `(m, d)`, n, m >= 2.
        ddof: covariances are divided by `n - ddof`. 0 is StyleGAN-V's and cd-fvd's FVD, 1 is `numpy.cov`
            (common_metrics_on_video_quality, torchmetrics' FID).

    Returns:
        The distance, >= 0.

    Raises:
        ValueError: another shape, different widths, fewer than two rows, NaN or infinity, or another `ddof`.
    """
    check_ddof(ddof)
    x, y = matrix(real, "real"), matrix(fake, "fake")
    _check_width(x.shape[1], y.shape[1])
    check_count(len(x), len(y))
    means, traces, factors = [], [], []
    for rows in (x, y):
        means.append(rows.mean(0))
        centred = (rows - means[-1]) / math.sqrt(len(rows) - ddof)
        traces.append(centred.square().sum())
        factors.append(torch.linalg.qr(centred, mode="r").R)
    return _distance(means, traces, factors)


def frechet_from_moments(means: tuple[Tensor, Tensor], covariances: tuple[Tensor, Tensor]) -> float:
    """The same distance from means `[d]` and covariances `[d, d]`, both float64; the factors come from eigenvectors."""
    factors = []
    for covariance in covariances:
        values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
        factors.append((vectors * values.clamp_min(0).sqrt()).T)  # those below 0 are rounding
    return _distance(means, [c.diagonal().sum() for c in covariances], factors)


def _distance(means: Sequence[Tensor], traces: Sequence[Tensor], factors: Sequence[Tensor]) -> float:
    nuclear = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    value = (means[0] - means[1]).square().sum() + traces[0] + traces[1] - 2 * nuclear
    return max(0.0, float(value))  # equal sets come out at plus or minus rounding


def matrix(features: np.ndarray | Tensor, what: str) -> Tensor:
    """Features as a finite float64 tensor `(n, d)`, or a ValueError that says what they are."""
    if not isinstance(features, Tensor):
        features = torch.from_numpy(np.asarray(features, dtype=np.float64))
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(f"{what} features must be (n, d), not {list(features.shape)}")
    features = features.detach().double()
    bad = (~features.isfinite()).any(1).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"{what} features of {len(bad)} clips are NaN or infinite, the first in row {bad[0]}")
    return features


def check_ddof(ddof: int) -> None:
    """A ValueError unless `ddof` is 0 or 1."""
    if ddof not in (0, 1):
        raise ValueError(f"ddof is {ddof!r}; it is 0 (population covariance) or 1 (sample covariance)")


def _check_width(real: int, fake: int) -> None:
    if real != fake:
        raise ValueError(f"real features are {real} wide and fake ones {fake}: they come from different networks")


def check_count(real: int, fake: int) -> None:
    """A ValueError unless there are two clips a side."""
    if real < 2 or fake < 2:
        raise ValueError(f"a Frechet distance needs at least 2 clips a side, not {real} real and {fake} fake")


def moved_moments(total: Tensor, outer: Tensor, count: Tensor, by: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The sums of rows that are all moved by `by`.

    Args:
        total: sum of the rows, `[d]`.
        outer: sum of the rows' outer products, `[d, d]`.
        count: how many rows there are, a scalar.
        by: `[d]`.

    Returns:
        The same three for the moved rows.
    """
    cross = torch.outer(by, total)
    return total + count * by, outer + cross + cross.T + count * torch.outer(by, by), count


def feature_name_of(feature: Callable | None, given: str | None) -> str:
    """The name of features: their own, the one given, or the callable's; letters, digits and underscores.

    Raises:
        ValueError: a given name that contradicts their own, or one that would let the distance pass for another's.
    """
    own = getattr(feature, "name", None)
    if own is not None and given is not None and own != given:
        raise ValueError(f"these features are {own!r}; they cannot be called {given!r}")
    name = given or own or (getattr(feature, "__name__", type(feature).__name__) if feature is not None else "features")
    if name in NAMES:
        if feature is not None and not isinstance(feature, VideoFeatures):
            raise ValueError(
                f"{name!r} is the name of this package's own network; give your {type(feature).__name__} "
                f"another, for its distance must not pass for {NAMES[name]!r}"
            )
        return name
    plain = re.sub(r"\W+", "_", str(name)).strip("_").lower() or "features"
    if "fvd" in plain or plain in NAMES:
        raise ValueError(
            f"features cannot be called {name!r}: FVD is the distance of I3D features trained on "
            "Kinetics-400 (features.I3DFeatures)"
        )
    return plain
