import numpy as np
import pytest
import torch

from emogen.emotion import MIKELS
from emogen.eval.metrics import EmotionAgreement
from emogen.eval.metrics.agreement import read_as_asked
from emogen.eval.statistics import wilson


def rows(*places):
    """Distributions with 0.65 on one category."""
    return torch.full((len(places), 8), 0.05).scatter(1, torch.tensor(places)[:, None], 0.65)


def random_clips(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(n, 8, generator=generator) * 2).softmax(1), torch.randint(0, 8, (n,), generator=generator)


def test_by_hand():
    metric = EmotionAgreement()
    # asked amusement three times (read amusement, awe, fear), anger twice (read anger, anger), sadness (read disgust)
    metric.update(rows(0, 1, 6), torch.tensor([0, 0, 0]))
    metric.update(rows(4, 4, 5), torch.tensor([4, 4, 7]))
    found = metric.compute()
    assert float(found["n"]) == 6
    assert float(found["ea8"]) == pytest.approx(3 / 6)
    assert float(found["ea2"]) == pytest.approx(5 / 6)
    assert [float(found[f"ea8_{x}"]) for x in ("low", "high")] == pytest.approx(wilson(3, 6))
    assert [float(found[f"ea2_{x}"]) for x in ("low", "high")] == pytest.approx(wilson(5, 6))
    recall = found["recall"].tolist()
    assert recall[0] == pytest.approx(1 / 3) and recall[4] == 1 and recall[7] == 0
    assert all(np.isnan(recall[i]) for i in (1, 2, 3, 5, 6))
    # F1: amusement 2*1/(3+1), anger 1, and 0 for awe, disgust, fear and sadness: six categories asked or read
    assert float(found["macro_f1"]) == pytest.approx((0.5 + 1) / 6)
    # agreement expected by chance: (3*1 + 2*2 + 1*0) / 36
    assert float(found["kappa"]) == pytest.approx((0.5 - 7 / 36) / (1 - 7 / 36))
    assert found["confusion"][0].tolist() == [1, 1, 0, 0, 0, 0, 1, 0] and found["confusion"][7, 5] == 1
    assert "va_n" not in found and "valence_mae" not in found


def test_ea2_is_the_summed_halves_and_not_the_top_category():
    metric = EmotionAgreement()
    shares = torch.tensor([[0.2, 0.2, 0.2, 0.0, 0.0, 0.0, 0.4, 0.0]])
    metric.update(shares, torch.tensor([MIKELS.index("awe")]))
    assert metric.compute()["ea8"] == 0 and metric.compute()["ea2"] == 1
    metric.reset()
    metric.update(shares, torch.tensor([MIKELS.index("fear")]))
    assert metric.compute()["ea8"] == 1 and metric.compute()["ea2"] == 0


def test_agrees_with_the_numpy_functions_and_scikit_style_formulas():
    probabilities, target = random_clips(300)
    metric = EmotionAgreement()
    for part in (slice(0, 7), slice(7, 180), slice(180, 300)):
        metric.update(probabilities[part], target[part])
    found = metric.compute()
    eight, two = read_as_asked(probabilities.numpy(), [MIKELS[i] for i in target])
    assert float(found["ea8"]) == pytest.approx(eight.mean()) and float(found["ea2"]) == pytest.approx(two.mean())
    table = np.zeros((8, 8))
    np.add.at(table, (target.numpy(), probabilities.argmax(1).numpy()), 1)
    assert np.array_equal(found["confusion"].numpy(), table)
    chance = (table.sum(0) * table.sum(1)).sum() / 300**2
    assert float(found["kappa"]) == pytest.approx((eight.mean() - chance) / (1 - chance), abs=1e-6)
    assert float(found["macro_f1"]) == pytest.approx(
        (2 * table.diagonal() / (table.sum(0) + table.sum(1))).mean(), abs=1e-6
    )


