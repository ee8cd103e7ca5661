"""Who has said what of which clip, in an SQLite file that several annotators write at once.

Every clip is offered to `annotators` people, each blind to the others. A clip that a person has begun is kept for that
person for a while, so that two do not fill the same last place. Now and then a person sees an earlier clip again
(`repeat_every`): the second answer measures how far one agrees with oneself and never counts as a vote.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emogen.curation.labels import ANSWERS, UNSURE
from emogen.files import fingerprint_bytes

_KEPT = 600.0  # seconds that a clip on somebody's page is kept for them
_SCHEMA = """
CREATE TABLE IF NOT EXISTS annotators (name TEXT PRIMARY KEY, token TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS items (clip_id TEXT PRIMARY KEY, place INTEGER NOT NULL, audit INTEGER NOT NULL, gold TEXT);
CREATE TABLE IF NOT EXISTS votes (id INTEGER PRIMARY KEY, clip_id TEXT NOT NULL, annotator TEXT NOT NULL,
    emotion TEXT NOT NULL, round INTEGER NOT NULL, seconds REAL, at REAL NOT NULL,
    UNIQUE (clip_id, annotator, round));
CREATE TABLE IF NOT EXISTS kept (clip_id TEXT NOT NULL, annotator TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (clip_id, annotator));
"""


class LabelError(ValueError):
    """An answer or a request that means nothing."""


@dataclass(frozen=True)
class Plan:
    """How clips are offered.

    Args:
        annotators: people a clip.
        repeat_every: after so many answers a person sees an earlier clip again; 0 for never.
        audit_share: share of the clips that are drawn at random, strewn among the others and marked, so that rates can
            be estimated for all clips and not only for the difficult ones.
    """

    annotators: int = 3
    repeat_every: int = 20
    audit_share: float = 0.1


@dataclass(frozen=True)
class Offer:
    """What a person is to look at: a clip, and which time it is (2 for a repetition)."""

    clip_id: str
    round: int


class LabelStore:
    """The votes of a labelling, in a file.

    Args:
        path: of the SQLite file, made if it is missing.
    """

    def __init__(self, path: str | Path, plan: Plan | None = None):
        self.path, self.plan = Path(path), plan or Plan()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as base:
            base.executescript("PRAGMA journal_mode=WAL;" + _SCHEMA)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        base = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            base.execute("BEGIN IMMEDIATE")
            yield base
            if base.in_transaction:
                base.execute("COMMIT")
        finally:
            base.close()

    def add_items(self, clips: Sequence[str], gold: Mapping[str, str] | None = None) -> int:
        """Clips to be labelled, the most useful first; known ones keep their place. Returns how many are new.

        Args:
            gold: clip -> what it certainly shows, to measure annotators by.
        """
        gold = gold or {}
        share = self.plan.audit_share
        audit = {clip for clip in clips if _chance(clip) < share}
        # the audited ones are strewn evenly among the others, so that they are answered even if work ends early
        rest, drawn = [c for c in clips if c not in audit], sorted(audit, key=_chance)
        order: list[str] = []
        for number, clip in enumerate(rest):
            order.append(clip)
            while drawn and len(audit) - len(drawn) < (number + 1) * len(audit) / max(len(rest), 1):
                order.append(drawn.pop())
        with self._open() as base:
            first = base.execute("SELECT COALESCE(MAX(place) + 1, 0) FROM items").fetchone()[0]
            before = base.total_changes
            base.executemany(
                "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?)",
                [(c, first + n, c in audit, gold.get(c)) for n, c in enumerate([*order, *drawn])],
            )
            return base.total_changes - before

    def token_of(self, name: str) -> str:
        """The person's token, which their address holds; made when first asked for."""
        name = name.strip()
        if not name or len(name) > 100:
            raise LabelError(f"{name!r} is no annotator's name")
        with self._open() as base:
            base.execute("INSERT OR IGNORE INTO annotators VALUES (?, ?)", (name, secrets.token_urlsafe(18)))
            return base.execute("SELECT token FROM annotators WHERE name = ?", (name,)).fetchone()[0]

    def annotator(self, token: str) -> str | None:
        """Whose token it is."""
        with self._open() as base:
            for name, known in base.execute("SELECT name, token FROM annotators"):
                if secrets.compare_digest(known.encode(), token.encode(errors="replace")):
                    return name
        return None

    def offer(self, annotator: str) -> Offer | None:
        """The next clip for a person, or None when there is nothing left for them."""
        now = time.time()
        with self._open() as base:
            base.execute("DELETE FROM kept WHERE until < ?", (now,))
            kept = base.execute("SELECT clip_id FROM kept WHERE annotator = ?", (annotator,)).fetchone()
            if kept:
                return Offer(kept[0], 1)
            repeat = self._repetition(base, annotator)
            if repeat is not None:
                return Offer(repeat, 2)
            row = base.execute(
                """SELECT i.clip_id FROM items i
                WHERE NOT EXISTS (SELECT 1 FROM votes v WHERE v.clip_id = i.clip_id AND v.annotator = :me)
                AND (SELECT COUNT(*) FROM votes v WHERE v.clip_id = i.clip_id AND v.round = 1 AND v.emotion != :unsure)
                  + (SELECT COUNT(*) FROM kept k WHERE k.clip_id = i.clip_id) < :many
                ORDER BY i.place LIMIT 1""",
                {"me": annotator, "many": self.plan.annotators, "unsure": UNSURE},
            ).fetchone()
            if row is None:
                return None
            base.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (row[0], annotator, now + _KEPT))
            return Offer(row[0], 1)

    def _repetition(self, base: sqlite3.Connection, annotator: str) -> str | None:
        every = self.plan.repeat_every
        if not every:
            return None
        first, second = base.execute(
            "SELECT COALESCE(SUM(round = 1), 0), COALESCE(SUM(round = 2), 0) FROM votes WHERE annotator = ?",
            (annotator,),
        ).fetchone()
        if first // every <= second:
            return None
        row = base.execute(  # the longest ago, so that the answer is not remembered
            """SELECT clip_id FROM votes v WHERE annotator = ? AND round = 1 AND emotion != ? AND NOT EXISTS
            (SELECT 1 FROM votes w WHERE w.clip_id = v.clip_id AND w.annotator = v.annotator AND w.round = 2)
            ORDER BY id LIMIT 1""",
            (annotator, UNSURE),
        ).fetchone()
        return row[0] if row else None

    def vote(self, annotator: str, clip_id: str, emotion: str, round: int = 1, seconds: float | None = None) -> None:
        """Keep an answer. A second answer of the same round replaces the first.

        Raises:
            LabelError: no such clip, or no such answer.
        """
        if emotion not in (*ANSWERS, UNSURE):
            raise LabelError(f"{emotion!r} is no answer; use {', '.join(ANSWERS)} or {UNSURE}")
        if round not in (1, 2) or (seconds is not None and not 0 <= seconds < 1e6):
            raise LabelError("an answer's round is 1 or 2, and its seconds are positive")
        with self._open() as base:
            if base.execute("SELECT 1 FROM items WHERE clip_id = ?", (clip_id,)).fetchone() is None:
                raise LabelError(f"there is no clip {clip_id!r}")
            base.execute(
                "INSERT OR REPLACE INTO votes (clip_id, annotator, emotion, round, seconds, at) VALUES (?,?,?,?,?,?)",
                (clip_id, annotator, emotion, round, seconds, time.time()),
            )
            base.execute("DELETE FROM kept WHERE clip_id = ? AND annotator = ?", (clip_id, annotator))

    def undo(self, annotator: str) -> str | None:
        """Take the person's newest answer back, and keep its clip for them. Returns the clip."""
        with self._open() as base:
            row = base.execute(
                "SELECT id, clip_id, round FROM votes WHERE annotator = ? ORDER BY id DESC LIMIT 1", (annotator,)
            ).fetchone()
            if row is None:
                return None
            base.execute("DELETE FROM votes WHERE id = ?", (row[0],))
            base.execute("DELETE FROM kept WHERE annotator = ?", (annotator,))
            if row[2] == 1:
                base.execute("INSERT INTO kept VALUES (?, ?, ?)", (row[1], annotator, time.time() + _KEPT))
            return row[1]

    def progress(self, annotator: str) -> dict[str, int]:
        """`mine`: the person's answers; `left`: clips that still wait for them; `done`, `all`: clips with all answers,
        and clips."""
        many = self.plan.annotators
        counted = "(SELECT COUNT(*) FROM votes v WHERE v.clip_id = i.clip_id AND v.round = 1 AND v.emotion != 'unsure')"
        with self._open() as base:
            mine = base.execute("SELECT COUNT(*) FROM votes WHERE annotator = ?", (annotator,)).fetchone()[0]
            total = base.execute("SELECT COUNT(*) FROM items").fetchone()[0]
            done = base.execute(f"SELECT COUNT(*) FROM items i WHERE {counted} >= ?", (many,)).fetchone()[0]
            left = base.execute(
                f"""SELECT COUNT(*) FROM items i WHERE {counted} < ? AND NOT EXISTS
                (SELECT 1 FROM votes v WHERE v.clip_id = i.clip_id AND v.annotator = ?)""",
                (many, annotator),
            ).fetchone()[0]
        return {"mine": mine, "left": left, "done": done, "all": total}

    def votes(self) -> list[dict[str, Any]]:
        """Every answer, a row each: `clip_id, annotator, emotion, round, seconds, when, audit, gold`."""
        with self._open() as base:
            rows = base.execute(
                """SELECT v.clip_id, v.annotator, v.emotion, v.round, v.seconds, v.at, i.audit, i.gold
                FROM votes v JOIN items i USING (clip_id) ORDER BY v.id"""
            ).fetchall()
        names = ("clip_id", "annotator", "emotion", "round", "seconds", "when", "audit", "gold")
        return [dict(zip(names, row, strict=True)) | {"audit": bool(row[6])} for row in rows]


def offered_first(scores: Mapping[str, float], clips: Iterable[str]) -> list[str]:
    """Clips in the order of use: where judges disagree most (the highest score) first, unknown ones after them."""
    return sorted(clips, key=lambda clip: (-scores.get(clip, -1.0), _chance(clip)))


def _chance(clip: str) -> float:
    """A number in [0, 1) that depends on the clip alone."""
    return int(fingerprint_bytes(clip.encode())[:12], 16) / 16**12
