"""A study on this machine: every voter an address of their own, votes kept the moment they are given.

`STUDY.votes/` beside the study holds `voters.json` (codes, tokens, and which questions each is asked) and for each
voter a file as the page would download it, which `emogen study read` takes.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from emogen.emotion import MIKELS
from emogen.eval.study.build import STUDY_FILE
from emogen.eval.study.votes import PAIR_ANSWERS
from emogen.files import write_json
from emogen.local_server import Handler, server_of
from emogen.settings import ConfigError
from emogen.settings.json_file import read_checked_json

_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that is taken for another
_CODE = 6


class StudyError(ValueError):
    """A request that means nothing; the message says why."""


class _Question(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    id: Annotated[str, Field(min_length=1)]
    kind: Literal["pair", "name"]


class _Study(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    study: str
    questions: Annotated[list[_Question], Field(min_length=1)]


class _Voter(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    token: Annotated[str, Field(min_length=8)]
    order: list[Annotated[list[str | bool], Field(min_length=2, max_length=2)]] | None = None


class _Voters(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    study: str
    voters: dict[str, _Voter]


class Votes:
    """The votes of a study that is served, in files.

    Args:
        study: the folder that `emogen study build` made.
        folder: where votes go; None is `STUDY.votes` beside it.
        most: questions that one voter is asked; None asks all.

    Raises:
        ConfigError: the folder holds no study, or the votes are another study's.
    """

    def __init__(self, study: Path, folder: Path | None = None, most: int | None = None):
        if not (study / STUDY_FILE).is_file():
            raise ConfigError(f"{study}: no study there ({STUDY_FILE} is missing); `emogen study build` makes one")
        data = read_checked_json(study / STUDY_FILE, _Study, "study")
        self.study, self.questions = data["study"], {q["id"]: q for q in data["questions"]}
        self.folder = folder or study.with_name(f"{study.name}.votes")
        self.most = len(self.questions) if most is None else most
        if not 1 <= self.most <= len(self.questions):
            raise ConfigError(f"--questions is {most}; the study has {len(self.questions)}")
        self._lock = threading.Lock()
        self._file = self.folder / "voters.json"
        self._voters: dict[str, dict[str, Any]] = {}
        if self._file.is_file():
            known = read_checked_json(self._file, _Voters, "voters of a study")
            if known["study"] != self.study:
                raise ConfigError(f"{self._file}: belongs to study {known['study']}; give another folder with --votes")
            self._voters = known["voters"]

    def invite(self, count: int) -> dict[str, str]:
        """Have at least so many voters. Returns the token of each code, those of before included."""
        with self._lock:
            while len(self._voters) < count:
                code = "".join(secrets.choice(_LETTERS) for _ in range(_CODE))
                self._voters.setdefault(code, {"token": secrets.token_urlsafe(18), "order": None})
            self._keep_voters()
            return {code: about["token"] for code, about in self._voters.items()}

    def voter(self, token: str) -> str | None:
        """The code of who holds a token."""
        given = token.encode(errors="replace")
        for code, about in self._voters.items():
            if secrets.compare_digest(about["token"].encode(), given):
                return code
        return None

    def state(self, code: str) -> dict[str, Any]:
        """What the page shows a voter: their questions in order, and what they have answered."""
        with self._lock:
            about = self._voters[code]
            if about["order"] is None:
                about["order"] = self._dealt(code)
                self._keep_voters()
            return {**self._read(code), "order": about["order"]}

    def begin(self, code: str, consent: Any) -> None:
        """Note that a voter agrees.

        Raises:
            StudyError: they do not.
        """
        if consent is not True:
            raise StudyError("nobody takes part who does not agree")
        with self._lock:
            self._write(code, {**self._read(code), "consent": datetime.now(timezone.utc).isoformat("T", "seconds")})

    def vote(self, code: str, question: Any, answer: Any, seconds: Any) -> None:
        """Keep an answer; a second one to the same question replaces the first.

        Args:
            answer: in the terms of the key, whichever way round the voter saw the pair.

        Raises:
            StudyError: the voter has not agreed, is not asked this, or the answer means nothing.
        """
        with self._lock:
            state = self._read(code)
            if not state.get("consent"):
                raise StudyError("agree to take part first: load this page again")
            if question not in [asked for asked, _ in self._voters[code]["order"] or []]:
                raise StudyError("you are not asked this question")
            if answer not in (PAIR_ANSWERS if self.questions[question]["kind"] == "pair" else MIKELS):
                raise StudyError(f"{str(answer)[:40]!r} is no answer to this question")
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e6:
                raise StudyError("seconds is a number from 0")
            number = 1 + max((vote["n"] for vote in state["votes"].values()), default=0)
            state["votes"][question] = {"answer": answer, "seconds": seconds, "n": number}
            self._write(code, state)

    def undo(self, code: str, question: Any) -> None:
        """Take an answer back."""
        with self._lock:
            state = self._read(code)
            if isinstance(question, str):
                state["votes"].pop(question, None)
            self._write(code, state)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Code -> answers given and asked for, of those who have begun."""
        return {code: (len(self._read(code)["votes"]), len(about["order"])) for code, about in self._voters.items()
                if about["order"] is not None}  # fmt: skip

    def _dealt(self, code: str) -> list[list[Any]]:
        """The questions that have been dealt out least, in an order of this voter's own; each pair the other way round
        than the time before, so that over all voters both sides show each system equally often."""
        times = dict.fromkeys(self.questions, 0)
        for about in self._voters.values():
            for question, _ in about["order"] or []:
                times[question] += 1
        chance = random.Random(f"{self.study}/{code}")
        drawn = list(self.questions)
        chance.shuffle(drawn)
        dealt = sorted(drawn, key=lambda question: times[question])[: self.most]
        chance.shuffle(dealt)
        return [[question, times[question] % 2 == 1] for question in dealt]

    def _path(self, code: str) -> Path:
        return self.folder / f"votes-{code}.json"

    def _read(self, code: str) -> dict[str, Any]:
        path = self._path(code)
        if not path.is_file():
            return {"study": self.study, "voter": code, "votes": {}}
        return read_checked_json(path, _Kept, "votes")

    def _write(self, code: str, state: Mapping[str, Any]) -> None:
        write_json(self._path(code), state, 1)

    def _keep_voters(self) -> None:
        write_json(self._file, {"study": self.study, "voters": self._voters}, 1)


