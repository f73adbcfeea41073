"""Figures of evaluations as tables for a terminal."""
