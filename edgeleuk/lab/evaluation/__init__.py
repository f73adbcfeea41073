"""Evaluate the finder and the reader on labelled data.

All measurements use the same objects as `analyze`.
"""
