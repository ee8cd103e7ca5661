"""How a run of several processes begins, and how it ends when it must not begin. Processes talk through gloo."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from parts import torchrun_command
from safetensors.torch import load_file

from emogen.commands.train import main
from emogen.failure import fail
from emogen.training.config import ConfigError
from emogen.training.parallel.launch import check_world
from emogen.training.run import run

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "examples/train_slurm.sh"
SGD = {"optimizer": "torch.optim.SGD", "optimizer_args": {"momentum": 0.9}, "learning_rate": 0.1,
       "adapter_learning_rate": 0.1}  # fmt: skip


@pytest.fixture
def written(make_config, tmp_path):
    """A configuration file that does not say `cpu`: the machine's having no GPU is to be found out."""

    def write(name, **changes):
        changes["run"] = {"output_dir": str(tmp_path / name), "cpu": False, "max_train_steps": 2} | changes.get(
            "run", {}
        )
        path = tmp_path / f"{name}.yaml"
        path.write_text(make_config(optimizer=SGD, **changes).to_yaml())
        return path

    return write


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "ACCELERATE"))}
    return {**kept, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


def launched(*words, processes=2, **more):
    command = torchrun_command(processes, ROOT / "train_lora.py", "--config", *words)
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(**more), timeout=400)


def weights(folder, step):
    return load_file(Path(folder) / f"checkpoint-{step}/trained.safetensors")


def same(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-6, rtol=1e-4), name


def losses(folder):
    lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


LAST_THREADS = """
import atexit, sys
from pathlib import Path

def tell():
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").glob("*")]
    print("last threads:", *names, file=sys.stderr, flush=True)

atexit.register(tell)
"""
"""What every process runs at its start, so that at its end, after all others that are registered, it says this."""


def test_without_a_gpu_two_processes_make_one_training_and_another_number_goes_on(make_config, written, tmp_path):
    """The step that one process makes with twice the batch; and half of it by two, the rest by one."""
    first = {"train_batch_size": 2, "max_train_steps": 4}
    told = tmp_path / "told/sitecustomize.py"
    told.parent.mkdir()
    told.write_text(LAST_THREADS)
    path = f"{told.parent}{os.pathsep}{ROOT}"
    done = launched(written("first", run=first, checkpoint={"checkpointing_steps": 2}), PYTHONPATH=path)
    assert done.returncode == 0, done.stderr[-3000:]
    threads = [line for line in done.stderr.splitlines() if "last threads:" in line]
    assert len(threads) >= 2 and "gloo" not in str(threads), threads  # one would abort the process now and then
    assert "2 processes, device cpu, together through gloo" in done.stdout
    whole = {"train_batch_size": 4, "max_train_steps": 4}
    run(make_config(run={**whole, "output_dir": str(tmp_path / "one")}, optimizer=SGD))
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "first"), rel=1e-5)
    resume = {"resume_from_checkpoint": str(tmp_path / "first/checkpoint-2")}
    run(make_config(run={**whole, "output_dir": str(tmp_path / "rest")}, optimizer=SGD, checkpoint=resume))
    same(weights(tmp_path / "one", 4), weights(tmp_path / "rest", 4))


@pytest.mark.parametrize("flags", [["--dataset_name", "no where"], ["--rnk", "3"]])
def test_a_refusal_is_said_once_and_last(written, tmp_path, flags):
    """Of metadata, which one process reads first, and of the configuration, which all read: where the second process
    is the quicker one, the launcher ends the first before it has said it, and says it in its own report alone."""
    done = launched(written("refused"), *flags)
    assert done.returncode != 0 and not (tmp_path / "refused").exists()
    said, _, report = done.stderr.rpartition("torch.distributed.elastic.multiprocessing.errors.ChildFailedError")
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) <= 1 and "Traceback" not in said.partition("torch/distributed")[0]
    last = report.rstrip().splitlines()[-2].strip().partition("error: ")[2]
    assert flags[-1 if " " in flags[-1] else 0] in last and all(line == f"error: {last}" for line in lines)


