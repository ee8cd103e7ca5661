import math

import numpy as np
import pytest
import torch

from emogen.data.attributes import clip_attributes, mean_attributes
from emogen.emotion import MIKELS
from emogen.eval.judges.classifier import ClipClassifier
from emogen.eval.metrics import ContentAgreement, EmotionAttributes, WellFormed


def random_clips(n, seed=0, frames=3):
    generator = torch.Generator().manual_seed(seed)
    tint = torch.rand(n, 1, 3, 1, 1, generator=generator)
    return (torch.rand(n, frames, 3, 8, 8, generator=generator) * tint * 255).round().to(torch.uint8)


def test_attributes_are_the_means_of_each_emotion():
    clips, target = random_clips(12), torch.tensor([0, 0, 0, 5, 5, 2, 2, 2, 2, 5, 0, 2])
    metric = EmotionAttributes()
    metric.update(clips[:5], target[:5])
    metric.update(clips[5:].float() / 255, target[5:])
    found = metric.compute()
    for place in range(8):
        mine = [clip_attributes(c.permute(0, 2, 3, 1).numpy()) for c in clips[target == place]]
        assert int(found["n"][place]) == len(mine)
        if not mine:
            assert all(found[k][place].isnan() for k in ("brightness", "colourfulness", "saturation", "motion", "hue"))
            continue
        for name, value in mean_attributes(mine).to_dict().items():
            assert float(found[name][place]) == pytest.approx(math.nan if value is None else value, nan_ok=True)


def flat(colour):
    return torch.tensor(colour, dtype=torch.uint8)[None, None, :, None, None].expand(1, 2, 3, 4, 4)


def test_hue_goes_round_the_circle_and_may_be_none():
    metric, fear, awe = EmotionAttributes(), torch.tensor([MIKELS.index("fear")]), torch.tensor([MIKELS.index("awe")])
    metric.update(flat((255, 0, 64)), fear)  # 345 degrees
    metric.update(flat((255, 64, 0)), fear)  # 15
    for colour in ((255, 0, 0), (0, 255, 255)):  # opposite
        metric.update(flat(colour), awe)
    hue = metric.compute()["hue"]
    assert min(float(hue[6]), 360 - float(hue[6])) < 0.2
    assert hue[1].isnan() and float(metric.compute()["brightness"][1]) == pytest.approx(0.5, abs=1e-6)
    metric.reset()
    metric.update(flat((80, 80, 80)), awe)
    assert metric.compute()["hue"][1].isnan() and int(metric.compute()["n"].sum()) == 1


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_attributes_refuse_bad_input():
    metric = EmotionAttributes()
    with pytest.raises(ValueError, match=r"target must be \[2\] in 0..7, not \[0, 8\]"):
        metric.update(random_clips(2), torch.tensor([0, 8]))
    with pytest.raises(ValueError, match=r"target must be \[2\]"):
        metric.update(random_clips(2), torch.tensor([0]))
    with pytest.raises(TypeError, match="tensor of integers, not list"):
        metric.update(random_clips(1), [0])
    with pytest.raises(TypeError, match=r"not torch\.float32"):
        metric.update(random_clips(1), torch.tensor([0.0]))
    with pytest.raises(ValueError, match="no clips were given"):
        metric.compute()


def reader(frames):
    """Reads by the first pixel: red says the shape, green the colour."""
    assert frames.dtype == np.uint8 and frames.shape[-1] == 3
    return [
        {"shape": "round" if c[0, 0, 0, 0] else "square", "color": "red" if c[0, 0, 0, 1] else "blue"} for c in frames
    ]


def test_content_by_hand():
    metric = ContentAgreement(reader, questions=("shape", "color"))
    clips = torch.cat([flat((255, 255, 0)), flat((255, 0, 0)), flat((0, 0, 0))])
    metric.update(clips, [{"shape": "round", "color": "red"}, {"shape": "round", "color": "red"}, {"color": "red"}])
    found = {k: float(v) for k, v in metric.compute().items()}
    assert found == pytest.approx({"content": 0.5, "all": 1 / 3, "n": 3, "shape": 1.0, "color": 1 / 3})
    metric.reset()
    metric.update(clips[:1].float() / 255, [{"color": "red"}])
    assert float(metric.compute()["content"]) == 1 and metric.compute()["shape"].isnan()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_content_refuses_bad_input():
    metric = ContentAgreement(reader, questions=("shape", "color", "background"))
    clip = flat((255, 0, 0))
    for named, message in [
        ({"shape": "round"}, "must be 1 dicts, one a clip, not one dict"),
        ([], "not 0"),
        ([{}], "clip 0 names nothing"),
        ([{"mood": "glad"}], r"clip 0 names \['mood'\].*shape, color"),
        ([{"background": "white"}], "the reader does not answer background; it answers shape, c"),
    ]:
        with pytest.raises(ValueError, match=message):
            metric.update(clip, named)
    with pytest.raises(ValueError, match="no clips were given"):
        metric.compute()
    with pytest.raises(ValueError, match="other than content, all and n"):
        ContentAgreement(reader, questions=("all",))


def test_the_embedded_reader_knows_a_rendered_sticker():
    from emogen.stickers.render import StickerSpec, render

    frames = render(StickerSpec("round", "yellow", "blue"))
    clip = torch.from_numpy(np.asarray(frames)).permute(0, 3, 1, 2)[None]
    metric = ContentAgreement()
    metric.update(clip, [{"shape": "round", "color": "yellow", "background": "blue"}])
    assert metric.compute()["content"] == 1
    metric.reset()
    metric.update(clip, [{"shape": "star", "color": "yellow", "background": "green"}])
    assert float(metric.compute()["content"]) == pytest.approx(1 / 3)


def test_well_formed_is_the_share_that_a_reader_of_form_calls_whole(tmp_path):
    network = ClipClassifier({"form": ["broken", "whole"]}, size=16, frames=2, width=8)
    with torch.no_grad():
        read = network.eval()(random_clips(6).float() / 255)["form"]
        network.answers["form"].bias[1] += (read[:, 0] - read[:, 1]).median()  # it calls about half of them whole
    network.save_pretrained(tmp_path)
    clips = random_clips(6)
    with torch.no_grad():
        read = ClipClassifier.from_pretrained(tmp_path)(clips.float() / 255)["form"]
    expected = read[:, 1] > read[:, 0]
    assert 0 < expected.sum() < 6
    metric = WellFormed(tmp_path)
    metric.update(clips[:4])
    metric.update(clips[4:].float() / 255)
    assert float(metric.compute()) == pytest.approx(expected.double().mean().item())
    assert metric.score(clips).tolist() == expected.double().tolist()


def test_a_reader_of_something_else_is_refused(tmp_path):
    ClipClassifier({"shape": ["round"]}, size=16, frames=2, width=8).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no head 'form' with the class 'whole'"):
        WellFormed(tmp_path)
