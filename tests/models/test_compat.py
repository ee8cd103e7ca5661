"""The private names of other libraries: each is where it is expected, and none is touched outside of `compat`."""

import ast
import inspect
import subprocess
from pathlib import Path

import pytest
import torch
from diffusers import MagCacheConfig, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from diffusers.models.attention_dispatch import AttentionBackendName
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from emogen.models import compat

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "eval/metrics/frechet.py": {"_defaults"},  # of torchmetrics' Metric, from which it derives
}
"""Rooms that derive from a class of a library may call what they override."""


def test_pipelines():
    for kind in (WanPipeline, WanImageToVideoPipeline):
        assert isinstance(getattr(kind, compat.EXECUTION_DEVICE), property)
        assert {"latents", "prompt_embeds", "negative_prompt_embeds"} <= set(getattr(kind, compat.TENSOR_INPUTS))
        source = inspect.getsource(kind.__call__)
        assert all(f"self.{name} = " in source for name in compat.GUIDANCE_SCALES.values())
        assert compat.PROGRESS_BAR in inspect.getsource(kind.progress_bar)


def test_processors_and_modules(make_transformer):
    assert hasattr(WanAttnProcessor, compat.BACKEND) and hasattr(WanAttnProcessor, compat.PARALLEL)
    linear = torch.nn.Linear(2, 2)
    assert getattr(linear, compat.COMPILED_CALL) is None and compat.plain_call(linear).__func__ is not None
    assert set(compat.parameters(linear)) == {"weight", "bias"} and not compat.buffers(linear)
    assert "blocks" in compat.submodules(make_transformer()) and not compat.is_offloaded(linear)


def test_dtypes(make_transformer):
    assert "scale_shift_table" in compat.kept_in_float32(WanTransformer3DModel)
    transformer = make_transformer()
    compat.keep_from_casting(transformer, ("attn2",))
    transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    assert transformer.blocks[0].attn2.to_q.weight.dtype == torch.float32
    assert transformer.blocks[0].attn1.to_q.weight.dtype == torch.float8_e4m3fn


def test_offloading_is_seen():
    from accelerate.hooks import ModelHook, add_hook_to_module

    linear = torch.nn.Linear(2, 2)
    add_hook_to_module(linear, ModelHook())
    assert compat.is_offloaded(linear)


def test_caches(make_transformer, make_inputs):
    transformer, inputs = make_transformer(), make_inputs()
    transformer.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=10**6))
    with torch.no_grad():
        for _ in range(3):
            with transformer.cache_context("cond"):
                transformer(**inputs)
    assert len(compat.mag_cache_ratios(transformer)) == 3
    transformer.disable_cache()
    compat.reset_step_cache(transformer)  # without a cache, and on what has none, nothing happens
    compat.reset_step_cache(torch.nn.Linear(2, 2))


def test_torch():
    values, ends = [torch.zeros(2)], [torch.ones(2)]
    compat.lerp_all(values, ends, 0.25)
    assert values[0].tolist() == [0.25, 0.25]
    assert compat.storage_key(ends[0].untyped_storage()) == compat.storage_key(ends[0].view(1, 2).untyped_storage())
    assert compat.storage_key(ends[0].untyped_storage()) != compat.storage_key(values[0].untyped_storage())
    assert compat.operator_of(torch.ops.aten.add.Tensor) is torch.ops.aten.add
    assert compat.has_kernel("aten::mm", "CPU") and not compat.has_kernel("aten::mm", "Python")
    assert compat.CPU_ATTENTION is not compat.CPU_ATTENTION_BACKWARD
    with compat.FakeTensorMode():
        assert torch.ones(10**9, 10**3).shape == (10**9, 10**3)


def test_the_process_s_attention_backend():
    before = compat.active_attention_backend()
    compat.set_active_attention_backend(AttentionBackendName.FLEX)
    assert compat.active_attention_backend() == AttentionBackendName.FLEX
    compat.set_active_attention_backend(before)


def _trees() -> dict[str, ast.Module]:
    names = subprocess.run(
        ["git", "ls-files", "emogen/*.py", "pipelines/*.py", "eval/*.py"], cwd=ROOT, capture_output=True, text=True,
        check=True,
    ).stdout.split()  # fmt: skip
    return {name: ast.parse((ROOT / name).read_text(encoding="utf-8")) for name in names if (ROOT / name).is_file()}


def _private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_private_names_of_others_are_touched_nowhere_else():
    trees, ours = _trees(), set()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                ours.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                ours.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                ours.add(node.id)
    trees.pop("emogen/models/compat.py")
    ours |= {
        "_exit",
        "_replace",
        "_actions",
        "_AppendAction",
        "_SubParsersAction",
        "_action_groups",
        "_group_actions",
    }  # of the standard library, documented or old
    found = {}
    for name, tree in trees.items():
        attributes = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and _private(n.attr)}
        modules = {p for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module for p in n.module.split(".")}
        imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        foreign = {x for x in attributes | modules | imported if _private(x)} - ours - ELSEWHERE.get(name, set())
        if foreign:
            found[name] = sorted(foreign)
    assert not found, f"put these into emogen/models/compat.py: {found}"


@pytest.fixture(autouse=True)
def _backend_stays():
    yield
    compat.set_active_attention_backend(AttentionBackendName.NATIVE)
