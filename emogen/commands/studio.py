"""`emogen studio`: the local page."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from emogen.extras import how_to_install
from emogen.failure import fail
from emogen.settings.device import check_device

PASSWORD = "EMOGEN_STUDIO_PASSWORD"
_SHORTEST = 8
LOCAL = ("127.0.0.1", "localhost", "::1")


def build_parser() -> argparse.ArgumentParser:
    """The options of `emogen studio`."""
    parser = argparse.ArgumentParser(
        prog="emogen studio",
        allow_abbrev=False,
        description="Open a page on this machine to make clips with emotions and see how a judge reads them.",
    )
    parser.add_argument("--model", help="folder or hub id of a Wan2.1 text-to-video model (default: the embedded one)")
    parser.add_argument(
        "--adapter",
        help='folder or hub id of its emotion adapter, or "none" (default: the embedded '
        "one with the embedded model, else none)",
    )
    parser.add_argument("--image_model", help="the same for image to video")
    parser.add_argument("--image_adapter", help="the same for image to video")
    parser.add_argument(
        "--judge",
        metavar="FOLDER",
        help="folder of a judge that reads every clip (default: the embedded judge, for clips of embedded models only)",
    )
    parser.add_argument("--device", help="cuda, mps, cpu (default: the best there is)")
    parser.add_argument("--output_dir", metavar="DIR", default="outputs/studio", help="where clips go")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; anything but the default lets other machines in, and asks them for a password "
        f"(${PASSWORD}, or typed at the start; the name is emogen)",
    )
    parser.add_argument(
        "--all_tabs",
        action="store_true",
        help="with --host: also the tabs Data, Train and Evaluate, which read and write folders of this machine and "
        "start commands on it",
    )
    parser.add_argument("--no_browser", action="store_true", help="only print the page's address")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until it is interrupted; returns the exit status (2 for bad input)."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not 1 <= args.port <= 65535:
        parser.error(f"--port is {args.port}; it must be between 1 and 65535")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        check_device(args.device)
        password = _password(args.host)
        engine = _engine(args)
        from emogen.studio.page import build_page, launch
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        print(f"error: the studio needs gradio: {how_to_install('studio')}", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        return fail(error, 2)
    try:
        page = build_page(engine, workshop=args.host in LOCAL or args.all_tabs)
        address = launch(page, engine, host=args.host, port=args.port, browser=_can_open(args), password=password)
    except OSError as error:
        print(f"error: --port {args.port} on {args.host} cannot be had ({error}); give another --port", file=sys.stderr)
        return 2
    print(f"emogen studio: {address}  (clips go to {engine.folder}; Ctrl-C ends it)", flush=True)
    page.block_thread()
    return 0


def _password(host: str) -> str | None:
    """None for a page that only this machine reaches; else the password from the environment, or as it is typed.

    Raises:
        ValueError: there is none, or it is too short.
    """
    if host in LOCAL:
        return None
    password = os.environ.get(PASSWORD)
    if password is None and sys.stdin is not None and sys.stdin.isatty():
        password = getpass.getpass(f"--host {host} lets other machines in. A password for them: ")
    if password is None:
        raise ValueError(f"--host {host} lets other machines in, so it needs a password: set {PASSWORD}")
    if len(password) < _SHORTEST:
        raise ValueError(f"--host {host}: the password has {len(password)} characters; use at least {_SHORTEST}")
    return password


def _engine(args: argparse.Namespace) -> Any:
    from emogen.studio.engine import Engine
    from emogen.studio.models import IMAGE, TEXT, Source

    sources = {TEXT: Source(TEXT, args.model, args.adapter), IMAGE: Source(IMAGE, args.image_model, args.image_adapter)}
    if args.model is not None and (missing := sources[TEXT].status()):
        raise ValueError(missing)
    if args.image_model is not None and (missing := sources[IMAGE].status()):
        raise ValueError(missing)
    return Engine(sources, _judge(args.judge), args.device, args.output_dir, judge_spec=args.judge or "embedded")


def _judge(folder: str | None) -> Callable[[], Any] | None:
    if folder is None:
        return None
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"--judge {folder}: no judge there (config.json is missing)")

    def load() -> Any:
        from emogen.eval.judges.registry import load_judge

        return load_judge(folder)

    return load


def _can_open(args: argparse.Namespace) -> bool:
    """Not where the system's browser would be a text browser in this terminal."""
    graphical = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return not args.no_browser and bool(graphical)
