"""Attention kernels side by side: equality, and seconds of a forward pass and of a forward and backward pass.

    python benchmarks/kernels.py --device cuda              # 32,760 tokens: 81 frames of 480x832, Wan2.1 1.3B's heads
    python benchmarks/kernels.py --tokens 512 --heads 2     # a CPU, to try the script

The kernels are those that diffusers' dispatcher knows and that are installed; the others are listed with the reason.
They take turns, call by call, so that whatever else the machine does falls on all alike; a figure is the median of the
ratios to PyTorch's own choice ("native") in the same turn. The error is the largest difference of the output, and of
the gradients, to float32 attention of the same bfloat16 inputs, as a share of the largest value, on 1,024 queries.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

BACKENDS = ("native", "_native_flash", "_native_cudnn", "_native_efficient", "xformers", "flash", "_flash_3", "sage")
CHECKED = 1024
Function = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def kernel(name: str) -> Function:
    """Attention of `[1, N, H, D]` by a backend of diffusers."""
    from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn

    backend = AttentionBackendName(name)
    return lambda q, k, v: dispatch_attention_fn(q, k, v, backend=backend)


def exact(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """In float32, of a part of the queries."""
    q, k, v = (value.float().transpose(1, 2) for value in (q[:, :CHECKED], k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def share(found: torch.Tensor, right: torch.Tensor) -> float:
    return ((found.float() - right).abs().max() / right.abs().max()).item()


class Trial:
    """A kernel, the inputs, and what has been measured of it.

    Raises:
        Exception: what the kernel raises where it is not installed or cannot do this.
    """

    def __init__(self, name: str, inputs: Sequence[torch.Tensor]):
        self.name, self.call = name, kernel(name)
        self.inputs = [value.detach().clone().requires_grad_() for value in inputs]
        self.forward: list[float] = []
        self.both: list[float] = []
        with torch.no_grad():
            self.error = share(self.call(*inputs)[:, :CHECKED], exact(*inputs))
        self.gradient_error: float | None = None
        self.why_not = ""
        try:
            self.gradient_error = self._gradient_error(inputs)
        except Exception as error:  # kernels of other people: whatever they raise is the finding
            self.why_not = f"no backward pass ({str(error).partition(chr(10))[0][:80]})"

    def _gradient_error(self, inputs: Sequence[torch.Tensor]) -> float:
        wanted = [value.detach().clone().requires_grad_() for value in inputs]
        exact(*wanted).sum().backward()
        self.call(*self.inputs)[:, :CHECKED].float().sum().backward()
        found = [(mine.grad, right.grad.float()) for mine, right in zip(self.inputs, wanted, strict=True)]
        return max(share(mine, right) for mine, right in found)

    def turn(self) -> None:
        with torch.no_grad():
            self.forward.append(timed(lambda: self.call(*self.inputs)))
        if self.gradient_error is not None:
            for value in self.inputs:
                value.grad = None
            self.both.append(timed(lambda: self.call(*self.inputs).sum().backward()))


def timed(work: Callable[[], object]) -> float:
    _wait()
    start = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ratio(own: Sequence[float], base: Sequence[float]) -> str:
    if not own:
        return "-"
    return f"{statistics.median(a / b for a, b in zip(own, base, strict=True)):.2f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=32_760)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--head_dim", type=int, default=128)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="also write the numbers as JSON")
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    shape = (1, args.tokens, args.heads, args.head_dim)
    inputs = [torch.randn(shape, device=args.device, dtype=torch.bfloat16) for _ in range(3)]
    trials, refused = [], []
    for name in BACKENDS:
        try:
            trials.append(Trial(name, inputs))
        except Exception as error:  # as above
            refused.append(f"{name}: {(str(error) or type(error).__name__).partition(chr(10))[0][:120]}")
    for number in range(args.turns):
        for trial in trials:
            trial.turn()
        print(f"turn {number + 1} of {args.turns}", end="\r", file=sys.stderr, flush=True)
    base = trials[0]
    where = torch.cuda.get_device_name() if args.device.startswith("cuda") else "CPU"
    forward, both = (1000 * statistics.median(times) for times in (base.forward, base.both))
    print(
        f"{args.tokens:,} tokens, {args.heads} heads of {args.head_dim}, bfloat16, {where}, torch {torch.__version__}"
    )
    print(f"{args.turns} turns; native takes {forward:.1f} ms forward and {both:.1f} ms with backward\n")
    print(
        "| kernel | forward, share of native | with backward | error of output | of gradients |\n|---|---|---|---|---|"
    )
    for trial in trials:
        gradients = trial.why_not or f"{trial.gradient_error:.1e}"
        print(f"| {trial.name} | {ratio(trial.forward, base.forward)} | {ratio(trial.both, base.both)} | "
              f"{trial.error:.1e} | {gradients} |")  # fmt: skip
    for line in refused:
        print(f"\nnot here: {line}")
    if args.output:
        found = {t.name: {"forward": t.forward, "both": t.both, "error": t.error} for t in trials}
        args.output.write_text(json.dumps({"where": where, "refused": refused, "kernels": found}, indent=2))


if __name__ == "__main__":
    main()
