"""Imports go one way, without circles; the rooms are those that the architecture page draws."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("house", ROOT / "benchmarks" / "house.py")


def house():
    module = importlib.util.module_from_spec(_SPEC)
    import sys

    sys.modules["house"] = module  # dataclasses look their module up
    _SPEC.loader.exec_module(module)
    return module


def test_no_module_imports_in_a_circle():
    tool = house()
    modules = tool.read_house(ROOT)
    assert len(modules) > 200
    assert tool.circles(modules) == []


def test_imports_go_up_no_floor():
    tool = house()
    modules = tool.read_house(ROOT)
    assert tool.against_the_flow(modules) == []
    drawn = {room for floor in tool.FLOORS for room in floor}
    assert {module.room for module in modules.values()} <= drawn


def test_the_tool_sees_circles_and_wrong_ways(tmp_path):
    """A check of the check: a house with both faults."""
    for name, text in {
        "emogen/emotion/a.py": "from emogen.emotion import b",
        "emogen/emotion/b.py": "def f():\n    from emogen.emotion.a import x",
        "emogen/models/c.py": "from emogen.commands.d import y",
        "emogen/commands/d.py": "y = 1",
        "pipelines/e.py": "",
        "eval/f.py": "from emogen.pipelines import e",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
    tool = house()
    modules = tool.read_house(tmp_path)
    assert tool.circles(modules) == [["emogen.emotion.a", "emogen.emotion.b"]]
    assert tool.circles(modules, with_later=False) == []
    assert tool.against_the_flow(modules) == [("emogen.models.c", "emogen.commands.d")]
    assert modules["emogen.eval.f"].at_import == {"emogen.pipelines.e"}
