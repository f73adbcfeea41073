"""Resampling to a scale, field of view, cell edges, objectives."""
