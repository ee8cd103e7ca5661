"""Clips and pictures: read as they are displayed, written so that they play everywhere."""
