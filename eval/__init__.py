"""Evaluation: judges, agreement with the emotion asked for, and the statistics to trust it by."""