def test_valence_and_arousal_by_hand():
    generator = torch.Generator().manual_seed(1)
    read, asked = (torch.rand(40, 2, generator=generator) * 2 - 1 for _ in range(2))
    read = (0.6 * read + 0.4 * asked).clamp(-1, 1)
    probabilities, target = random_clips(50)
    metric = EmotionAgreement()
    metric.update(probabilities[:10], target[:10])  # clips without a reading of the plane
    metric.update(probabilities[10:25], target[10:25], va=(read[:15], asked[:15]))
    metric.update(probabilities[25:], target[25:], (read[15:], asked[15:]))
    found = metric.compute()
    assert float(found["n"]) == 50 and float(found["va_n"]) == 40
    for i, axis in enumerate(("valence", "arousal")):
        x, y = read[:, i].double().numpy(), asked[:, i].double().numpy()
        r = np.corrcoef(x, y)[0, 1]
        assert float(found[f"{axis}_mae"]) == pytest.approx(np.abs(x - y).mean(), abs=1e-6)
        assert float(found[f"{axis}_pearson"]) == pytest.approx(r, abs=1e-6)
        # torchmetrics takes the sample variance where Lin takes the population's
        ccc = 2 * r * x.std(ddof=1) * y.std(ddof=1) / (x.var(ddof=1) + y.var(ddof=1) + (x.mean() - y.mean()) ** 2)
        assert float(found[f"{axis}_ccc"]) == pytest.approx(ccc, abs=1e-6)
    assert float(found["valence_mae"]) != pytest.approx(float(found["arousal_mae"]), abs=1e-3)


def test_forward_gives_the_batch_and_reset_forgets():
    probabilities, target = random_clips(30)
    plane = torch.rand(10, 2), torch.rand(10, 2)
    metric, alone = EmotionAgreement(), EmotionAgreement()
    metric.update(probabilities[:20], target[:20])
    batch = metric(probabilities[20:], target[20:], va=plane)
    alone.update(probabilities[20:], target[20:], va=plane)
    assert all(torch.allclose(batch[k], v, equal_nan=True) for k, v in alone.compute().items())
    assert float(metric.compute()["n"]) == 30 and float(metric.compute()["va_n"]) == 10
    metric.reset()
    metric.update(rows(3), torch.tensor([3]))
    assert float(metric.compute()["n"]) == 1 and "va_n" not in metric.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_bad_input_is_refused():
    metric, good = EmotionAgreement(), rows(0, 1)
    target = torch.tensor([0, 1])
    for probabilities, asked, error, message in [
        (torch.randn(2, 8), target, ValueError, "row 0 are not a distribution.*take the softmax"),
        (good * torch.tensor([[1.0], [torch.nan]]), target, ValueError, "row 1 are not a distribution"),
        (torch.tensor([[1.4, -0.4, 0, 0, 0, 0, 0, 0]]), target[:1], ValueError, "row 0 are not a distribution"),
        (good * 3, target, ValueError, "row 0 are not a distribution"),
        (good[:, :7], target, ValueError, r"must be \[n, 8\].*amusement"),
        (good[:0], target[:0], ValueError, "n >= 1"),
        (good, target[:1], ValueError, r"target must be \[2\]"),
        (good, target + 7, ValueError, r"target must lie in 0..7, not 7..8"),
        (good, target.float(), TypeError, "must be integers"),
        (good.numpy(), target, TypeError, "must be tensors, not ndarray and Tensor"),
    ]:
        with pytest.raises(error, match=message):
            metric.update(probabilities, asked)
    for va, error, message in [
        (torch.zeros(2, 2), TypeError, "va must be a pair"),
        ((torch.zeros(2, 2), torch.zeros(3, 2)), ValueError, r"asked valence-arousal must be a tensor \[2, 2\]"),
        ((torch.full((2, 2), 1.5), torch.zeros(2, 2)), ValueError, r"read valence-arousal must lie in \[-1, 1\]"),
        ((torch.zeros(2, 2), torch.full((2, 2), torch.nan)), ValueError, "asked valence-arousal must lie in"),
    ]:
        with pytest.raises(error, match=message):
            metric.update(good, target, va)
    with pytest.raises(ValueError, match="no clips were given"):  # and nothing of all that was counted
        metric.compute()
