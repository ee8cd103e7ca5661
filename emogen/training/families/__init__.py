"""One module a model family: everything a run must know of it."""
