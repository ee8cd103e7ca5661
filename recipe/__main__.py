"""Make the embedded models: `python -m recipe STAGE --work FOLDER`, from a checkout.

`all` runs every stage in order, unattended; stopped or killed at any moment, the same command resumes. `status` shows
how far each stage is. Everything is counted in steps and drawn from seeds, none by the clock.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emogen.failure import fail

HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 2 for refused input, 1 for a stopped or failed run."""
    from recipe.config import load
    from recipe.plan import Plan, PlanError, Workshop
    from recipe.stages import STAGES

    stages = "\n".join(f"    {stage.name:12} {stage.about}" for stage in STAGES)
    parser = argparse.ArgumentParser(
        prog="python -m recipe",
        description=f"{__doc__}\n{stages}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=("all", "status", *(stage.name for stage in STAGES)), metavar="STAGE")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything on the way (about 20 GB)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config", type=Path, default=HERE / "second.yaml", help="default: recipe/second.yaml")
    which.add_argument("--scale", choices=("tiny",), help="tiny: everything in minutes, to try the machinery")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the configuration")
    parser.add_argument("--processes", type=int, default=1, help="processes of one thread that share the training")
    parser.add_argument("--threads", type=int, default=1, help="threads of one process")
    parser.add_argument("--give_way", action="store_true", help="run at the lowest priority the system permits")
    args = parser.parse_args(argv)
    try:
        config = HERE / f"{args.scale}.yaml" if args.scale else args.config
        plan = Plan(STAGES, Workshop(load(config, args.set), args.work))
    except ValueError as error:
        return fail(error, 2)
    if args.stage == "status":
        from recipe.status import status

        print(status(plan))
        return 0
    import torch

    from recipe.children import terminable
    from recipe.loop import Stopped
    from recipe.priority import give_way
    from recipe.state import StateError

    torch.set_num_threads(args.threads)
    if args.give_way:
        print("gives way by", ", ".join(give_way()) or "nothing that this system permits", flush=True)
    names = [stage.name for stage in STAGES] if args.stage == "all" else [args.stage]
    try:
        with terminable():
            for name in names:
                if plan.is_done(name):
                    continue
                print(f"== {name}", flush=True)
                if args.processes > 1 and plan.stages[name].shared:
                    _together(name, args)
                else:
                    plan.make(name)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 1
    except (PlanError, StateError) as error:
        return fail(error, 2)
    return 0


def _together(name: str, args: argparse.Namespace) -> None:
    """The stage in several processes, whose gradients are averaged."""
    from recipe.children import free_port, run_child

    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={args.processes}"]
    command += ["--master_addr=127.0.0.1", f"--master_port={free_port()}"]
    command += ["-m", "recipe", name, "--work", str(args.work)]
    command += ["--scale", args.scale] if args.scale else ["--config", str(args.config)]
    command += ["--set", *args.set] if args.set else []
    command += ["--give_way"] if args.give_way else []
    code = run_child(command, HERE.parent)
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    raise SystemExit(main())
