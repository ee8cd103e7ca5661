#!/usr/bin/env python
"""Make a clip with an emotion: python sample.py --emotion joy --prompt "a round yellow face"."""

from emogen.commands.sample import main

if __name__ == "__main__":
    raise SystemExit(main())
