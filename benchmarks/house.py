"""The house in figures: files and lines a room, import circles, imports against the flow; and its picture.

    python benchmarks/house.py                                # the tables
    python benchmarks/house.py --root OTHER_CHECKOUT          # of another checkout, to compare
    python benchmarks/house.py --picture docs/architecture.svg

A room is a folder of the package. `pipelines/` and `eval/` stand at the top and are the rooms emogen.pipelines and
emogen.eval. Reads the source alone: nothing of emogen is imported.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FLOORS = (
    ("emotion", "settings", "files"),
    ("models", "media", "embedded"),
    ("pipelines", "data", "stickers"),
    ("training", "eval", "curation", "analysis"),
    ("studio",),
    ("commands",),
)
"""Ground floor first. A room imports from the floors below alone, and everything may import from "files"."""

ABOUT = {
    "emotion": "states, arcs, words",
    "settings": "configurations checked",
    "files": "files, versions, extras",
    "models": "encoder, processor, LoRAs",
    "media": "clips and pictures",
    "pipelines": "diffusers with emotion=",
    "data": "tables, records, buckets",
    "stickers": "drawn and imported faces",
    "embedded": "the shipped weights",
    "curation": "clips to a labelled table",
    "analysis": "what a table says",
    "training": "config, run, trainer",
    "eval": "metrics, judges, report",
    "commands": "what people run",
    "studio": "the page",
}

RUNNABLE = ("emogen.embedded.sheet",)
"""Commands that lie in another room because people call them by that name (`python -m emogen.embedded.sheet`)."""


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its room, how long it is, and the modules of emogen that it imports."""

    name: str
    room: str
    lines: int
    at_import: frozenset[str]
    later: frozenset[str]
    """Imports inside functions, which run when they are called."""


def read_house(root: Path) -> dict[str, Module]:
    """Every module of the package in a checkout, by its dotted name."""
    found: dict[str, tuple[Path, str]] = {}
    for top, prefix in (("emogen", "emogen"), ("pipelines", "emogen.pipelines"), ("eval", "emogen.eval")):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root / top).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((prefix, *parts))] = (path, prefix)
    return {name: _read(name, path, set(found)) for name, (path, _) in found.items()}


def room_of(name: str) -> str:
    """The room of a module; files that lie in no folder of the package are together in "files"."""
    if name in RUNNABLE:
        return "commands"
    parts = name.split(".")
    return parts[1] if len(parts) > 2 or parts[-1] in {room for floor in FLOORS for room in floor} else "files"


def _read(name: str, path: Path, known: set[str]) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    at_import, later = set(), set()
    for node, inside in _imports(tree):
        (later if inside else at_import).update(_targets(node, package, known))
    own = {name}
    return Module(
        name, room_of(name), len(text.splitlines()), frozenset(at_import - own), frozenset(later - at_import - own)
    )


def _imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Import statements, and whether each stands inside a function. Imports for type checkers alone do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, inside
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        else:
            yield from _imports(node, inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def _targets(node: ast.Import | ast.ImportFrom, package: str, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
        return
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
    for alias in node.names:
        full = f"{base}.{alias.name}"
        if full in known:
            yield full
        elif base in known:
            yield base


def circles(house: dict[str, Module], with_later: bool = True) -> list[list[str]]:
    """Groups of modules that import each other in a circle (Tarjan's strongly connected components)."""
    edges = {
        name: [target for target in (*module.at_import, *(module.later if with_later else ())) if target in house]
        for name, module in house.items()
    }
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for target in edges[name]:
            if target not in order:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], order[target])
        if low[name] == order[name]:
            group = [stack.pop()]
            while group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for name in house:
        if name not in order:
            visit(name)
    return sorted(found)


def against_the_flow(house: dict[str, Module]) -> list[tuple[str, str]]:
    """(module, what it imports) where the import stays on the floor or goes up."""
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    return sorted(
        (name, target)
        for name, module in house.items()
        for target in module.at_import | module.later
        if room_of(target) not in (module.room, "files") and floor.get(room_of(target), 0) >= floor.get(module.room, 99)
    )


