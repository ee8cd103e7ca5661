"""Systems, prompts, clips, measurements: what `emogen eval` runs."""
