"""Evaluation: judges, agreement with the emotion asked for, and the statistics to trust it by."""

if not __name__.startswith("emogen."):
    raise ImportError(f"import emogen.eval, not {__name__}: under another name it is a second copy")
