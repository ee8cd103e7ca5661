"""Faces that change within a clip."""

import numpy as np
import pytest
from PIL import Image

from emogen.stickers.fluent import FluentEmoji
from emogen.stickers.render import StickerSpec, render
from emogen.stickers.transition import progress, read_transition, transition_states


def test_progress_holds_changes_smoothly_and_stays():
    share = progress(9, 2, 4)
    assert share[:2].tolist() == [0, 0] and share[5:].tolist() == [1] * 4
    assert (np.diff(share) >= 0).all() and 0 < share[2] < share[3] == 0.5 < share[4] < 1
    for hold, ramp in ((0, 3), (1, 0), (6, 4)):
        with pytest.raises(ValueError, match="do not fit into 9"):
            progress(9, hold, ramp)


def test_states_go_by_way_of_neutral():
    states = transition_states(("neutral", 1.0), ("fear", 0.8), 6, 1, 2)
    assert [name for name, _ in states] == ["fear"] * 6
    assert [value for _, value in states] == [0.0, 0.4, 0.8, 0.8, 0.8, 0.8]
    assert transition_states(("joy", 0.5), ("neutral", 0.0), 3, 1, 1) == [("joy", 0.5), ("joy", 0.0), ("joy", 0.0)]
    states = transition_states(("anger", 1.0), ("awe", 1.0), 7, 1, 4)
    names, values = zip(*states, strict=True)
    assert names == ("anger", "anger", "awe", "awe", "awe", "awe", "awe")
    assert values[0] == 1.0 and values[2] == 0.0 and values[-1] == 1.0


def test_a_frame_depends_on_its_own_state_alone():
    spec = StickerSpec("round", "blue", "white", "none", "sadness", 1.0, 3)
    steady, neutral = render(spec, 5, 24), render(StickerSpec("round", "blue", "white", seed=3), 5, 24)
    changing = render(spec, 5, 24, states=[("sadness", 0.0)] * 2 + [("sadness", 1.0)] * 3)
    assert (changing[2:] == steady[2:]).all()
    assert np.abs(changing[:2].astype(int) - neutral[:2]).max() < np.abs(changing[:2].astype(int) - steady[:2]).max()
    with pytest.raises(ValueError, match="2 states for 5 frames"):
        render(spec, 5, 24, states=[("sadness", 1.0)] * 2)


def test_real_faces_dissolve_without_the_colour_of_what_is_transparent(tmp_path):
    emoji = []
    for name, color in (("1f600", (255, 0, 0)), ("1f620", (0, 0, 255))):
        frames = []
        for _ in range(4):
            pixels = np.zeros((16, 16, 4), np.uint8)
            pixels[4:12, 4:12] = (*color, 255)
            frames.append(Image.fromarray(pixels))
        path = tmp_path / f"{name}.webp"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=42, lossless=True)
        emoji.append(FluentEmoji(name, path, "", name, "anger", 1.0, "red", "round face", "a face", "train", True))
    clip = read_transition(*emoji, size=16, num_frames=5, hold=1, ramp=2)
    middle = clip[:, 8, 8].astype(int)
    assert (middle[:, 3] == 255).all()
    assert middle[0, :3].tolist() == [255, 0, 0] and middle[-1, :3].tolist() == [0, 0, 255]
    assert middle[1, 0] == pytest.approx(128, abs=2) and middle[1, 2] == pytest.approx(128, abs=2)
    assert not clip[:, 0, 0].any()
