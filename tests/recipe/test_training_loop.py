"""A training can be killed at any moment and goes on with the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from parts import torchrun
from safetensors.torch import load_file
from torch import nn

from recipe import state
from recipe.config import Phase, Schedule
from recipe.loop import Stopped, _seed, train
from recipe.optim import Optimizers, rate_factor

ROOT = Path(__file__).parents[2]


class Toy:
    """A network with blocks, dropout and two phases, and a way to be interrupted."""

    def __init__(self, at=None, what=None):
        torch.manual_seed(0)
        self.net = nn.ModuleDict(
            {"embed": nn.Linear(4, 8), "blocks": nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)]),
             "out": nn.Linear(8, 1),
             "later": nn.Linear(8, 1)}  # as a convolution over time: unused as long as there are images alone
        )  # fmt: skip
        self.net["mix"] = nn.Conv2d(4, 4, 3, padding=1).to(memory_format=torch.channels_last)
        self.modules = nn.ModuleDict({"net": self.net})
        self.at, self.what, self.calls = at, what, 0

    def loss(self, rng, phase):
        self.calls += 1
        if self.calls == self.at:
            self.what()
        x = torch.from_numpy(rng.standard_normal((phase.batch, 4))).float()
        mixed = self.net["mix"](x[:, :, None, None])[:, :, 0, 0]
        return self.error(nn.functional.dropout(self.hidden(mixed), 0.3), x, phase)

    def hidden(self, x):
        first, second = self.net["blocks"]
        return second(first(self.net["embed"](x)).relu()).relu()

    def error(self, hidden, x, phase):
        out = self.net["out"](hidden) + (self.net["later"](hidden) if phase.name == "second" else 0)
        return (out[:, 0] - x.sum(1)).square().mean()

    def held_out(self, average):
        return {"weight": average["net"]["out"].weight.sum().item()}


def schedule(**more):
    first, second = (Phase(name=n, steps=s, batch=5, lr=1e-2, warmup=2) for n, s in (("first", 7), ("second", 9)))
    settings = {"phases": (first, second), "checkpoint_every": 4, "validate_every": 5, "log_every": 3, "bf16": True}
    return Schedule(**settings | more)


def entries(folder):
    return [{k: v for k, v in json.loads(line).items() if k != "cpu"} for line in (folder / "toy.jsonl").open()]


class Killed(BaseException):
    pass


def die():
    raise Killed


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("at", [2, 8, 11])
def test_killed_anywhere_it_goes_on_bit_for_bit(tmp_path, optimizer, at):
    whole = Toy()
    train(whole, schedule(optimizer=optimizer), tmp_path / "whole", "toy")
    with pytest.raises(Killed):
        train(Toy(at, die), schedule(optimizer=optimizer), tmp_path / "cut", "toy")
    again = Toy()
    train(again, schedule(optimizer=optimizer), tmp_path / "cut", "toy")
    assert again.calls <= 16 - (at - 1) // 4 * 4
    files = [load_file(tmp_path / run / "toy.safetensors") for run in ("whole", "cut")]
    assert files[0].keys() == files[1].keys() and any(k.startswith("muon") for k in files[0]) == (optimizer == "muon")
    assert all(torch.equal(value, files[1][name]) for name, value in files[0].items())
    assert entries(tmp_path / "whole") == entries(tmp_path / "cut")


def test_a_signal_keeps_the_step_and_more_steps_may_be_added(tmp_path):
    stop = Toy(6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped, match="step 6 of 16"):
        train(stop, schedule(), tmp_path, "toy")
    assert state.read_about(tmp_path / "toy.safetensors")["step"] == 6
    more = schedule()
    phases = (more.phases[0], more.phases[1].model_copy(update={"steps": 12}))
    train(Toy(), more.model_copy(update={"phases": phases}), tmp_path, "toy")
    assert state.read_about(tmp_path / "toy.safetensors")["step"] == 19
    assert (tmp_path / "toy.png").stat().st_size > 0


def test_another_runs_or_a_torn_state_is_refused(tmp_path):
    train(Toy(), schedule(), tmp_path, "toy")
    with pytest.raises(state.StateError, match="other settings"):
        train(Toy(), schedule(seed=1), tmp_path, "toy")
    path = tmp_path / "toy.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(state.StateError, match="not a whole state"):
        train(Toy(), schedule(), tmp_path, "toy")


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(tmp_path):
    toy = Toy()
    toy.loss = lambda rng, phase: toy.net["out"].weight.sum() * float("nan")
    with pytest.raises(FloatingPointError, match="step 1"):
        train(toy, schedule(), tmp_path, "toy")
    assert not (tmp_path / "toy.safetensors").exists()


def test_muon_takes_the_matrices_of_the_blocks_only():
    toy = Toy()
    optimizers = Optimizers(toy.modules, schedule(optimizer="muon"))
    (group,) = optimizers.all["muon"].param_groups
    assert [p.data_ptr() for p in group["params"]] == [block.weight.data_ptr() for block in toy.net["blocks"]]
    assert sum(p.numel() for o in optimizers.all.values() for g in o.param_groups for p in g["params"]) == sum(
        p.numel() for p in toy.modules.parameters()
    )


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last))
def test_muon_takes_convolutions_of_the_blocks_as_matrices_however_they_lie_in_memory(layout):
    torch.manual_seed(0)
    net = nn.ModuleDict({"down_blocks": nn.ModuleList([nn.Conv2d(3, 5, 3)]), "conv_in": nn.Conv2d(3, 3, 1)})
    net["gammas_block"] = nn.Module()
    net["gammas_block"].gamma = nn.Parameter(torch.ones(5, 1, 1, 1))
    net.to(memory_format=layout)
    conv = net["down_blocks"][0]
    alone = nn.Parameter(conv.weight.detach().clone(memory_format=torch.contiguous_format).flatten(1))
    settings = schedule(optimizer="muon")
    optimizers = Optimizers(net, settings)
    assert len(optimizers.all["muon"].param_groups[0]["params"]) == 1
    phase, other = settings.phases[0], torch.optim.Muon([alone], lr=0, weight_decay=settings.weight_decay)
    for seed in range(3):
        (conv(torch.full((1, 3, 4, 4), seed + 1.0)).square().sum() * 1e-3).backward()
        nn.utils.clip_grad_norm_(optimizers.parameters, settings.clip_norm)
        alone.grad = conv.weight.grad.detach().clone(memory_format=torch.contiguous_format).flatten(1)
        optimizers.step(phase, 1.0)
        other.param_groups[0]["lr"] = phase.muon_lr
        other.step()
    torch.testing.assert_close(conv.weight.detach().flatten(1), alone.detach(), atol=2e-3, rtol=1e-2)


def test_the_rate_rises_is_level_and_falls():
    phase = Phase(name="p", steps=100, batch=1, warmup=10, decay=0.3, floor=0.1)
    rates = [rate_factor(step, phase) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[69] == 1
    assert np.all(np.diff(rates[70:]) < 0) and 0.1 < rates[99] < 0.15


def test_a_process_killed_by_the_system_resumes_bit_for_bit(tmp_path):
    """SIGKILL between checkpoints, and then the same state as an undisturbed run."""
    script = (
        "import sys, torch; torch.set_num_threads(1); sys.path[:0] = sys.argv[2:5]\n"
        "from test_training_loop import Toy, schedule\nfrom recipe.loop import train\n"
        "from pathlib import Path\nimport time\n"
        "toy = Toy(10, lambda: (Path(sys.argv[1], 'reached').touch(), time.sleep(float(sys.argv[5]))))\n"
        "train(toy, schedule(), Path(sys.argv[1]), 'toy')\n"
    )
    where = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    cut.mkdir(), whole.mkdir()
    process = subprocess.Popen([sys.executable, "-c", script, str(cut), *where, "60"])
    deadline = time.monotonic() + 120
    while not (cut / "reached").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL and state.read_about(cut / "toy.safetensors")["step"] == 8
    train(Toy(), schedule(), cut, "toy")
    train(Toy(), schedule(), whole, "toy")
    files = [load_file(folder / "toy.safetensors") for folder in (cut, whole)]
    assert all(torch.equal(value, files[1][name]) for name, value in files[0].items())


@pytest.mark.parametrize("optimizer, near", [("adamw", 1e-5), ("muon", 2e-3)])
def test_two_processes_train_as_one_with_both_batches(tmp_path, optimizer, near):
    """Gradients are averaged over `torchrun`'s processes, each of which draws a batch of its own.

    Muon's matrices are divided among them, and the checkpoint holds the momenta of all.
    """
    script = tmp_path / "two.py"
    script.write_text(
        "import sys, torch; torch.set_num_threads(1)\n"
        f"sys.path[:0] = {[str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tests/recipe')]}\n"
        "from test_training_loop import Plain, schedule\nfrom recipe.loop import train\nfrom pathlib import Path\n"
        f"settings = schedule(bf16=False, optimizer={optimizer!r})\n"
        f"train(Plain(), settings, Path({str(tmp_path / 'two')!r}), 'toy')\n"
    )
    torchrun(script)
    train(Both(), schedule(bf16=False, optimizer=optimizer), tmp_path / "one", "toy")
    one, two = (load_file(tmp_path / f"{name}/toy.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() and sum("momentum" in key for key in one) == 2 * (optimizer == "muon")
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=near), name
    assert len(entries(tmp_path / "two")) == len(entries(tmp_path / "one"))


class Plain(Toy):
    """Without dropout, so that the batches alone decide."""

    def loss(self, rng, phase):
        x = torch.from_numpy(rng.standard_normal((phase.batch, 4))).float()
        return self.error(self.hidden(x), x, phase)


class Both(Plain):
    """One process that sees what two would."""

    step = 0

    def loss(self, rng, phase):
        self.step += 1
        losses = [super(Both, self).loss(_seed(0, self.step - 1, rank), phase) for rank in (0, 1)]
        return sum(losses) / 2
