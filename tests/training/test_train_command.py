import subprocess
import sys
from pathlib import Path

import pytest

from emogen.commands.train import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config_file(make_config, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(make_config().to_yaml())
    return str(path)


def test_dry_run_checks_and_counts_without_writing(config_file, tmp_path, capsys):
    assert main(["--config", config_file, "--dry_run"]) == 0
    text = capsys.readouterr().out
    assert "amusement      2    1" in text and "total          8    2" in text
    assert "5x16x16" in text and "clips at 8 fps, 12 text tokens" in text
    assert "4 steps of 2 clips a process: 1.0 epochs" in text and "lora 0.00 M, adapter" in text
    assert "memory forecast: 2 clips of 8 tokens" in text and "optimizer state" in text
    assert not (tmp_path / "run").exists() and not (tmp_path / "cache").exists()


def test_trains_and_resumes(config_file, tmp_path, capsys):
    assert main(["--config", config_file, "--max_train_steps", "1"]) == 0
    assert main(["--config", config_file, "--resume_from_checkpoint", "latest"]) == 0
    assert "resuming after step 1" in capsys.readouterr().out
    assert (tmp_path / "run/training_config.yaml").is_file()


def test_mistakes_end_with_a_message_and_status_two(config_file, capsys):
    assert main(["--config", config_file, "--learning_rat", "1"]) == 2
    assert "did you mean 'optimizer.learning_rate'" in capsys.readouterr().err
    assert main(["--config", config_file, "--dataset_name", "no where"]) == 2
    assert "no where" in capsys.readouterr().err
    assert main(["--config", config_file, "--pretrained_model_name_or_path", "no where"]) == 2
    assert "model.pretrained_model_name_or_path: 'no where' is neither a folder" in capsys.readouterr().err


def test_the_script_runs(config_file):
    script = [sys.executable, str(ROOT / "train_lora.py"), "--config", config_file, "--rnk", "3"]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "'lora.rank'" in done.stderr
