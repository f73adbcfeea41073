"""Rules, tally, proportions, flags and verdict of a slide."""