def draw(house: dict[str, Module], output: Path) -> None:
    """The rooms on their floors, with arrows to what they import from; an arrow's width is how many imports it stands
    for."""
    import matplotlib

    matplotlib.use("svg" if output.suffix == ".svg" else "agg")
    matplotlib.rcParams["svg.hashsalt"] = "emogen"  # the same picture from the same house
    matplotlib.rcParams["svg.fonttype"] = "none"  # words as text, not as outlines: a tenth of the bytes
    from matplotlib import pyplot

    place = {
        room: ((index - (len(rooms) - 1) / 2) * 3.6, level * 1.7)
        for level, rooms in enumerate(FLOORS)
        for index, room in enumerate(rooms)
    }
    counts: Counter[tuple[str, str]] = Counter()
    for module in house.values():
        for target in module.at_import | module.later:
            if room_of(target) != module.room and "files" not in (module.room, room_of(target)):
                counts[module.room, room_of(target)] += 1
    figure, axes = pyplot.subplots(figsize=(12, 8))
    for (above, below), count in sorted(counts.items()):
        (x0, y0), (x1, y1) = place[above], place[below]
        axes.annotate(
            "",
            (x1, y1 + 0.42),
            (x0, y0 - 0.42),
            arrowprops=dict(arrowstyle="-|>", color="#5b7a99", alpha=0.55, lw=0.5 + count**0.5 / 2.2),
        )
    sizes = Counter(module.room for module in house.values())
    lines = Counter({room: sum(m.lines for m in house.values() if m.room == room) for room in sizes})
    for room, (x, y) in place.items():
        axes.add_patch(
            pyplot.Rectangle((x - 1.55, y - 0.42), 3.1, 0.84, facecolor="#f4efe6", edgecolor="#5b5146", zorder=3)
        )
        title = {"pipelines": "pipelines/", "eval": "eval/", "files": "emogen/*.py"}.get(room, room)
        axes.text(x, y + 0.17, title, ha="center", va="center", weight="bold", fontsize=11, zorder=4)
        axes.text(x, y - 0.06, ABOUT[room], ha="center", va="center", fontsize=8.5, zorder=4)
        axes.text(
            x, y - 0.27, f"{sizes[room]} files, {lines[room]:,} lines", ha="center", fontsize=7, color="#666", zorder=4
        )
    half = max(map(len, FLOORS)) / 2 * 3.6
    axes.set_xlim(-half, half)
    axes.set_ylim(-0.8, len(FLOORS) * 1.7 - 0.8)
    axes.axis("off")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, bbox_inches="tight", metadata={"Date": None} if output.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="a checkout of emogen")
    parser.add_argument("--picture", type=Path, help="write the picture there (.svg or .png)")
    args = parser.parse_args()
    house = read_house(args.root)
    rooms: dict[str, list[Module]] = defaultdict(list)
    for module in house.values():
        rooms[module.room].append(module)
    print(f"{'room':12} {'files':>5} {'lines':>6}  largest")
    for room, modules in sorted(rooms.items()):
        largest = max(modules, key=lambda m: m.lines)
        print(f"{room:12} {len(modules):5} {sum(m.lines for m in modules):6}  {largest.name} {largest.lines}")
    print(f"{'in all':12} {len(house):5} {sum(m.lines for m in house.values()):6}")
    for label, with_later in (("at import", False), ("calls included", True)):
        groups = circles(house, with_later)
        print(f"circles ({label}): {len(groups)}")
        for group in groups:
            print(f"  {' <-> '.join(group)}")
    wrong = against_the_flow(house)
    print(f"imports against the flow: {len(wrong)}")
    for name, target in wrong:
        print(f"  {name} -> {target}")
    if args.picture:
        draw(house, args.picture)
        print(args.picture)


if __name__ == "__main__":
    main()
