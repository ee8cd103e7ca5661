"""What a run learns from: the plan, clips as tensors, the latent cache, the order of batches."""