def test_a_quiet_launch_ends_in_the_sentence(written):
    """As README and documents write it: accelerate adds no traceback of its own."""
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--quiet", "--num_processes", "1",
               "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", ROOT / "train_lora.py",
               "--config", written("refused"), "--rnk", "3"]  # fmt: skip
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=240
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ") and "lora.rank" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("given", "processes", "message"),
    [
        ({"WORLD_SIZE": "2"}, 1, "2 processes were started .WORLD_SIZE., but accelerate brings 1"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, 1, "4 processes were started .SLURM_STEP_NUM_TASKS."),
        ({"MASTER_ADDR": "127.0.0.1", "ACCELERATE_MIXED_PRECISION": "no"}, 1, "started one, as it does"),
        ({"WORLD_SIZE": "8", "SLURM_STEP_NUM_TASKS": "1", "MASTER_ADDR": "node"}, 8, None),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, 1, None),
        ({}, 1, None),
    ],
)
def test_processes_that_would_train_apart_are_refused(monkeypatch, given, processes, message):
    for name in ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS",
                 "MASTER_ADDR", "ACCELERATE_MIXED_PRECISION"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if message is None:
        check_world(processes)
    else:
        with pytest.raises(ConfigError, match=message):
            check_world(processes)


def test_a_failure_is_left_for_the_launcher_and_printed_by_the_first_process(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    monkeypatch.setenv("RANK", "1")
    assert fail("no such clip", 2) == 2 and capsys.readouterr().err == ""
    assert json.loads((tmp_path / "error.json").read_text())["message"]["message"] == "error: no such clip"
    monkeypatch.setenv("RANK", "0")
    fail("no such clip", 2)
    assert capsys.readouterr().err == "error: no such clip\n"


def test_metadata_are_checked_before_a_model_is_looked_up(written, monkeypatch, capsys):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **more: asked.append(name) or 1 / 0)
    flags = ["--config", str(written("hub")), "--pretrained_model_name_or_path", "some/model"]
    assert main([*flags, "--dataset_name", "no where"]) == 2
    assert "no where" in capsys.readouterr().err and not asked
    with pytest.raises(ZeroDivisionError):
        main(flags)
    assert asked == ["some/model"]


# What Slurm does with the script, on one machine that stands for two: `srun` starts it on both at once.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
SLURM_NODEID=1 "$@" > second.out 2>&1 & other=$!
SLURM_NODEID=0 "$@"; first=$?
wait $other && exit $first
"""


def test_the_slurm_script_trains_over_two_machines(make_config, written, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    programs = {"srun": SRUN, "scontrol": "#!/bin/bash\necho 127.0.0.1; echo 127.0.0.2\n",
                "torchrun": f'#!/bin/bash\nexec {sys.executable} -m torch.distributed.run "$@"\n'}  # fmt: skip
    for name, text in programs.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "train_lora.py").symlink_to(ROOT / "train_lora.py")
    slurm = {"SLURM_JOB_ID": str(random.SystemRandom().randrange(20000)), "SLURM_NNODES": "2",
             "SLURM_JOB_NODELIST": "node[1-2]", "PROCESSES": "1"}  # fmt: skip
    done = subprocess.run(
        ["bash", SLURM, "--config", written("slurm", run={"train_batch_size": 2})],
        capture_output=True, text=True, cwd=tmp_path, timeout=240,
        env=environment(**slurm, PATH=f"{tools}:{os.environ['PATH']}"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 processes on 2 machines, device cpu" in done.stdout
    run(
        make_config(
            run={"output_dir": str(tmp_path / "one"), "train_batch_size": 4, "max_train_steps": 2}, optimizer=SGD
        )
    )
    assert losses(tmp_path / "slurm") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


@pytest.mark.parametrize("path", sorted((ROOT / "configs/accelerate").glob("eight_gpus*.yaml")), ids=lambda p: p.stem)
def test_the_slurm_script_gives_accelerate_what_it_takes(tmp_path, path):
    """The words of its other branch, read by accelerate's own parser."""
    from accelerate.commands.launch import launch_command_parser

    (tmp_path / "srun").write_text('#!/bin/bash\nshift\nexec env SLURM_NODEID=1 "$@"\n')
    (tmp_path / "scontrol").write_text("#!/bin/bash\necho node1\n")
    (tmp_path / "accelerate").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    for name in ("srun", "scontrol", "accelerate"):
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_ID": "7", "SLURM_NNODES": "3", "SLURM_JOB_NODELIST": "x", "SLURM_GPUS_ON_NODE": "4"}
    done = subprocess.run(
        ["bash", SLURM, "--config", "a b.yaml"], capture_output=True, text=True, timeout=60,
        env=environment(**slurm, ACCELERATE_CONFIG=str(path), PATH=f"{tmp_path}:{os.environ['PATH']}"),
    )  # fmt: skip
    command, *words = done.stdout.splitlines()
    read = launch_command_parser().parse_args(words)
    assert command == "launch" and read.config_file == str(path)
    assert (read.num_machines, read.machine_rank, read.num_processes) == (3, 1, 12)
    assert (read.main_process_ip, read.main_process_port) == ("node1", 20007)
    assert read.training_script_args == ["--resume_from_checkpoint", "latest", "--config", "a b.yaml"]
