"""Work that goes wrong in every way, for the runner's tests. Each start of a row is counted in a file."""

import os
import time

from emogen.curation.stage import StageError


def work(row, settings, output):
    counter = output / "begun"
    counter.mkdir(exist_ok=True)
    with open(counter / row["clip_id"], "a") as file:
        file.write("x")
    how = row["how"]
    begun = len((counter / row["clip_id"]).read_text())
    if how == "refuse":
        raise StageError("it has no picture")
    if how == "raise":
        raise ZeroDivisionError("by zero")
    if how == "die" or (how == "die once" and begun == 1):
        os._exit(9)
    if how == "hang":
        time.sleep(60)
    return [{"clip_id": row["clip_id"], "value": settings["add"] + 1}]


def many(rows, settings, output):
    """The same on several rows at once: one that refuses says so for itself alone."""
    found = []
    for row in rows:
        try:
            found.append(work(row, settings, output))
        except StageError as error:
            found.append(error)
    return found


def whose(row, settings, output):
    """Which process works on it."""
    return [{"clip_id": row["clip_id"], "process": os.getpid()}]
