"""A study with people: a static page for blind votes, and a reader of the votes."""
