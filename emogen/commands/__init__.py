"""What the `emogen` command can do, one module a subcommand."""
