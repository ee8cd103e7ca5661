"""Nothing here starts processes in the way that now and then waits for ever."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nobody_uses_torchrun_standalone():
    """Its heartbeat and its last words share a connection (pytorch/pytorch#69520); give --master_port instead."""
    word = "--stand" + "alone"
    rooms = ("emogen", "eval", "pipelines", "recipe", "tests", "benchmarks", "docs", "examples", "configs")
    files = [p for room in rooms for p in (ROOT / room).rglob("*") if p.suffix in (".py", ".md", ".ipynb", ".sh")]
    files += [ROOT / "README.md", *ROOT.glob("*.py")]
    told = ("tests/parts.py", "recipe/children.py", "tests/house/test_no_standalone.py")
    users = [p.relative_to(ROOT).as_posix() for p in files if word in p.read_text(encoding="utf-8", errors="replace")]
    assert not set(users) - set(told)
