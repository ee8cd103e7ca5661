"""A small web server for pages that people answer on this machine: JSON in and out, clips by ranges, nothing else.

What labelling and studies share. A page is one file, and who asks shows a token in the address, so that no other page
that is open in the same browser can answer in somebody's name.
"""

from __future__ import annotations

import json
import mimetypes
import re
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_LARGEST = 64 * 1024  # of a request's body
_CHUNK = 256 * 1024
_LOCAL = "127.0.0.1"


class Handler(BaseHTTPRequestHandler):
    """Answers a request by `answer`; refuses other sites' requests, large bodies and what is no JSON object."""

    protocol_version = "HTTP/1.1"

    def answer(self, path: str, token: str, body: Mapping[str, Any]) -> None:
        """Answer one request by `send_json`, `send_page` or `send_clip`.

        Args:
            path: of the address, unquoted.
            token: of the address, "" where there is none.
            body: of a POST; empty for a GET. `self.command` says which it is.
        """
        raise NotImplementedError

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LARGEST:
            self.close_connection = True
            return self.send_json({"error": "the request is too large"}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            body = json.loads(self.rfile.read(int(length)))
            if not isinstance(body, dict):
                raise ValueError
        except (ValueError, RecursionError):
            return self.send_json({"error": "the request is no JSON object"}, HTTPStatus.BAD_REQUEST)
        return self._answer(body)

    def _answer(self, body: Mapping[str, Any]) -> None:
        address = urlsplit(self.path)
        # A page of another site may make a browser ask this server by a name of its own; such a request is refused.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if self.server.server_address[0] == _LOCAL and host not in (_LOCAL, "localhost", "[::1]"):
            return self.send_json({"error": "this page is served on this machine alone"}, HTTPStatus.FORBIDDEN)
        self.answer(unquote(address.path), parse_qs(address.query).get("token", [""])[0], body)

    def send_json(self, value: Any, status: int = HTTPStatus.OK) -> None:
        """A value as JSON."""
        self._send(json.dumps(value).encode(), "application/json", status)

    def send_page(self, page: bytes) -> None:
        """An HTML page."""
        self._send(page, "text/html; charset=utf-8")

    def send_clip(self, path: Path | None) -> None:
        """A file, or the part of it that is asked for; "not found" for None and for what is no file."""
        if path is None or not path.is_file():
            return self.send_json({"error": "there is no such clip"}, HTTPStatus.NOT_FOUND)
        size = path.stat().st_size
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
        self.send_header("Content-Type", mimetypes.guess_type(path.name)[0] or "application/octet-stream")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        if status == HTTPStatus.PARTIAL_CONTENT:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self._safe_headers()
        self.end_headers()
        with open(path, "rb") as file:
            file.seek(first)
            left = last - first + 1
            try:
                while left and (chunk := file.read(min(_CHUNK, left))):
                    self.wfile.write(chunk)
                    left -= len(chunk)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the page went on to another clip

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


def server_of(handler: type[Handler], port: int, host: str = _LOCAL, **attributes: Any) -> ThreadingHTTPServer:
    """A server that answers in threads of its own, begun with `serve_forever`. `server_address` holds its port.

    Args:
        port: 0 takes a free one.
        attributes: what the handler answers from, as attributes of its class.

    Raises:
        OSError: the port is taken.
    """
    server = ThreadingHTTPServer((host, port), type(handler.__name__, (handler,), attributes))
    server.daemon_threads = True
    return server


def serve_in_background(server: ThreadingHTTPServer) -> threading.Thread:
    """Begin to answer, and return; end it with `server.shutdown()`."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    return thread
