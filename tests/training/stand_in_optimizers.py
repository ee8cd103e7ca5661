"""Optimizers with the habits of schedulefree's and Prodigy's: weights of two kinds, and numbers in their groups."""

import torch


class ScheduleFree(torch.optim.Optimizer):
    """Trains on y, is evaluated at the running average x; refuses a step in evaluation mode."""

    def __init__(self, params, lr=1e-3, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "k": 0, "train_mode": False})

    @torch.no_grad()
    def _swap(self, to_train):
        for group in self.param_groups:
            if group["train_mode"] != to_train:
                for p in group["params"]:
                    if p in self.state:
                        p.lerp_(self.state[p]["z"], 0.1 if to_train else 1 - 1 / 0.9)
                group["train_mode"] = to_train

    def train(self):
        self._swap(True)

    def eval(self):
        self._swap(False)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            if not group["train_mode"]:
                raise RuntimeError("call optimizer.train() before a step")
            group["k"] += 1
            for p in group["params"]:
                if p.grad is not None:
                    z = self.state[p].setdefault("z", p.clone())
                    p.lerp_(z, 1 / group["k"])
                    z.sub_(p.grad, alpha=group["lr"])
                    p.sub_(p.grad, alpha=0.5 * group["lr"])


class Prodigy(torch.optim.Optimizer):
    """Finds the size of its steps itself: `d` grows in the groups. All groups must have one rate."""

    def __init__(self, params, lr=1.0, weight_decay=0.0, d0=1e-4):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "d": d0, "d0": d0})

    @torch.no_grad()
    def step(self, closure=None):
        if len({group["lr"] for group in self.param_groups}) > 1:
            raise RuntimeError("different lr values in different groups are not supported")
        for group in self.param_groups:
            group["d"] *= 1.5
            for p in group["params"]:
                if p.grad is not None:
                    self.state[p]["step"] = self.state[p].get("step", 0) + 1
                    p.sub_(p.grad.sign(), alpha=group["lr"] * group["d"])
