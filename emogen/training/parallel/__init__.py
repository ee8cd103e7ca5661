"""A step over several processes."""
