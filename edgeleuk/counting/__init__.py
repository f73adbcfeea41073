"""Counting of one slide, from any source of frames."""
