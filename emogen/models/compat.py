"""Every private name of diffusers, torch, peft and accelerate that emogen touches, with what it is needed for.

A new version of a library may move any of them without a word. `tests/models/test_compat.py` fails when one is not
there, or when a private name is touched anywhere else in the repository.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["FakeTensorMode", "TorchDispatchMode", "tree_leaves"]
"""Of torch: what works out shapes without numbers, what sees every operator, and what flattens its arguments."""

CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
CPU_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
"""The operators that an attention becomes on the CPU."""

EXECUTION_DEVICE = "_execution_device"
"""Of a pipeline: where it computes, also under offloading."""

GUIDANCE_SCALES = {"transformer": "_guidance_scale", "transformer_2": "_guidance_scale_2"}
"""Of a Wan pipeline during its call: the scale it guides each transformer with."""

TENSOR_INPUTS = "_callback_tensor_inputs"
"""Of a pipeline: what `callback_on_step_end` may ask for."""

PROGRESS_BAR = "_progress_bar_config"
"""Of a pipeline: what `set_progress_bar_config` was given."""

BACKEND = "_attention_backend"
PARALLEL = "_parallel_config"
"""Of an attention processor: what `set_attention_backend` and `enable_parallelism` leave on it."""

COMPILED_CALL = "_compiled_call_impl"
"""Of a module: what its call runs instead of its forward, once `compile()` was called."""


def plain_call(module: nn.Module) -> Any:
    """What calling a module runs: the compiled call, or the ordinary one with its hooks."""
    return module._compiled_call_impl or module._call_impl


def submodules(module: nn.Module) -> dict[str, nn.Module]:
    """The table of a module's own submodules, to take one out for a while."""
    return module._modules


def buffers(module: nn.Module) -> dict[str, Any]:
    """The table of a module's own buffers, to take one out."""
    return module._buffers


def parameters(module: nn.Module) -> dict[str, Any]:
    """The table of a module's own parameters, to put others in their place."""
    return module._parameters


def is_offloaded(module: nn.Module) -> bool:
    """Whether accelerate's hook brings a module's weights when it is called."""
    return hasattr(module, "_hf_hook")


def kept_in_float32(transformer: Any) -> list[str]:
    """Parts of the names of modules that diffusers never loads below float32 (of a model, or of its class)."""
    return list(transformer._keep_in_fp32_modules or ())


def lora_metadata(transformer: Any) -> dict[str, Any]:
    """The arguments of a pipeline's `save_lora_weights` that say how a transformer's LoRA was made."""
    from diffusers.training_utils import _collate_lora_metadata

    return _collate_lora_metadata({"transformer": transformer})


def keep_from_casting(transformer: Any, patterns: tuple[str, ...]) -> None:
    """Leave the modules whose names match out of diffusers' layerwise casting."""
    transformer._skip_layerwise_casting_patterns = (
        *(transformer._skip_layerwise_casting_patterns or ()),
        *patterns,
    )


def reset_step_cache(component: Any) -> None:
    """Make a step cache of diffusers forget what it keeps; nothing happens without one."""
    if hasattr(component, "_reset_stateful_cache"):
        component._reset_stateful_cache()


def mag_cache_ratios(transformer: Any) -> list[float]:
    """What MagCache has measured so far in its calibration, for the branch with the prompt."""
    hook = transformer.blocks[0]._diffusers_hook.get_hook("mag_cache_leader_block_hook")
    return list(hook.state_manager._state_cache["cond"].calibration_ratios)


def active_attention_backend() -> Any:
    """The process's default attention backend."""
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry

    return _AttentionBackendRegistry.get_active_backend()[0]


def set_active_attention_backend(backend: Any) -> None:
    """Set the process's default attention backend."""
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry

    _AttentionBackendRegistry.set_active_backend(backend)


def lerp_all(values: list[torch.Tensor], ends: list[torch.Tensor], weight: float) -> None:
    """Move every tensor towards its end by a share, in place and in one kernel."""
    torch._foreach_lerp_(values, ends, weight)


def storage_key(storage: Any) -> int:
    """The same number for two views of one storage."""
    return storage._cdata


def operator_of(overload: Any) -> Any:
    """The operator that an overload of it belongs to."""
    return overload._overloadpacket


def has_kernel(operator: str, key: str) -> bool:
    """Whether an operator has a kernel of its own under a dispatch key."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(operator, key)
