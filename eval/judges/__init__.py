"""Judges: clips in, a distribution over the eight, valence-arousal and confidence out; each with a card.

Importing this loads nothing; a judge's network is loaded when the judge is made.
"""

from __future__ import annotations

from emogen.lazy import lazily

_HOMES = {
    "CLIPJudge": "clip", "EnsembleJudge": "ensemble", "JudgeCard": "card", "JudgeError": "spec", "ProbeJudge": "probe",
    "TrainingData": "card", "VLMJudge": "vlm", "calibration": "calibration", "check_judge": "check",
    "check_spec": "spec", "expected_calibration_error": "calibration", "fit_temperature": "calibration",
    "judge_name": "spec", "kappa_table": "ensemble", "load_encoder": "encoders", "load_judge": "registry",
    "reliability_table": "calibration", "train_probe": "train", "warnings_for": "card",
}  # fmt: skip
__all__ = sorted(_HOMES)


__getattr__, __dir__ = lazily(__name__, _HOMES)
