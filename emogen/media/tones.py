"""HDR pictures on an SDR screen: PQ and HLG brought to BT.709.

ffmpeg's swscale can do this, but takes 7 to 15 s a file to build its table and cuts what is brighter than SDR white;
the filters that do it well (zscale, libplacebo) are not in PyAV's wheels. The steps are those of the ITU: the curves of
BT.2100, BT.2408's diffuse white of 203 cd/m2 as SDR's white, and BT.2390's roll-off of what is brighter, applied to the
largest of the three colours so that hues stay; then BT.2020's colours to BT.709's and BT.1886's curve.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_WHITE = 203.0  # cd/m2
_PEAK = 1000.0  # cd/m2: what most HDR is mastered for; brighter becomes white
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073  # of HLG
_LUMA = np.float32((0.2627, 0.6780, 0.0593))
_TO_BT709 = np.float32(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)


def to_sdr(frame: np.ndarray, curve: str) -> np.ndarray:
    """uint16 `(H, W, 3)` of BT.2020 colours under the curve "PQ" or "HLG", full range, as uint8 of BT.709."""
    light = _light(curve)[frame]
    if curve == "HLG":  # scene light; the system gamma of a 1000 cd/m2 screen
        light *= _PEAK * np.maximum(light @ _LUMA, 1e-6)[..., None] ** 0.2
    brightest = np.maximum(light.max(-1, keepdims=True), 1e-6)
    steps = _gain()
    light *= steps[(brightest / _PEAK * (len(steps) - 1)).clip(0, len(steps) - 1).astype(np.int32)]
    shown = (light / _WHITE @ _TO_BT709.T).clip(0, 1)
    return (255 * shown ** np.float32(1 / 2.4)).round().astype(np.uint8)


@lru_cache(maxsize=2)
def _light(curve: str) -> np.ndarray:
    """Light for each of 65536 code values: cd/m2 of PQ, scene light in [0, 1] of HLG."""
    code = np.arange(65536) / 65535
    if curve == "PQ":
        return _from_pq(code).astype(np.float32)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - _C) / _A) + _B) / 12).astype(np.float32)


@lru_cache(maxsize=1)
def _gain() -> np.ndarray:
    """BT.2390's roll-off as a factor on light, for brightness from 0 to the peak."""
    light = np.linspace(1e-3, _PEAK, 4096)
    peak = _to_pq(_PEAK)
    code, most = _to_pq(light) / peak, _to_pq(_WHITE) / peak
    knee = 1.5 * most - 0.5
    t = (code - knee) / (1 - knee)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return (_from_pq(np.where(code < knee, code, bent) * peak) / light).astype(np.float32)


def _from_pq(code: np.ndarray) -> np.ndarray:
    root = code ** (1 / _M2)
    return 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _to_pq(light: np.ndarray | float) -> np.ndarray:
    power = (np.asarray(light) / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
