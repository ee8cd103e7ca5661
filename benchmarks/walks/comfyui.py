"""The ComfyUI user's walk: from a training to a clip that ComfyUI samples, as docs/tutorials/comfyui.md tells it.

EMOGEN_COMFYUI=CHECKOUT python benchmarks/walks/comfyui.py --work FOLDER [--pictures docs/pictures] [--quick]

CHECKOUT is one of ComfyUI, whose packages EMOGEN_COMFYUI_PYTHON has (without it: the Python that runs this). ComfyUI's
server is started on the CPU with a base folder of the walk's own, so that nothing is written into the checkout.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fresh import ROOT
from headless import PATIENCE, NoBrowser, Person, free_port
from PIL import Image, ImageStat
from safetensors import safe_open
from walk import StepFailed, Walk, command_line, told

WORKFLOW = ROOT / "comfyui/workflows/embedded_model.json"
FIT = """
app.graph.arrange(40);
const seen = ['EmogenLoadAdapter', 'EmogenWords', 'EmogenAdapterLora', 'EmogenApply', 'EmogenPreview'];
const nodes = app.graph.nodes.filter(n => seen.includes(n.type)), view = app.canvas.ds;
const low = i => Math.min(...nodes.map(n => n.pos[i])), high = i => Math.max(...nodes.map(n => n.pos[i] + n.size[i]));
view.scale = Math.min((innerWidth - 120) / (high(0) - low(0)), (innerHeight - 220) / (high(1) - low(1)));
view.offset = [70 / view.scale - low(0), 120 / view.scale - low(1)];
app.canvas.low_quality_zoom_threshold = app.canvas.min_font_size_for_lod = 0;
app.canvas.draw(true, true);
return app.graph.nodes.length;
"""
"""Lay the nodes out, and show those of the adapter and the emotion."""
FEW = "--num_stickers 18 --max_train_steps 2 --train_batch_size 2 --lr_warmup_steps 0 --validation_steps 0 \
--height 32 --width 32"
NEEDED = ("aiohttp", "torchsde", "einops", "diffusers", "sqlalchemy", "alembic")


def ask(address: str, body: object = None) -> bytes:
    """What a server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def comfyui_here() -> tuple[Path, str] | str:
    """Checkout and Python of ComfyUI, or why there is none."""
    checkout = os.environ.get("EMOGEN_COMFYUI", "")
    if not checkout:
        return "ComfyUI was not started: EMOGEN_COMFYUI names no checkout of it"
    if not (Path(checkout) / "main.py").is_file():
        raise StepFailed(f"EMOGEN_COMFYUI is {checkout}, which holds no main.py of ComfyUI")
    python = os.environ.get("EMOGEN_COMFYUI_PYTHON", sys.executable)
    look = f"import importlib.util as u; print(*[n for n in {NEEDED!r} if u.find_spec(n) is None])"
    missing = subprocess.run(
        [python, "-c", look], capture_output=True, text=True, timeout=120, check=True
    ).stdout.split()
    if missing:
        return f"ComfyUI was not started: {python} lacks {', '.join(missing)} (EMOGEN_COMFYUI_PYTHON names another)"
    return Path(checkout).resolve(), python


def queue(address: str, workflow: dict[str, Any]) -> dict[str, Any]:
    """Have a workflow run; returns what its nodes show, by node.

    Raises:
        StepFailed: ComfyUI refuses it, it fails, or is not done in time.
    """
    try:
        number = json.loads(ask(f"{address}/prompt", {"prompt": workflow}))["prompt_id"]
    except urllib.error.HTTPError as error:
        raise StepFailed(f"ComfyUI refuses the workflow: {error.read().decode()[:2000]}") from error
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done = json.loads(ask(f"{address}/history/{number}")).get(number)
        if done and done["status"]["completed"]:
            return done["outputs"]
        if done and done["status"]["status_str"] == "error":
            raise StepFailed(f"the workflow failed: {done['status']['messages'][-1]}")
        time.sleep(0.2)
    raise StepFailed("the workflow is not done in time")


def fetch(address: str, image: dict[str, str], path: Path) -> Image.Image:
    """A picture that a node has saved."""
    path.write_bytes(ask(f"{address}/view?{urllib.parse.urlencode(image)}"))
    return Image.open(path)


