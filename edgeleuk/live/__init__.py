"""Counting as the stage moves: which frames count, what they add, and what the operator is told."""
