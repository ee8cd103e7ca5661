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
from xml.sax.saxutils import escape

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
    wide, high, step, floor = 172, 46, 200, 94  # of a room, and from one to the next
    across, below = max(map(len, FLOORS)) * step, len(FLOORS) * floor
    place = {
        room: (across / 2 + (index - (len(rooms) - 1) / 2) * step, below - (level + 0.5) * floor)
        for level, rooms in enumerate(FLOORS)
        for index, room in enumerate(rooms)
    }
    counts: Counter[tuple[str, str]] = Counter()
    for module in house.values():
        for target in module.at_import | module.later:
            if room_of(target) != module.room and "files" not in (module.room, room_of(target)):
                counts[module.room, room_of(target)] += 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {below}" text-anchor="middle" '
        'font-family="DejaVu Sans, Verdana, sans-serif">',
        f'<rect width="{across}" height="{below}" fill="#fff"/><defs><marker id="tip" viewBox="0 0 8 8" refX="7" '
        'refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#5b7a99"/></marker></defs><g stroke="#5b7a99" stroke-opacity=".55">',
    ]
    for (above, under), count in sorted(counts.items()):
        (x0, y0), (x1, y1) = place[above], place[under]
        ends = f'x1="{x0:.0f}" y1="{y0 + high / 2:.0f}" x2="{x1:.0f}" y2="{y1 - high / 2:.0f}"'
        parts.append(f'<line {ends} stroke-width="{0.5 + count**0.5 / 2.2:.1f}" marker-end="url(#tip)"/>')
    parts.append('</g><g font-size="10.5">')
    sizes = Counter(module.room for module in house.values())
    lines = Counter({room: sum(m.lines for m in house.values() if m.room == room) for room in sizes})
    for room, (x, y) in place.items():
        title = {"pipelines": "pipelines/", "eval": "eval/", "files": "emogen/*.py"}.get(room, room)
        box = f'x="{x - wide / 2:.0f}" y="{y - high / 2:.0f}" width="{wide}" height="{high}"'
        parts += [
            f'<rect {box} fill="#f4efe6" stroke="#5b5146"/>',
            f'<text x="{x:.0f}" y="{y - 7:.0f}" font-weight="bold" font-size="13">{title}</text>',
            f'<text x="{x:.0f}" y="{y + 7:.0f}">{escape(ABOUT[room])}</text>',
            f'<text x="{x:.0f}" y="{y + 18:.0f}" font-size="9" fill="#666">{sizes[room]} files, '
            f"{lines[room]:,} lines</text>",
        ]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join([*parts, "</g></svg>"]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="a checkout of emogen")
    parser.add_argument("--picture", type=Path, help="write the picture there, as SVG")
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
