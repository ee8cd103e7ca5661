"""`python -m emogen`: the `emogen` command."""

from emogen.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
