"""A way to run a transformer once more for one branch of guidance, from outside of everything that was done to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from emogen.models.compat import COMPILED_CALL, plain_call

Run = Callable[..., torch.Tensor]
"""`run(context, **inputs)`: one forward of the transformer within the cache context of that name."""

OnBranch = Callable[[str, Run, dict[str, Any]], torch.Tensor]
"""`on_branch(name, run, inputs)`: the prediction that the pipeline gets for the branch of that name."""


@contextlib.contextmanager
def branch_calls(transformer: nn.Module, on_branch: OnBranch) -> Iterator[None]:
    """While open, the pipeline's calls of the transformer go to `on_branch`.

    diffusers' pipelines say which branch of guidance a call is for by `cache_context("cond")` and
    `cache_context("uncond")`, from which it is read here. The call itself is replaced where `nn.Module` keeps a
    compiled one. A forward hook would do for a plain transformer, but it runs inside of what `transformer.compile()`
    compiles, where a hook that counts steps means a compilation a step. From out here each forward is an ordinary
    one: compiled graphs, offloading hooks and step caches see nothing new.

    Args:
        transformer: a Wan transformer, compiled or not, called by keywords with `return_dict=False`.
        on_branch: also called for branches that it should leave alone: `run(name, **inputs)` then.

    Raises:
        RuntimeError: at a call outside of any `cache_context`, whose branch cannot be known.
    """
    own = vars(transformer)
    before = {name: own[name] for name in (COMPILED_CALL, "cache_context") if name in own}
    plain = plain_call(transformer)
    stock_context = transformer.cache_context
    running: list[tuple[str, dict[str, Any]]] = []

    @contextlib.contextmanager
    def cache_context(name: str, **step: Any) -> Iterator[None]:
        running.append((name, step))
        try:
            with stock_context(name, **step):
                yield
        finally:
            running.pop()

    def run(context: str, **inputs: Any) -> torch.Tensor:
        # Another name for another kind of pass, so that a step cache keeps its state apart.
        name, step = running[-1]
        if context == name:
            return plain(**inputs)[0]
        with stock_context(context, **step):
            return plain(**inputs)[0]

    def call(**inputs: Any) -> tuple[torch.Tensor]:
        if not running:
            raise RuntimeError(
                f"{type(transformer).__name__} was called outside of cache_context, by which diffusers' pipelines say "
                "which branch of guidance a call is for; leave emotion_guidance_scale at None with this pipeline"
            )
        return (on_branch(running[-1][0], run, inputs),)

    own.update({COMPILED_CALL: call, "cache_context": cache_context})
    try:
        yield
    finally:
        for name in (COMPILED_CALL, "cache_context"):
            del own[name]
        own.update(before)
