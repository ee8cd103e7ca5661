"""The next step's data are prepared while a step runs, and it makes no difference but for the time."""

import threading

import pytest
import torch
from safetensors.torch import load_file

from emogen.training.data import ahead
from emogen.training.data.ahead import Ahead, MicroStep
from emogen.training.data.batches import Batch
from emogen.training.objective import LossMeter
from emogen.training.run import run
from emogen.training.trainer import Trainer

CPU = torch.device("cpu")


def test_the_next_is_made_meanwhile_and_once():
    asked, threads = [], []
    began = threading.Event()

    def make(step):
        asked.append(step)
        threads.append(threading.current_thread())
        if step == 1:
            began.set()
        if step == 3:
            raise OSError("clip 3 is gone")
        return step * 10

    values = Ahead(make, CPU)
    assert values(0, last=False) == 0
    assert began.wait(30), "step 1 is made before anybody asks for it"
    assert values(1, last=False) == 10 and values(2, last=False) == 20
    with pytest.raises(OSError, match="clip 3 is gone"):
        values(3, last=False)
    assert values(7) == 70  # another step than the one expected
    assert asked == [0, 1, 2, 3, 7]
    main = threading.main_thread()
    assert [thread is main for thread in threads] == [True, False, False, False, True]
    values.close()
    assert not threads[1].is_alive()
    assert values(8) == 80


def test_a_run_prepares_ahead_and_ends_as_one_that_does_not(make_config, tmp_path, monkeypatch):
    honest, threads = ahead.prepare_step, []

    def watched(step, *given):
        threads.append((step, threading.current_thread() is threading.main_thread()))
        return honest(step, *given)

    monkeypatch.setattr("emogen.training.trainer.prepare_step", watched)
    before = threading.enumerate()
    sizes = {"max_train_steps": 4, "gradient_accumulation_steps": 2, "train_batch_size": 1}
    run(make_config(run=sizes | {"output_dir": str(tmp_path / "ahead")}))
    assert threads == [(0, True), (1, False), (2, False), (3, False)]
    assert not [one for one in threading.enumerate() if one.name.startswith("next step") and one not in before]
    monkeypatch.setattr(Ahead, "__call__", lambda self, step, last: self._make(step))
    run(make_config(run=sizes | {"output_dir": str(tmp_path / "plain")}))
    one, two = (load_file(tmp_path / name / "checkpoint-4/trained.safetensors") for name in ("ahead", "plain"))
    assert one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("ahead", "plain")]
    assert len(logs[0]) == len(logs[1]) == 4


class OnDevice(torch.Tensor):
    """A tensor that stands for one on a GPU: reading it on the host is noted."""

    read: list[str]

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in ("tolist", "item", "cpu", "numpy", "__bool__", "__int__", "__float__"):
            cls.read.append(name)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_step_waits_for_the_device_once(make_config, monkeypatch):
    """With every tensor that a GPU would hold marked, a step reads one of them, once."""
    OnDevice.read = []
    counts = []

    def marked(value):
        return value.as_subclass(OnDevice)

    def to(self, device):
        others = (marked(value) for value in (self.noise, self.sigma, self.weight))
        return MicroStep(self.batch._each(marked), *others)

    take_step = Trainer.train_step

    def counted(self):
        before = len(OnDevice.read)
        norm = take_step(self)
        counts.append(OnDevice.read[before:])
        return norm

    monkeypatch.setattr(MicroStep, "to", to)
    monkeypatch.setattr(Trainer, "train_step", counted)
    monkeypatch.setattr(LossMeter, "read", lambda self: {"loss": 0.0})  # of the log, not of the step
    run(make_config(
        run={"max_train_steps": 3, "gradient_accumulation_steps": 2, "train_batch_size": 1},
        objective={"timesteps": "diffsynth"},
    ))  # fmt: skip
    assert counts == [["tolist"]] * 3


def test_a_batch_moves_as_a_whole():
    batch = Batch(
        torch.zeros(1, 4, 2, 4, 4), torch.zeros(1, 3, 8), _emotion(), ["a"], torch.zeros(1, 8, 2, 4, 4),
        torch.zeros(1, 5, 8), torch.tensor([True]), "transformer_2",
    )  # fmt: skip
    moved = batch.to(torch.device("meta"))
    tensors = [moved.latents, moved.text, *moved.emotion, moved.condition, moved.image, moved.given]
    assert all(value.device.type == "meta" for value in tensors)
    assert (moved.names, moved.expert) == (["a"], "transformer_2")


def _emotion():
    from emogen.models import EmotionTensors

    return EmotionTensors(torch.zeros(1, 8), torch.zeros(1, 2), torch.zeros(1))
