"""What files of step-distilled models add to a transformer's own parameters, beside their LoRA: norms, biases,
modulation, the patch embedding. It is added to the weights, and taken away again bit for bit.

Several files add up. Add them before offloading and compiling, as LoRAs: a parameter must be at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

_HOME = "emogen_deltas"


class WeightDeltas:
    """The deltas of a transformer. It lives with the transformer, for pipelines may share that."""

    def __init__(self, transformer: nn.Module):
        self._transformer = transformer
        self._before: dict[str, torch.Tensor] = {}
        self._deltas: dict[str, Mapping[str, torch.Tensor]] = {}
        self.weights: dict[str, float] = {}

    @classmethod
    def of(cls, transformer: nn.Module) -> WeightDeltas:
        """Those of a transformer, none at first."""
        found = transformer.__dict__.get(_HOME)
        if found is None:
            found = transformer.__dict__[_HOME] = cls(transformer)
        return found

    def check(self, deltas: Mapping[str, torch.Tensor], name: str) -> None:
        """See that a transformer has every parameter of some deltas, of its shape, in numbers that can be added to.

        Args:
            name: of the file, for the error.

        Raises:
            ValueError: it has not.
        """
        for key, delta in deltas.items():
            try:
                parameter = self._parameter(key)
            except AttributeError:
                parameter = None
            if parameter is None:
                raise ValueError(f"{name}: it changes {key}, which this model has not: it was trained on another model")
            if parameter.device.type == "meta":
                raise ValueError(f"{name}: the transformer is offloaded already; load LoRAs before that")
            if parameter.dtype.itemsize == 1:
                raise ValueError(
                    f"{name}: it changes {key}, which this model holds quantised; take a model in fp16 or bf16, or fp8"
                )
            if parameter.shape != delta.shape:
                raise ValueError(
                    f"{name}: {key} is {tuple(delta.shape)} there and {tuple(parameter.shape)} in this model: it was "
                    "trained on a model of another size"
                )

    def add(self, name: str, deltas: Mapping[str, torch.Tensor], weight: float = 1.0) -> None:
        """Add checked deltas under a name, times `weight`."""
        for key in deltas:
            self._before.setdefault(key, self._parameter(key).detach().clone())
        self._deltas[name], self.weights[name] = deltas, weight
        self._write(deltas)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """New weights of some that are there."""
        self.weights |= weights
        self._write({key for name in weights for key in self._deltas[name]})

    def remove(self, names: Iterable[str]) -> None:
        """Take some away; those that are not there are passed over."""
        gone = [name for name in names if name in self._deltas]
        changed = {key for name in gone for key in self._deltas[name]}
        for name in gone:
            del self._deltas[name], self.weights[name]
        self._write(changed)
        for key in changed - {key for deltas in self._deltas.values() for key in deltas}:
            del self._before[key]

    def _write(self, keys: Iterable[str]) -> None:
        """The parameters as they were, with what acts now; summed in float32 and rounded once."""
        with torch.no_grad():
            for key in keys:
                parameter, before = self._parameter(key), self._before[key]
                acting = [(w, deltas[key]) for name, deltas in self._deltas.items()
                          if key in deltas and (w := self.weights[name])]  # fmt: skip
                if not acting:
                    parameter.copy_(before)
                    continue
                total = before.to(parameter.device, torch.float32)
                for weight, delta in acting:
                    total = total + weight * delta.to(parameter.device, torch.float32)
                parameter.copy_(total)

    def _parameter(self, key: str) -> torch.Tensor:
        path, _, name = key.rpartition(".")
        module = self._transformer.get_submodule(path)
        module = getattr(module, "base_layer", module)  # peft wraps a layer with a LoRA
        return getattr(module, name)


class WeightDeltasMixin:
    """For a pipeline: its calls for LoRAs reach the deltas that came with them too."""

    def set_adapters(self, adapter_names: str | Sequence[str], adapter_weights: Any = None) -> None:
        """As the stock pipeline's."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        weights = adapter_weights if isinstance(adapter_weights, list) else [adapter_weights] * len(names)
        in_deltas = self._delta_names()
        known = {name for loaded in self.get_list_adapters().values() for name in loaded}
        kept = [(n, w) for n, w in zip(names, weights, strict=True) if n in known or n not in in_deltas]
        if kept or not names:
            super().set_adapters([n for n, _ in kept], [w for _, w in kept])
        given = {n: 1.0 if w is None else w for n, w in zip(names, weights, strict=True)}
        for deltas in self._all_deltas():
            new = {name: given.get(name, 0.0) for name in deltas.weights}
            if odd := [name for name, weight in new.items() if not isinstance(weight, (int, float))]:
                raise ValueError(f"{odd[0]} also changes norms and biases: give it one weight, not one a block")
            deltas.set_weights(new)

    def delete_adapters(self, adapter_names: str | Sequence[str]) -> None:
        """As the stock pipeline's."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        in_deltas = self._delta_names()
        known = {name for loaded in self.get_list_adapters().values() for name in loaded}
        if kept := [name for name in names if name in known or name not in in_deltas]:
            super().delete_adapters(kept)
        for deltas in self._all_deltas():
            deltas.remove(names)

    def unload_lora_weights(self, *args: Any, **kwargs: Any) -> None:
        """As the stock pipeline's."""
        super().unload_lora_weights(*args, **kwargs)
        for deltas in self._all_deltas():
            deltas.remove(list(deltas.weights))

    def _all_deltas(self) -> list[WeightDeltas]:
        return [WeightDeltas.of(transformer) for transformer in self._wan_transformers().values()]

    def _delta_names(self) -> set[str]:
        return {name for deltas in self._all_deltas() for name in deltas.weights}
