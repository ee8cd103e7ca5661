"""Two hundred broken or odd files: each becomes a row, read or failed with the reason; nothing is written elsewhere."""

import numpy as np
import pyarrow.parquet as parquet

from emogen.commands.data import main
from emogen.media import write_video

NAMES = ("whole.mp4", "alpha.webp", "little.gif", "one.png")


def broken(content, number, rng):
    """Cut off, emptied, with bytes changed, with another beginning, or with zeros in the middle."""
    way = number % 5
    if way == 0:
        return content[: rng.integers(0, len(content))]
    if way == 1:
        return b"" if number % 2 else b"\0" * 500
    changed = bytearray(content)
    if way == 2:
        for place in rng.integers(0, len(changed), 20):
            changed[place] = rng.integers(256)
    elif way == 3:
        changed[:16] = rng.bytes(16)
    else:
        changed[len(changed) // 3 : len(changed) // 2] = bytes(len(changed) // 2 - len(changed) // 3)
    return bytes(changed)


def test_two_hundred_broken_inputs(tmp_path):
    films = tmp_path / "films"
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 256, (8, 3, 4, 4), np.uint8), 12, 1).repeat(12, 2)
    for name in NAMES:
        write_video(films / name, frames if name.endswith((".webp", ".png")) else frames[..., :3], 8)
    whole = {name: (films / name).read_bytes() for name in NAMES}
    for number in range(200 - len(NAMES)):
        name = NAMES[number % len(NAMES)]
        odd = ("ünïcode ", "it's; ", "-x", "")[number % 3]
        (films / f"{odd}{number}{name[-5:]}").write_bytes(broken(whole[name], number, rng))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 200
    out = tmp_path / "set"
    assert main(["ingest", str(films), "--output_dir", str(out), "--workers", "2", "--quiet"]) == 3
    assert main(["scenes", str(out), "--detector", "none", "--workers", "0", "--quiet"]) == 0
    assert main(["attributes", str(out), "--workers", "2", "--quiet"]) in (0, 3)
    rows = parquet.read_table(out / "clips.parquet").to_pylist()
    assert {row["source_path"] for row in rows} == {path.relative_to(films).as_posix() for path in before}
    assert len(rows) == 200 and all(row["error"] or row["clip_id"] for row in rows)
    failed = [row["error"] for row in rows if row["error"]]
    assert 60 < len(failed) < 190 and not any("Error:" in why and "Traceback" in why for why in failed)
    assert all(next(row for row in rows if row["source_path"] == name)["error"] is None for name in NAMES)
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(out)}
    assert after == before
