"""Clips in and out: records, video files, stickers."""