def sample(walk: Walk, address: str) -> None:
    """Queue the workflow of this pack with the trained adapter, and look at what comes."""
    workflow = json.loads(WORKFLOW.read_text())
    workflow["adapter"]["inputs"]["name"] = "my_adapter"
    if walk.quick:
        workflow["sampler"]["inputs"]["steps"] = 2
    shown = queue(address, workflow)
    clip = fetch(address, shown["save"]["images"][0], walk.work / "comfyui.webp")
    if (clip.n_frames, clip.size) != (13, (96, 96)) or max(ImageStat.Stat(clip.convert("L")).stddev) < 2:
        raise StepFailed(f"ComfyUI saved {clip.n_frames} frames of {clip.size}, or empty ones")
    walk.strip([walk.work / "comfyui.webp"], "tutorial_comfyui_clip.webp")
    curve = fetch(address, shown["curve"]["images"][0], walk.work / "curve.png")
    if curve.size != (640, 320) or "asked for amusement" not in shown["judge"]["text"][0]:
        raise StepFailed(f"the nodes show {curve.size}, {shown['judge']}")
    with open(walk.work.parent / "printed.txt", "a") as log:
        log.write(f"the judge's node: {shown['judge']['text'][0]}\n")
    if walk.pictures is not None:
        show_page(walk, address, workflow)


def show_page(walk: Walk, address: str, workflow: dict[str, Any]) -> None:
    """Keep a picture of ComfyUI's page with the workflow on it."""
    try:
        browser = walk.browser()
    except NoBrowser as error:
        walk.left_out.append(f"ComfyUI's page was not opened: {error}")
        return
    ask(f"{address}/settings", {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False})  # lie above
    browser.set_window_size(1280, 860)
    person = Person(browser, address)
    person.until(
        lambda: browser.execute_script("return window.app && app.graph && app.canvas && true"), "ComfyUI's page"
    )
    browser.execute_script("app.loadApiJson(arguments[0], 'emogen')", workflow)
    person.until(lambda: browser.execute_script(FIT) == len(workflow), "the workflow's nodes")
    person.until(lambda: not browser.find_elements("css selector", ".p-progressspinner, .p-dialog"), "the page at rest")
    shot = walk.work.parent / "comfyui_page.png"
    browser.save_screenshot(str(shot))
    walk.keep(shot, "tutorial_comfyui_page.webp", width=800)


def walk_on(walk: Walk, trained: Path | None = None) -> None:
    """Train a little, give ComfyUI the LoRA in its form and the adapter, and have its server sample with them.

    Args:
        trained: the output folder of a training that is there already.
    """
    for step in told("comfyui"):
        command = step.text.replace("$PWD/", f"{ROOT}/")
        if command.startswith("emogen train"):
            if trained is not None:
                command = f"cp -r {trained} out"
            elif walk.quick:
                command = f"{re.sub(r' --(?!config|output_dir).*', '', command)} {FEW}"
        walk.type(command)
    (lora,) = walk.made("ComfyUI/models/loras/my_lora.safetensors")
    with safe_open(lora, "np") as file:
        names = list(file.keys())
    strange = [name for name in names if not name.startswith("diffusion_model.")]
    if strange or not any(name.endswith(".alpha") for name in names):
        raise StepFailed(f"{lora.name} is not in ComfyUI's form: {(strange or names)[0]}")
    found = comfyui_here()
    if isinstance(found, str):
        walk.left_out.append(found)
        look = "import emogen, comfyui; from comfyui.adapter import LoadedAdapter as load"
        read = "load('ComfyUI/models/emogen/my_adapter'); print(len(comfyui.NODE_CLASS_MAPPINGS), 'nodes')"
        if "nodes" not in walk.type(f'python -c "{look}; {read}"', counts=False):
            raise StepFailed("the nodes do not read the trained adapter")
        return
    checkout, python = found
    port = free_port()
    own = ["--base-directory", str(walk.work / "ComfyUI"), "--database-url", "sqlite:///:memory:"]
    offline = ["--disable-api-nodes", "--disable-auto-launch", "--listen", "127.0.0.1", "--port", str(port)]
    with walk.serving([python, checkout / "main.py", "--cpu", *own, *offline], port, "comfyui.log") as address:
        sample(walk, address)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return command_line(__doc__, walk_on, argv)


if __name__ == "__main__":
    raise SystemExit(main())
