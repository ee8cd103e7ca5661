"""Run a workflow file through ComfyUI's own executor, on a CPU, without its server and page.

    python benchmarks/comfyui_workflow.py --comfyui PATH --output FOLDER comfyui/workflows/embedded_model.json

PATH is a checkout of ComfyUI whose requirements are installed. What the workflow saves comes into FOLDER; what its
nodes show (files and texts) is printed as JSON. With --check, the workflow is only validated, and its errors printed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXTRAS = ("nodes_images", "nodes_hunyuan", "nodes_wan", "nodes_model_advanced", "nodes_preview_any")
"""Files of ComfyUI's further nodes that the example workflows use."""


class _NoServer:
    """What the executor tells of its progress goes nowhere."""

    client_id = last_node_id = None

    def send_sync(self, *args: Any) -> None: ...

    def queue_updated(self) -> None: ...


async def _load_nodes(checkout: Path) -> None:
    import nodes

    for path in [checkout / "comfy_extras" / f"{name}.py" for name in EXTRAS] + [ROOT / "comfyui"]:
        if not await nodes.load_custom_node(str(path), module_parent="custom_nodes"):
            sys.exit(f"ComfyUI could not load {path}; its reason stands above")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workflow", type=Path)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("comfyui_output"))
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    checkout = args.comfyui.resolve()
    sys.path[:0] = [str(checkout)]
    sys.argv = sys.argv[:1]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    importlib.import_module("utils.install_util")  # first, as in ComfyUI's main: another package's `utils` may follow
    import execution
    import folder_paths

    args.output.mkdir(parents=True, exist_ok=True)
    folder_paths.set_output_directory(str(args.output.resolve()))
    folder_paths.set_temp_directory(str(args.output.resolve() / "temp"))
    asyncio.run(_load_nodes(checkout))
    workflow = json.loads(args.workflow.read_text(encoding="utf-8"))
    valid, error, outputs, errors = asyncio.run(execution.validate_prompt("workflow", workflow, None))
    if args.check or not valid:
        found = {node: [fault["details"] for fault in entry["errors"]] for node, entry in errors.items()}
        print(json.dumps({"valid": valid, "error": error, "errors": found}, default=str))
        return 0 if args.check else 2
    executor = execution.PromptExecutor(_NoServer())
    executor.execute(workflow, "workflow", {}, outputs)
    if not executor.success:
        kind, message = executor.status_messages[-1]
        print(f"{kind}: {message.get('node_type')}: {message.get('exception_message')}", file=sys.stderr)
        return 1
    print(json.dumps({node: shown for node, shown in executor.history_result["outputs"].items() if shown}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
