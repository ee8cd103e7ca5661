"""What runs in the process of a `process.Work`: a command of emogen, whose exit status is written to a file.

python -m emogen.studio.child STATUS_FILE COMMAND [options]
"""

from __future__ import annotations

import sys
from pathlib import Path

from emogen import cli
from emogen.files import write_text


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    status_file, *words = argv
    sys.argv = ["emogen", *words]  # commands write down what started them
    status = 1
    try:
        status = cli.main(words)
    except SystemExit as error:  # argparse
        status = error.code if isinstance(error.code, int) else 1
        raise
    finally:
        write_text(Path(status_file), str(status))
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
