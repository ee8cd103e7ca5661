"""Two processes give what one gives, for every metric, with uneven shares and with nothing on one side."""

import warnings

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from emogen.eval.metrics import (
    CLIPTextScore,
    ContentAgreement,
    EmotionAgreement,
    EmotionAttributes,
    FirstFrameLPIPS,
    FirstFramePSNR,
    FrechetVideoDistance,
    LPIPSDiversity,
    SDScore,
    TemporalFlickering,
)

COUNT = 9


class Projections(nn.Module):
    """A stand-in for CLIP: fixed projections of pixels and of letters."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = nn.Parameter(torch.randn(4, 3 * 6 * 6, generator=generator))
        self.letters = nn.Parameter(torch.randn(4, 8, generator=generator))
        text = type("Text", (), {"max_position_embeddings": 8})
        self.config = type("Config", (), {"text_config": text})

    def get_image_features(self, pixel_values):
        return pixel_values.flatten(1) @ self.weight.T

    def get_text_features(self, input_ids, attention_mask):
        return input_ids.float() @ self.letters.T


def processor(images=None, text=None, **kwargs):
    if images is not None:
        return {"pixel_values": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 127.5 - 1}
    ids = torch.tensor([[ord(c) - 96 for c in t.ljust(8, "a")[:8]] for t in text])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def reader(frames):
    return [{"shape": "round" if c.mean() > 120 else "square"} for c in frames]


def features(clips):
    return clips.double().flatten(3).mean(3).flatten(1)[:, :5] / 255 + 1000  # far from 0: the shift has to be shared


def square(a, b):
    return (a - b).square().mean((1, 2, 3))


def metrics():
    return {
        "frechet": FrechetVideoDistance(features),
        "flicker": TemporalFlickering(),
        "agreement": EmotionAgreement(),
        "clip": CLIPTextScore(Projections(), processor),
        "sd": SDScore(Projections(), processor),
        "diversity": LPIPSDiversity(square),
        "first": FirstFrameLPIPS(square),
        "psnr": FirstFramePSNR(),
        "attributes": EmotionAttributes(),
        "content": ContentAgreement(reader, questions=("shape",)),
    }


def values(places, va_places):
    """All metrics on some of the clips, in two updates where that is possible."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (COUNT, 3, 3, 6, 6), generator=generator, dtype=torch.uint8)
    fakes = (clips.float() * torch.rand(COUNT, 1, 3, 1, 1, generator=generator)).to(torch.uint8)
    shares = torch.randn(COUNT, 8, generator=generator).softmax(1)
    target = torch.arange(COUNT) % 3 * 2
    plane = torch.rand(2, COUNT, 2, generator=generator) * 2 - 1
    found = metrics()
    for part in (places[:1], places[1:]):
        if not part:
            continue
        mine = clips[part]
        found["frechet"].update(mine, real=True)
        found["frechet"].update(fakes[part], real=False)
        found["flicker"].update(mine)
        va = (plane[0][part], plane[1][part]) if set(part) <= set(va_places) else None
        found["agreement"].update(shares[part], target[part], va)
        found["clip"].update(mine, [f"text {i}" for i in part])
        found["sd"].update(mine, fakes[part][:, :2])
        for i in part:
            found["diversity"].update(torch.stack([clips[i], fakes[i]]))
        found["first"].update(mine, fakes[part][:, 0])
        found["psnr"].update(mine, fakes[part][:, 0])
        found["attributes"].update(mine, target[part])
        found["content"].update(mine, [{"shape": "round"}] * len(part))
    return {name: metric.compute() for name, metric in found.items()}


SHARES = {"uneven": ([0, 1, 2, 3, 4, 5], [6, 7, 8]), "empty": (list(range(COUNT)), [])}
VA = [1, 2, 3, 4, 5]


def worker(rank, folder):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save({name: values(parts[rank], VA) for name, parts in SHARES.items()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
def test_two_processes_equal_one(tmp_path):
    alone = values(list(range(COUNT)), VA)
    # the first update holds clip 0, which has no place on the plane; alone, the second has some that have none either
    plane = values([0, *VA], VA)["agreement"]
    torch.multiprocessing.spawn(worker, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for share, found in together.items():
            for name, expected in alone.items():
                if not isinstance(expected, dict):
                    assert expected.isfinite(), name
                    assert torch.allclose(found[name].double(), expected.double(), rtol=1e-6), (share, name)
                    continue
                for key, value in expected.items():
                    assert torch.allclose(found[name][key].double(), value.double(), rtol=1e-5, equal_nan=True), (
                        share,
                        name,
                        key,
                    )
        assert float(together["uneven"]["agreement"]["va_n"]) == 5 and "va_n" not in together["empty"]["agreement"]
        for key in plane:
            if key.startswith(("valence", "arousal")):
                assert torch.allclose(together["uneven"]["agreement"][key], plane[key], atol=1e-6), key
                assert plane[key].isfinite()
