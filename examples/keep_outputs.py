"""Run the notebooks and keep what they show in them, small.

    pip install nbclient ipykernel
    python examples/keep_outputs.py            # all of them, or those that are named

Pictures are kept as JPEG only, progress bars and warnings not at all. Run it after a change of a notebook, and look at
the notebook. It runs in a folder of its own, so that nothing is left beside the notebooks.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
_QUALITY = 42
_WIDEST = 320


def small_picture(png: str) -> str:
    """A PNG as a JPEG, both in base64."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    if picture.width > _WIDEST:
        picture = picture.resize((_WIDEST, round(picture.height * _WIDEST / picture.width)))
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=_QUALITY, optimize=True)
    return base64.b64encode(kept.getvalue()).decode()


def kept_output(output: dict) -> dict | None:
    """What of an output is kept, or None."""
    if output["output_type"] == "stream":
        return output if output["name"] == "stdout" else None
    data = output.get("data", {})
    picture = data.get("image/png") or data.get("image/jpeg")
    if picture:
        text = data.get("text/plain", "a picture").split(" at 0x")[0]
        output["data"] = {"image/jpeg": small_picture(picture), "text/plain": text}
    elif "application/vnd.jupyter.widget-view+json" in data:
        return None
    return output


def keep(notebook: Path) -> None:
    """Run one notebook and write it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(notebook, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE.parent / "configs", Path(folder) / "configs")
        work = Path(folder) / "examples"
        work.mkdir()
        os.environ |= {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        NotebookClient(book, timeout=3600, resources={"metadata": {"path": str(work)}}).execute()
        for cell in book.cells:
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs = [kept for output in cell.outputs if (kept := kept_output(output)) is not None]
                for output in cell.outputs:
                    if "text" in output:
                        output["text"] = output["text"].replace(folder, "/tmp")
    book.metadata.pop("language_info", None)
    nbformat.write(book, notebook)
    print(f"{notebook.name}: {notebook.stat().st_size / 1024:.0f} KiB")


def main() -> None:
    """Run those that are named, or all."""
    names = sys.argv[1:] or sorted(path.name for path in HERE.glob("*.ipynb"))
    for name in names:
        keep(HERE / Path(name).name)


if __name__ == "__main__":
    main()
