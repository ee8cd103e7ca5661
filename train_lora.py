#!/usr/bin/env python
"""Train an emotion adapter and a LoRA for a Wan model.

accelerate launch train_lora.py --config configs/train_embedded.yaml [--optimizer.lora_lr 2e-4 ...]
"""

from emogen.training.command import main

if __name__ == "__main__":
    raise SystemExit(main())
