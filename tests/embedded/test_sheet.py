"""The README's contact sheets ask for what they are labelled with."""

import numpy as np
import pytest
from PIL import Image

from emogen.embedded import sheet
from emogen.emotion import MIKELS, parse_emotion_or_arc


@pytest.fixture
def asked():
    return []


@pytest.fixture
def sample(asked):
    def sample(prompts, emotions):
        asked.extend(zip(prompts, emotions, strict=True))
        return [np.full((13, 96, 96, 3), 10 * (MIKELS.index(e) if e in MIKELS else 20), np.uint8) for e in emotions]

    return sample


def test_blends_are_every_pair_twice_and_the_eight_by_themselves(tmp_path, sample, asked):
    sheet.blends(tmp_path / "blends.png", sample)
    above, below = sheet.BLENDED
    shares = [(prompt, parse_emotion_or_arc(text).distribution) for prompt, text in asked]
    alone = [MIKELS[share.index(1)] for _, share in shares if max(share) == 1]
    assert alone == list(MIKELS)
    for wanted in (above, below):
        pairs = {tuple(k for k, part in enumerate(share) if part) for p, share in shares if p == wanted}
        assert len({pair for pair in pairs if len(pair) == 2}) == 28
    assert {max(share) for _, share in shares} == {0.5, 1.0}
    picture = np.asarray(Image.open(tmp_path / "blends.png"))
    assert picture.shape == (24 + 8 * 102, 150 + 8 * 102, 3)
    assert picture[24 + 102 + 5, 150 + 102 + 5].tolist() == [10, 10, 10]  # awe on the diagonal


def test_the_eight_and_the_arcs(tmp_path, sample, asked):
    sheet.emotions(tmp_path / "a/emotions.jpg", sample, ["one", "two"])
    assert asked == [(prompt, emotion) for prompt in ("one", "two") for emotion in MIKELS]
    asked.clear()
    sheet.arcs(tmp_path / "a/arcs.jpg", sample)
    assert asked == list(sheet.ARCS)
    assert Image.open(tmp_path / "a/arcs.jpg").size == (150 + 13 * 96 + 6, 24 + 4 * 102)


def test_random_cells_are_fixed_by_the_seed_even_over_the_eight_and_answered_beside_the_picture(tmp_path, asked):
    cells = sheet.random_cells(16, seed=3)
    assert cells == sheet.random_cells(16, seed=3) != sheet.random_cells(16, seed=4)
    assert sorted(emotion for _, emotion, _ in cells) == sorted([*MIKELS, *MIKELS])
    assert len({prompt for prompt, _, _ in cells}) > 10 and len({seed for _, _, seed in cells}) == 16

    def sample(prompts, emotions, seeds):
        asked.extend(zip(prompts, emotions, seeds, strict=True))
        return [np.full((13, 32, 32, 3), k, np.uint8) for k in range(len(prompts))]

    sheet.random_sheet(tmp_path / "random.png", sample, cells[:10])
    assert asked == cells[:10]
    picture = np.asarray(Image.open(tmp_path / "random.png"))
    assert picture.shape == (24 + 2 * 38, 150 + 8 * 70, 3)
    assert picture[24 + 38 + 5, 150 + 70 + 5].tolist() == [9, 9, 9] and picture[24 + 38 + 5, 150 + 140 + 5].min() == 255
    lines = (tmp_path / "random.csv").read_text().splitlines()
    assert lines[0] == "cell,prompt,emotion,seed" and len(lines) == 11 and lines[10].startswith("10,")