class _Vote(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    answer: str
    seconds: float
    n: int


class _Kept(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    study: str
    voter: str
    votes: dict[str, _Vote]


def serve_study(votes: Votes, study: Path, port: int = 7862, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """A server of a study's page and clips, for those who hold a token (see `emogen.local_server.server_of`)."""
    clips = {path.name: path for path in (study / "clips").iterdir()}
    return server_of(_Handler, port, host, votes=votes, page=(study / "index.html").read_bytes(), clips=clips)


def addresses(tokens: Mapping[str, str], host: str, port: int) -> Sequence[str]:
    """A line a voter: the code and the address."""
    return [f"{code}: http://{host}:{port}/?token={token}" for code, token in tokens.items()]


class _Handler(Handler):
    votes: Votes
    page: bytes
    clips: Mapping[str, Path]

    def answer(self, path: str, token: str, body: Mapping[str, Any]) -> None:
        code = self.votes.voter(token)
        if code is None:
            return self.send_json({"error": "the address lacks a valid token; open the one you were given"}, 403)
        if path.startswith("/clips/") and self.command == "GET":
            return self.send_clip(self.clips.get(path.removeprefix("/clips/")))
        if path == "/" and self.command == "GET":
            return self.send_page(self.page)
        try:
            if path == "/api/study" and self.command == "GET":
                return self.send_json(self.votes.state(code))
            if path == "/api/begin" and self.command == "POST":
                self.votes.begin(code, body.get("consent"))
            elif path == "/api/vote" and self.command == "POST":
                self.votes.vote(code, body.get("id"), body.get("answer"), body.get("seconds"))
            elif path == "/api/undo" and self.command == "POST":
                self.votes.undo(code, body.get("id"))
            else:
                return self.send_json({"error": "there is no such page"}, HTTPStatus.NOT_FOUND)
        except StudyError as error:
            return self.send_json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        return self.send_json({"kept": True})
