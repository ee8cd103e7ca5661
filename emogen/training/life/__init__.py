"""How a run stops, is kept and goes on."""
