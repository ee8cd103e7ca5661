"""From raw clips to a labelled table: stages, the runner that carries them, and the store that remembers.

A stage is a plain function from a row to rows, with a version and settings (`stage`). The runner gives every row to a
guarded process, so that one bad file costs one row (`runner`). Results are appended to parts keyed by content; resuming
is doing what the parts do not hold (`store`). `table` joins the parts to one table, a row a clip.
"""
