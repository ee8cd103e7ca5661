"""Training: configuration, cached data, objective, model seam, loop, checkpoints, export."""
