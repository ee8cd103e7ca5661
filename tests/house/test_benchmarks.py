"""The benchmarks' own machinery runs: nobody should find out on a rented GPU that it does not."""

import argparse
import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import arms  # noqa: E402
import gpu  # noqa: E402
import kernels  # noqa: E402
import real_size  # noqa: E402

SMALL = {"model": "embedded", "layers": 0, "frames": 5, "height": 32, "width": 32, "text_length": 32, "batch": 1,
         "caption_length": 8, "fold": False, "device": "cpu", "gradient_checkpointing": True,
         "compile": False}  # fmt: skip


@pytest.mark.parametrize("arm", ["plain", "emogen_lora", "emogen"])
def test_every_arm_makes_steps_and_counts_its_work(arm):
    step = arms.ARMS[arm](argparse.Namespace(**SMALL))
    work = arms.counted(step)
    assert step() > 0 and work > 5e8
    assert arms.measured_peak("cpu", 64) > 0


def test_kernels_are_compared(capsys, tmp_path):
    kernels.main(
        ["--tokens", "32", "--heads", "2", "--head_dim", "32", "--turns", "1", "--output", str(tmp_path / "k")]
    )
    said = capsys.readouterr().out
    assert "| native | 1.00 | 1.00 |" in said and "not here: xformers" in said
    found = json.loads((tmp_path / "k").read_text())
    assert found["kernels"]["native"]["error"] < 0.02 and len(found["refused"]) + len(found["kernels"]) == len(
        kernels.BACKENDS
    )


def test_tables_are_made_once_and_what_failed_is_left(tmp_path, monkeypatch, capsys):
    out = ["--output_dir", str(tmp_path), "--dry_run", "--only", "kernels"]
    wrong = gpu.Table("it fails", "kernels.py", "", "--tokens none")
    monkeypatch.setitem(gpu.TABLES, "kernels", wrong)
    assert gpu.main(out) == 1 and "ended with 2" in capsys.readouterr().out
    assert "invalid int" in (tmp_path / "kernels.log").read_text() and not (tmp_path / "kernels.md").exists()
    monkeypatch.undo()
    assert gpu.main(out) == 0
    page = (tmp_path / "kernels.md").read_text()
    assert "python benchmarks/kernels.py --tokens 64" in page and "whose figures say nothing" in page
    assert gpu.main(out) == 0 and "there already" in capsys.readouterr().out
    assert (tmp_path / "kernels.md").read_text() == page


class Understood(Exception):
    pass


@pytest.mark.parametrize("name", sorted(gpu.TABLES))
@pytest.mark.parametrize("dry", [True, False])
def test_every_command_of_the_gpu_day_is_understood(name, dry, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def stop(parser, *_):
        raise Understood(vars(parse(parser, words)))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    _, script, *words = gpu.TABLES[name].command(dry, "ds/bin/python")
    with pytest.raises(Understood) as found:
        importlib.import_module(Path(script).stem).main()
    if name == "train_14b":
        asked = found.value.args[0]
        assert asked["one_by_one"] and asked["diffsynth_python"] is None and asked["count_flops"]


def test_a_forecast_is_read_off_a_run():
    said = "memory forecast: ...\n  frozen weights   2.6 GiB  x\n  total                  5.4 GiB  of 20 GiB: fits\n"
    assert real_size.forecast_of(said) == round(5.4 * 2**30)
