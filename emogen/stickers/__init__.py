"""Stickers: imported real ones and rendered ones."""
