"""How the embedded model, its adapter and its judges are made: see `python -m recipe --help`."""
