#!/usr/bin/env python
"""Train an emotion adapter and a LoRA for a Wan2.1 or Wan2.2 model.

accelerate launch --quiet train_lora.py --config configs/embedded_t2v.yaml --output_dir out
"""

from emogen.commands.train import main

if __name__ == "__main__":
    raise SystemExit(main())
