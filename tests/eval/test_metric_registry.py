"""Every metric is reached from `emogen eval` by its name, and tables read all they know of it from the registry."""

import csv
import json

import numpy as np
import pytest
import torch
from judge_parts import save_clip
from PIL import Image
from torchmetrics import Metric

from emogen.eval.__main__ import main
from emogen.eval.benchmark import systems
from emogen.eval.benchmark.config import EvalConfigError, eval_config
from emogen.eval.benchmark.items import make_items
from emogen.eval.benchmark.measure import open_metrics
from emogen.eval.benchmark.results import read_results
from emogen.eval.judges.classifier import ClipClassifier
from emogen.eval.metrics import REGISTRY, ClipMean, LPIPSDiversity, register
from emogen.eval.metrics.base import INTERVALS, NEEDS
from emogen.eval.metrics.choose import metric_classes


def test_every_metric_is_described():
    assert {"agreement", "sd_score", "lpips_diversity", "first_frame_lpips", "fvd", "clip_score"} <= set(REGISTRY)
    for name, cls in REGISTRY.items():
        about = cls.about
        assert issubclass(cls, Metric) and about.key == name and about.heading and about.meaning
        assert (
            about.better in ("more", "less", "neither")
            and about.interval in INTERVALS
            and set(about.needs) <= set(NEEDS)
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An image-to-video system, drawn clips and two seeds, measured by every metric that tiny weights allow."""
    root = tmp_path_factory.mktemp("every")
    patch = pytest.MonkeyPatch()
    distance = lambda a, b: (a - b).abs().mean((1, 2, 3))  # noqa: E731
    patch.setattr("emogen.eval.metrics.perceptual.load_lpips", lambda net="alex": distance)

    class Still:
        fps, calls = 12, 0

        def __call__(self, prompt, image, **call):
            Still.calls += 1
            still = np.stack([np.stack([np.asarray(image) / 255] * 5)] * len(prompt))
            return type("Output", (), {"frames": still * (1 - 0.1 * Still.calls % 0.5)})

    patch.setattr(systems, "load_system", lambda system: Still())
    clip = save_clip(root / "clip")
    ClipClassifier({"form": ["whole", "broken"]}, size=16, frames=2, width=8).save_pretrained(root / "form")
    (root / "images").mkdir()
    for prompt in range(2):
        for place in range(5):
            noise = np.random.default_rng(place).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / "images" / f"{prompt:03d}_{place}.png")
    metrics = [name for name in REGISTRY if not name.startswith("f") or name.startswith("first")]
    raw = {"name": "all", "num_prompts": {"rendered": 2}, "emotions": ["fear", "awe"], "seeds": [0, 1],
           "systems": {"drawn": {"clips": "stickers"}, "still": {"model": "x", "image": True, "emotion": "none"}},
           "weights": {"clip": str(clip), "sd_images": str(root / "images"),
                       "well_formed": str(root / "form")}}  # fmt: skip
    (root / "all.yaml").write_text(json.dumps(raw))
    status = main(["--config", str(root / "all.yaml"), "--output_dir", str(root / "out"), "--quiet",
                   "--metrics", ",".join(metrics)])  # fmt: skip
    patch.undo()
    assert status == 0
    return root, metrics, read_results(root / "out")


def test_every_metric_is_measured_by_its_name(run):
    _, metrics, results = run
    drawn, still = (results["summary"]["systems"][name] for name in ("drawn", "still"))
    assert results["config"]["metrics"] == metrics
    for name in ("clip_score", "sd_score", "content", "temporal_flickering", "well_formed"):
        assert drawn[name]["n"] == still[name]["n"] == 8, name
    assert drawn["lpips_diversity"]["n"] == 4 and drawn["lpips_diversity"]["value"] >= 0  # a prompt and emotion each
    assert "first_frame_psnr" not in drawn and still["first_frame_psnr"]["n"] == 8
    assert still["first_frame_lpips"]["value"] > 0
    assert set(drawn["attributes"]) == {"fear", "awe"}


def test_all_tables_show_what_was_measured(run, capsys):
    root, *_ = run
    assert main(["--report", str(root / "out")]) == 0
    table = capsys.readouterr().out
    page = (root / "out/report.html").read_text()
    latex = (root / "out/table.tex").read_text()
    for name in ("clip_score", "sd_score", "lpips_diversity", "first_frame_lpips", "first_frame_psnr"):
        about = REGISTRY[name].about
        assert about.heading in table and about.heading in page and about.heading in latex and about.meaning in page
    rows = list(csv.DictReader((root / "out/rows.csv").open()))
    assert len(rows) == 16 and all(row["sd_score"] for row in rows)
    figures = {(row["system"], row["figure"]): row for row in csv.DictReader((root / "out/figures.csv").open())}
    assert figures["drawn", "EA-8"]["low"] == "" and figures["drawn", "EA-8"]["prompts"] == "2"  # too few prompts
    assert figures["still", "first_frame_lpips"]["better"] == "less"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"metrics": ["sd_score"], "weights": {"clip": "x"}},
            "sd_score needs pictures of the prompts: weights.sd_images",
        ),
        ({"metrics": ["first_frame_lpips"]}, "first_frame_lpips needs pictures that the clips begin with"),
        ({"metrics": ["lpips_diversity"]}, "lpips_diversity needs two seeds or more"),
        ({"metrics": ["fvd"], "weights": {"i3d": "x"}}, "fvd needs a reference: a system of real clips"),
        ({"metrics": ["content", "content"]}, "content is named twice"),
    ],
)
def test_what_a_metric_lacks_is_said_before_anything_is_made(changes, message):
    with pytest.raises(EvalConfigError, match=message):
        eval_config({"name": "t", "systems": {"a": {"clips": "stickers"}}, **changes})


def test_reference_images_are_looked_for_before_anything_is_made(tmp_path):
    clip = save_clip(tmp_path / "clip")
    weights = {"clip": str(clip), "sd_images": str(tmp_path)}
    items = make_items(eval_config({"name": "t", "systems": {"a": {"clips": "stickers"}}}))
    with pytest.raises(EvalConfigError, match=r"metrics: sd_score: .*000_0\.png: no such reference image"):
        open_metrics(["sd_score"], weights, items)


def test_metrics_of_the_command_line(capsys, tmp_path):
    assert main(["--metrics", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in REGISTRY) and "less is better; needs reference, weights.i3d" in listed
    (tmp_path / "c.yaml").write_text(json.dumps({"name": "t", "systems": {"a": {"clips": "stickers"}}}))
    for words, message in (
        (["--metrics", "clip_score"], "--metrics: clip_score needs weights.clip"),
        (["--metrics", "clipscore"], "--metrics: unknown metric 'clipscore'; did you mean 'clip_score'"),
        (["--weights", "clip"], "--weights clip: must be KEY=PATH"),
    ):
        assert main(["--config", str(tmp_path / "c.yaml"), "--output_dir", str(tmp_path / "out"), *words]) == 2
        assert message in capsys.readouterr().err


def test_a_name_is_one_metrics_and_a_description_is_checked():
    class Mine(ClipMean):
        pass

    with pytest.raises(ValueError, match="'sd_score' is registered by"):
        register("sd_score")(Mine)
    for described, message in (({"needs": ("gpu",)}, "'gpu' is none of judge"), ({"interval": "t"}, "'t' is none of")):
        with pytest.raises(ValueError, match=message):
            register("mine", **described)
    assert "mine" not in REGISTRY
    assert list(metric_classes(["fvd", "agreement"])) == ["fvd", "agreement"]
    assert LPIPSDiversity(distance=lambda a, b: torch.zeros(len(a))).read(None) is None
