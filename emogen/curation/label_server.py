"""The labelling page's server: on this machine alone, a token a person, answers kept the moment they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from emogen.curation.label_page import label_page
from emogen.curation.label_store import LabelError, LabelStore
from emogen.local_server import Handler, server_of


@dataclass(frozen=True)
class Shown:
    """A clip as the page shows it.

    Args:
        path: the file.
        start, end: the span in seconds; None for the whole file.
    """

    path: Path
    start: float | None = None
    end: float | None = None

    @property
    def still(self) -> bool:
        """Whether a browser shows the file as a picture (animated ones included)."""
        return self.path.suffix.lower() in (".gif", ".webp", ".png", ".apng", ".jpg", ".jpeg")


def serve(
    store: LabelStore, clips: Mapping[str, Shown], port: int = 7861, host: str = "127.0.0.1"
) -> ThreadingHTTPServer:
    """A server of the labelling page (see `emogen.local_server.server_of`).

    Args:
        clips: clip -> what to show. Nothing else is ever sent.
        port: 0 takes a free one.
    """
    return server_of(_Handler, port, host, store=store, clips=clips, page=label_page().encode())


class _Handler(Handler):
    store: LabelStore
    clips: Mapping[str, Shown]
    page: bytes

    def answer(self, path: str, token: str, body: Mapping[str, Any]) -> None:
        annotator = self.store.annotator(token)
        if annotator is None:
            return self.send_json({"error": "the address lacks a valid token; open the one you were given"}, 403)
        if path == "/" and self.command == "GET":
            return self.send_page(self.page)
        if path.startswith("/media/") and self.command == "GET":
            shown = self.clips.get(path.removeprefix("/media/"))
            return self.send_clip(shown and shown.path)
        try:
            if path == "/api/vote" and self.command == "POST":
                self._vote(annotator, body)
            elif path == "/api/undo" and self.command == "POST":
                self.store.undo(annotator)
            elif not (path == "/api/next" and self.command == "GET"):
                return self.send_json({"error": "there is no such page"}, HTTPStatus.NOT_FOUND)
        except LabelError as error:
            return self.send_json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        return self.send_json({"offer": self._offer(annotator), "progress": self.store.progress(annotator)})

    def _vote(self, annotator: str, body: Mapping[str, Any]) -> None:
        clip, emotion, number, seconds = (body.get(name) for name in ("clip_id", "emotion", "round", "seconds"))
        if not isinstance(clip, str) or not isinstance(emotion, str) or type(number) is not int:
            raise LabelError("an answer holds clip_id, emotion and round")
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float))):
            raise LabelError("seconds is a number")
        self.store.vote(annotator, clip, emotion, number, seconds)

    def _offer(self, annotator: str) -> dict[str, Any] | None:
        offer = self.store.offer(annotator)
        if offer is None:
            return None
        shown = self.clips.get(offer.clip_id)
        start, end = (shown.start or 0.0, shown.end) if shown else (0.0, None)
        span = f"#t={start:.3f},{end:.3f}" if end is not None else ""
        return {
            "clip_id": offer.clip_id, "round": offer.round, "still": bool(shown and shown.still),
            "start": start, "end": end, "span": span,
        }  # fmt: skip
