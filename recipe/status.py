"""How far every stage is."""

from __future__ import annotations

from recipe.plan import Plan
from recipe.progress import clock, read_log


def status(plan: Plan) -> str:
    """A table: stage, whether it is done, steps, the last loss and held-out figures, and the time it took."""
    lines = []
    for name, stage in plan.stages.items():
        folder = plan.shop.folder(name)
        begun = (folder / "stage.json").is_file()
        state = "done" if plan.is_done(name) else "begun" if begun else "-"
        if stage.schedule is not None:
            entries = read_log(folder / f"{name}.jsonl")
            step = entries[-1]["step"] if entries else 0
            loss = next((f"loss {e['loss']:.4f}" for e in reversed(entries) if "loss" in e), "")
            figures = next((e for e in reversed(entries) if "loss" not in e), {})
            said = " ".join(f"{k} {v:.4g}" for k, v in figures.items() if k not in ("step", "phase"))
            detail = f"{step}/{stage.schedule(plan.shop.recipe).steps} {loss} {said}"
        else:
            detail = ", ".join(f"{store.parent.name} {sum(1 for _ in store.parent.glob('*.safetensors'))} files"
                               for store in sorted(folder.glob("*/00000.safetensors")))  # fmt: skip
        cpu, wall = plan.time_of(name)
        spent = f"{clock(wall)} ({clock(cpu)} of CPU)" if wall else ""
        lines.append(f"{name:12} {state:6} {detail:60} {spent}".rstrip())
    return "\n".join(lines)
