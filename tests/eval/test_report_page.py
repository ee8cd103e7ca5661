"""What a reader of the page can rely on: contents, order of the galleries, tables and pictures."""

import json
import re
from html.parser import HTMLParser

import pytest

from emogen.eval.benchmark.config import eval_config
from emogen.eval.benchmark.items import make_items
from emogen.eval.benchmark.run import run_benchmark
from emogen.eval.report.frame import document
from emogen.eval.report.page import in_order, main_system
from emogen.eval.report.plots import bars, confusion
from emogen.media.writer import write_video
from emogen.stickers.render import render

PAIR = ["fear", "contentment"]


def results_of(systems, baseline=None, reference=None):
    """What the order of the systems needs: their names and clips (None: generated)."""
    return {"summary": {"systems": {name: {} for name in systems}},
            "config": {"baseline": baseline, "reference": reference,
                       "systems": [{"name": name, "clips": clips} for name, clips in systems.items()]}}  # fmt: skip


def test_the_last_generated_system_leads_and_ceilings_come_last():
    systems = {"drawn": "stickers", "base": None, "lora": None, "ours": None}
    assert in_order(results_of(systems, "base")) == ["ours", "base", "lora", "drawn"]
    # wherever they stand in the configuration, and a folder of real clips counts only as the reference
    systems = {"base": None, "ours": None, "sentence": None, "real": "folder", "drawn": "stickers"}
    assert in_order(results_of(systems, "sentence", "real")) == ["ours", "base", "sentence", "real", "drawn"]
    assert main_system(results_of(systems, "sentence")) == "real"
    assert main_system(results_of({"drawn": "stickers", "base": None}, "base")) == "base"
    assert main_system(results_of({"drawn": "stickers"}, reference="drawn")) == "drawn"


class Page(HTMLParser):
    """Which elements are opened and left open, and the anchors."""

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.links, self.outside = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        self.outside += [values["src"]] if not values.get("src", "data:").startswith("data:") else []
        self.outside += [tag] if tag in ("link", "script", "iframe") else []
        if tag not in ("meta", "img", "br", "rect", "path", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "path", "circle"):
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a baseline, the system compared with it, and the ceiling; and the results."""
    root = tmp_path_factory.mktemp("page")
    systems = {name: {"clips": str(root / name)} for name in ("base", "mine")} | {"drawn": {"clips": "stickers"}}
    config = eval_config({"name": "a & b", "num_prompts": {"rendered": 1}, "emotions": PAIR, "systems": systems,
                          "baseline": "base", "reference": "drawn"})  # fmt: skip
    for name in ("base", "mine"):
        rows = []
        for item in make_items(config):
            shown = "fear" if name == "base" else item.emotion
            write_video(root / name / f"{item.key}.png", render(item.prompt.sticker(shown, 5)), 12)
            rows.append({"file_name": f"{item.key}.png", "prompt": item.prompt.text, "emotion": item.emotion,
                         "seed": 0})  # fmt: skip
        (root / name / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    results = run_benchmark(config, root / "out", quiet=True)
    return (root / "out/report.html").read_text(), results


def test_the_contents_lead_to_every_section(page):
    html, _ = page
    read = Page(html)
    assert read.open == ["html"] or not read.open
    sections = re.findall(r'<h2 id="([^"]+)">', html)
    assert "<h2>" not in html and read.links == [f"#{section}" for section in sections]
    assert read.ids == sections and len(set(sections)) == len(sections)
    assert {"results", "by-emotion", "asked-and-read", "the-judges", "clips-worst-first"} <= set(sections)
    assert html.index("<nav") < html.index("<h2")
    assert not read.outside and "@import" not in html and "url(" not in html


def test_two_sections_of_one_name_have_two_anchors():
    html = document("t", "", "<h2>A &amp; b</h2><h2>A &amp; b</h2><h2>&lt;!&gt;</h2>")
    assert Page(html).links == ["#a-b", "#a-b-2", "#section"] == [f"#{one}" for one in Page(html).ids]
    assert ">A &amp; b</a>" in html


def test_the_main_systems_failures_are_open_and_the_ceilings_folded_last(page):
    html, _ = page
    folds = re.findall(r"<details( open)?><summary><b>(.*?)</b> <span class=\"small\">(.*?)</span>", html)
    assert folds == [(" open", "mine", "2 of 2 clips"), ("", "base", "2 of 2 clips"),
                     ("", "drawn", "2 of 2 clips, not generated")]  # fmt: skip
    gallery = html[html.index("<b>base</b> <span") : html.index("<b>drawn</b> <span")]
    assert gallery.index("asked <b>contentment") < gallery.index("asked <b>fear")  # the one it misses
    assert '<b class="bad">fear</b>' in gallery and 'alt=""' not in html


def test_the_table_says_which_system_is_which(page):
    html, results = page
    row = {name: re.search(rf"<tr[^>]*><td>{name}</td>.*?</tr>", html)[0] for name in ("mine", "base", "drawn")}
    assert row["mine"].startswith('<tr class="main">') and html.count('class="main"') == 1
    assert ">baseline<" in row["base"] and ">reference<" in row["drawn"]
    assert "<td>100.0</td>" in row["drawn"]
    assert "of eight, in % (guessing: 12.5)" in html and "CLIP score" not in html
    assert f"torch {results['made_with']['torch']}" in html and "{&quot;python" not in html


def test_an_empty_cell_of_a_confusion_is_a_faint_zero():
    matrix = [[0] * 8 for _ in range(8)]
    matrix[0][:3], matrix[1][1] = [1, 3, 0], 4
    html = confusion(matrix)
    assert html.count("<tr>") == 3  # the head and the two that were asked
    assert html.count('<td class="zero">0</td>') == 6 + 7 and "<td></td>" in html
    assert 'rgba(0,114,178,0.25)">1<' in html and 'rgba(0,114,178,0.75)">3<' in html
    assert 'rgba(0,114,178,1.00);color:#fff">4<' in html
    assert "<span>contentment</span>" in html  # not cut


def test_intervals_of_bars_have_caps_at_both_ends():
    figure = {"value": 0.5, "low": 0.25, "high": 1.0, "n": 8}
    groups = {name: [("a", figure)] for name in ("fear", "awe", "anger")}
    html = bars(groups)
    assert [svg.count("<rect") for svg in html.split("</svg>")[:-1]] == [2, 1]  # two pictures, for narrow windows
    left, axis, right, *caps = map(
        float,
        re.search(r'd="M([\d.]+) ([\d.]+)H([\d.]+)M([\d.]+) ([\d.]+)v(\d+)M([\d.]+) ([\d.]+)v(\d+)"', html).groups(),
    )
    assert caps[0] == left and caps[3] == right and right - left == pytest.approx(0.75 * 300)
    for top, length in (caps[1:3], caps[4:6]):
        assert top < axis < top + length and axis - top == pytest.approx(top + length - axis)
    assert bars({}) == '<div class="pair"></div>'


def test_nothing_is_wider_than_a_narrow_window(page):
    html, _ = page
    style = html[html.index("<style>") : html.index("</style>")]
    for selector in ("table", "svg", ".pair>*"):
        rule = re.search(rf"(?:^|}}|\n){re.escape(selector)}{{([^}}]*)}}", style)[1]
        assert "max-width:100%" in rule
    assert "overflow-x:auto" in style and "width=device-width,initial-scale=1" in html
    assert ":root{color-scheme:light}" in style  # the pictures are drawn for white
