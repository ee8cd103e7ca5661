"""The labelling page's server: on this machine alone, a token a person, answers kept the moment they are given."""

from __future__ import annotations

import json
import mimetypes
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from emogen.curation.label_page import label_page
from emogen.curation.label_store import LabelError, LabelStore

_LARGEST = 64 * 1024  # of a request's body
_CHUNK = 256 * 1024


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
    """A server that answers in threads of its own, begun with `serve_forever`. `server_address` holds its port.

    Args:
        clips: clip -> what to show. Nothing else is ever sent.
        port: 0 takes a free one.
    """
    handler = type("Handler", (_Handler,), {"store": store, "clips": clips, "page": label_page().encode()})
    server = ThreadingHTTPServer((host, port), handler)
    server.daemon_threads = True
    return server


def serve_in_background(server: ThreadingHTTPServer) -> threading.Thread:
    """Begin to answer, and return; end it with `server.shutdown()`."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    return thread


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: LabelStore
    clips: Mapping[str, Shown]
    page: bytes

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LARGEST:
            self.close_connection = True
            return self._json({"error": "the request is too large"}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            body = json.loads(self.rfile.read(int(length)))
            if not isinstance(body, dict):
                raise ValueError
        except ValueError:
            return self._json({"error": "the request is no JSON object"}, HTTPStatus.BAD_REQUEST)
        return self._answer(body)

    def _answer(self, body: dict[str, Any]) -> None:
        address = urlsplit(self.path)
        # A page of another site may make a browser ask this server by a name of its own; such a request is refused.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if self.server.server_address[0] == "127.0.0.1" and host not in ("127.0.0.1", "localhost", "[::1]"):
            return self._json({"error": "this page is served on this machine alone"}, HTTPStatus.FORBIDDEN)
        token = parse_qs(address.query).get("token", [""])[0]
        annotator = self.store.annotator(token)
        if annotator is None:
            return self._json({"error": "the address lacks a valid token; open the one you were given"}, 403)
        if address.path == "/" and self.command == "GET":
            return self._send(self.page, "text/html; charset=utf-8")
        if address.path.startswith("/media/") and self.command == "GET":
            return self._media(unquote(address.path.removeprefix("/media/")))
        try:
            if address.path == "/api/vote" and self.command == "POST":
                self._vote(annotator, body)
            elif address.path == "/api/undo" and self.command == "POST":
                self.store.undo(annotator)
            elif not (address.path == "/api/next" and self.command == "GET"):
                return self._json({"error": "there is no such page"}, HTTPStatus.NOT_FOUND)
        except LabelError as error:
            return self._json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        return self._json({"offer": self._offer(annotator), "progress": self.store.progress(annotator)})

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

    def _media(self, clip_id: str) -> None:
        shown = self.clips.get(clip_id)
        if shown is None or not shown.path.is_file():
            return self._json({"error": "there is no such clip"}, HTTPStatus.NOT_FOUND)
        size = shown.path.stat().st_size
        first, last, status = 0, size - 1, HTTPStatus.OK
        asked = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", self.headers.get("Range", ""))
        if asked and any(asked.groups()):
            if asked[1]:
                first, last = int(asked[1]), min(int(asked[2] or last), last)
            else:
                first = max(0, size - int(asked[2]))
            if first > last:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            status = HTTPStatus.PARTIAL_CONTENT
        self.send_response(status)
        self.send_header("Content-Type", mimetypes.guess_type(shown.path.name)[0] or "application/octet-stream")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        if status == HTTPStatus.PARTIAL_CONTENT:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self._safe_headers()
        self.end_headers()
        with open(shown.path, "rb") as file:
            file.seek(first)
            left = last - first + 1
            try:
                while left and (chunk := file.read(min(_CHUNK, left))):
                    self.wfile.write(chunk)
                    left -= len(chunk)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the page went on to another clip

    def _json(self, value: Any, status: int = HTTPStatus.OK) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _send(self, content: bytes, kind: str, status: int = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self._safe_headers()
        self.end_headers()
        self.wfile.write(content)

    def _safe_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")  # the address holds the token

    def log_message(self, *args: Any) -> None:
        """Nothing: addresses hold tokens."""
