import pytest
import torch

from emogen.models import EmotionEncoder, EmotionTensors


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = EmotionEncoder(num_tokens=3, text_dim=16, hidden_dim=8, fourier_bands=2)
    torch.nn.init.normal_(encoder.null)
    return encoder.eval()


def one(distribution, va=(0.2, 0.1), intensity=1.0):
    return torch.tensor([distribution]), torch.tensor([va]), torch.tensor([intensity])


def test_shapes(encoder):
    constant = (torch.rand(2, 8), torch.rand(2, 2), torch.rand(2))
    moving = (torch.rand(2, 5, 8), torch.rand(2, 5, 2), torch.rand(2, 5))
    assert encoder(*constant).shape == (2, 3, 16) and encoder.tail(*constant).shape == (2, 4, 16)
    assert encoder(*moving).shape == (2, 15, 16) and encoder.tail(*moving).shape == (2, 16, 16)
    assert encoder.null_tail(2, 5).shape == (2, 16, 16)
    assert torch.equal(encoder.tail(*moving)[:, -1], encoder.null.expand(2, -1))


def test_moments_stand_one_after_another(encoder):
    moving = (torch.rand(2, 5, 8), torch.rand(2, 5, 2), torch.rand(2, 5))
    alone = encoder(*(value[:, 3] for value in moving))
    torch.testing.assert_close(encoder(*moving)[:, 9:12], alone)


def test_a_blend_is_the_blend_of_its_tokens(encoder):
    awe, fear = torch.eye(8)[1].tolist(), torch.eye(8)[6].tolist()
    blend = (0.25 * torch.eye(8)[1] + 0.75 * torch.eye(8)[6]).tolist()
    expected = 0.25 * encoder(*one(awe)) + 0.75 * encoder(*one(fear))
    torch.testing.assert_close(encoder(*one(blend)), expected)


def test_intensity_walks_the_line_from_null(encoder):
    awe = torch.eye(8)[1].tolist()
    full = encoder(*one(awe)) - encoder.null
    for intensity in (0.0, 0.3, 1.5, -1.0):
        torch.testing.assert_close(encoder(*one(awe, intensity=intensity)), encoder.null + intensity * full)
    assert torch.equal(encoder(*one(awe, intensity=0.0)), encoder.null.expand(1, 3, -1))


def test_valence_and_arousal_matter_each(encoder):
    nothing = [0.0] * 8
    here = encoder(*one(nothing, (0.2, 0.1)))
    assert not torch.allclose(here, encoder(*one(nothing, (0.3, 0.1))), atol=1e-3)
    assert not torch.allclose(here, encoder(*one(nothing, (0.2, 0.2))), atol=1e-3)
    assert not torch.allclose(here, encoder(*one(nothing, (0.1, 0.2))), atol=1e-3)


def test_shapes_that_do_not_fit(encoder):
    with pytest.raises(ValueError, match=r"distribution \(2, 7\)"):
        encoder(torch.rand(2, 7), torch.rand(2, 2), torch.rand(2))
    with pytest.raises(ValueError, match=r"intensity \(3,\)"):
        encoder(torch.rand(2, 8), torch.rand(2, 2), torch.rand(3))


def test_tensors_from_states():
    from emogen.emotion import EmotionArc, EmotionState

    fear = EmotionState.parse("fear:0.5")
    tensors = EmotionTensors.from_states([fear, EmotionState.neutral()])
    assert tensors.distribution[0].argmax() == 6 and tensors.distribution.shape == (2, 8)
    assert tensors.intensity.tolist() == [0.5, 0.0]
    assert tensors.valence_arousal[0].tolist() == pytest.approx([fear.valence, fear.arousal])
    arcs = EmotionTensors.from_arcs([EmotionArc.constant(fear)] * 2, [0.0, 0.5, 1.0])
    assert [value.shape for value in arcs] == [(2, 3, 8), (2, 3, 2), (2, 3)]
    assert torch.equal(arcs.distribution[:, 2], tensors.distribution[:1].expand(2, 8))
