"""What happens to files, words and tables before somebody gives them to a program (for bad_inputs.py)."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
ODD = [
    "", " ", "nan", "inf", "-inf", "1e30", "1e400", "-1", "0", "2**70", str(2**70), "9" * 400, "null", "true", "yes",
    "[]", "{}", "\u2028", "\ud800", "\x00", "../x", "/etc/passwd", "C:\\x", "a" * 5000, "'", '"', "\t", "é", "💙",
    "<script>", "${HOME}", "%s", "{0}", "*", "-", "--", "2025-11-24", "12:30", "1_000", "0x10", "1e3", "~", "on",
]  # fmt: skip


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file's bytes after what happens to files: cut, overwritten, repeated, emptied, or nothing."""
    size = len(content)

    def overwritten() -> bytes:
        at, length = rng.randrange(size), rng.randrange(1, max(2, size // 4))
        return content[:at] + rng.randbytes(length) + content[at + length :]

    ways: list[Callable[[], bytes]] = [
        lambda: content[: rng.randrange(size)],
        overwritten,
        lambda: bytes(b ^ (rng.random() < 0.01) * rng.randrange(256) for b in content),
        lambda: content + content,
        lambda: rng.randbytes(rng.randrange(1, 400)),
        lambda: b"",
        lambda: content[size // 2 :],
        lambda: b"\xff\xfe" + content,
        lambda: content,
    ]
    return rng.choice(ways)()


def damaged_text(text: str, rng: random.Random) -> str:
    ways: list[Callable[[], str]] = [
        lambda: text.replace(rng.choice(text), rng.choice(ODD), 1),
        lambda: text + rng.choice(ODD),
        lambda: rng.choice(ODD) + text,
        lambda: rng.choice(ODD),
        lambda: "".join(rng.sample(text, len(text))),
        lambda: text + "+" + text,
        lambda: text * rng.choice([2, 50]),
        lambda: "".join(rng.choice(string.printable) for _ in range(rng.randrange(30))),
        lambda: text.upper(),
    ]
    return rng.choice(ways)()


def write_table(
    rng: random.Random, here: Path, name: str, columns: list[str], row: list[str], json_lines: float = 0.5
) -> Path:
    """A table of three rows in some form and encoding, with some cells replaced."""
    rows = [[cell.replace("#", str(number)) for cell in row] for number in range(3)]
    for _ in range(rng.choice([0, 0, 1, 2])):
        rows[rng.randrange(3)][rng.randrange(len(row))] = rng.choice(ODD)
    if rng.random() < 0.2:
        columns = [*columns]
        columns[rng.randrange(len(columns))] = rng.choice([*ODD, columns[0]])
    if rng.random() < json_lines:
        path = here / f"{name}.jsonl"
        typed = [
            {
                c: rng.choice([5, None, [v], {"a": v}, True, 1e400]) if rng.random() < 0.03 else v
                for c, v in zip(columns, r, strict=True)
            }
            for r in rows
        ]
        text = "".join(json.dumps(values, ensure_ascii=rng.random() < 0.5) + "\n" for values in typed)
    else:
        path = here / f"{name}.csv"
        mark, end = rng.choice([",", ";", "\t", ", "]), rng.choice(["\n", "\r\n", "\r"])
        text = end.join(mark.join(cells) for cells in [columns, *rows]) + rng.choice(
            [end, end, "", '"', f"{mark}x{end}"]
        )
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32"])
    content = text.encode(encoding, errors="replace" if encoding == "latin-1" else "surrogatepass")
    path.write_bytes(damaged(content, rng) if rng.random() < 0.15 else content)
    return path


def configs(folder: str, without: str = "\n") -> list[Path]:
    return sorted(path for path in (ROOT / folder).glob("*.yaml") if without not in path.name)


def damaged_yaml(rng: random.Random, here: Path, source: Path) -> Path:
    lines = source.read_text(encoding="utf-8").splitlines()
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(lines))
        key, _, value = lines[at].partition(":")
        odd = rng.choice(ODD)
        lines[at] = rng.choice(
            [f"{key}: {odd}", f"{key}{odd}:{value}", key, f"{key}: [{odd}, 1]", f"{key}: {{a: {odd}}}", lines[at] * 2,
             "  " + lines[at], f"{key}: &a [*a]", f"<<: {value}", "", f"{key}: !!python/object:x", f"{key}: '{odd}"]
        )  # fmt: skip
    path = here / source.name
    content = "\n".join(lines).encode(errors="surrogatepass")
    path.write_bytes(damaged(content, rng) if rng.random() < 0.1 else content)
    return path
