"""Evaluation, training and publishing. Only commands import it."""
