"""Whether the emotion controls do what they say: intensity, the valence-arousal plane, mixtures and arcs, as judged."""
