"""The Frechet distance of real and generated clips, as a metric that streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn
from torchmetrics.utilities.distributed import gather_all_tensors

from emogen.eval.metrics.frechet import check_count, check_ddof, frechet_from_moments, matrix
from emogen.eval.metrics.moments import moved
from emogen.eval.metrics.names import NAMES, WIDTHS, feature_name_of
from emogen.eval.metrics.pixels import check_clips

ENOUGH = 256
"""Below so many clips a side the distance is mostly the bias of a small sample."""


class FrechetVideoDistance(Metric):
    """Frechet distance of real and generated clips by the features of a video network (Unterthiner et al. 2018).

    Only sums, outer products and counts are kept, in float64, so memory does not grow with clips, and processes are
    reduced by adding up. The distance is named by its features (`name`): it is "fvd" with I3D trained on Kinetics-400
    and with nothing else. Compare distances of equal counts only: two sets of real clips are further apart the fewer
    they are. Never bootstrap it naively: duplicates push it up.

    Args:
        feature: a network of `emogen.eval.metrics.features`, or any callable that takes clips `[B, F, 3, H, W]` and
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
                    "give `feature=` a network of emogen.eval.metrics.features to take clips"
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

    def _around(self, state: dict[str, Any], shift: Tensor) -> dict[str, Any]:
        """A state with its sums taken around another point."""
        new = {"shift": shift}
        for side in ("real", "fake"):
            names = [f"{side}_{what}" for what in ("sum", "outer", "count")]
            new |= zip(names, moved(*(state[n] for n in names), state["shift"] - shift), strict=True)
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
            for name, value in self._around(self.metric_state, shift).items():
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
            incoming_state = self._around(incoming_state, self.shift)
        super().merge_state(incoming_state)
        self._computed = None
