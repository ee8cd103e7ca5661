"""A device that is not here, and a size that the model does not make, are refused before any long work."""

from pathlib import Path

import pytest
import torch

from emogen.commands import data, judge, sample, studio
from emogen.eval.sanity import __main__ as sanity
from emogen.settings import ConfigError
from emogen.settings.device import check_device

ABSENT = "cuda:7" if not torch.cuda.is_available() else "mps"


def doors(folder):
    return {
        "sample": (sample.main, ["--prompt", "a cat", "--output", str(folder / "a.mp4")]),
        "data caption": (data.main, ["caption", str(folder), "--model", "x"]),
        "data judge": (data.main, ["judge", str(folder), "--judge", "embedded"]),
        "data probe": (data.main, ["probe", str(folder), "--encoder", "pixels"]),
        "judge": (judge.main, ["check", "--judge", "embedded", "--data", str(folder)]),
        "studio": (studio.main, ["--no_browser"]),
        "sanity": (sanity.main, ["--output_dir", str(folder / "out")]),
    }


@pytest.mark.parametrize("door", sorted(doors(Path())))
@pytest.mark.parametrize("device", [ABSENT, "nope", "meta"])
def test_every_command_refuses_it(door, device, tmp_path, capsys):
    main, words = doors(tmp_path)[door]
    try:
        status = main([*words, "--device", device])
    except SystemExit as refused:
        status = refused.code
    said = capsys.readouterr().err
    assert status == 2 and f"--device {device}: cannot be used here" in said and "take cpu" in said
    assert "Traceback" not in said and not list(tmp_path.iterdir())


def test_what_is_here_is_taken():
    check_device(None)
    check_device("cpu")
    with pytest.raises(ConfigError, match="PyTorch knows no such device"):
        check_device("nope")


def test_a_size_that_the_model_does_not_make(tmp_path, capsys):
    words = ["--prompt", "a cat", "--emotion", "joy", "--num_inference_steps", "1", "--output", str(tmp_path / "a.gif")]
    assert sample.main([*words, "--height", "65"]) == 2
    assert "--height 65: this model makes multiples of 16; take 64 or 80" in capsys.readouterr().err
    assert sample.main([*words, "--width", "9"]) == 2
    assert "take 16" in capsys.readouterr().err and not list(tmp_path.iterdir())
