"""Pages for review, pictures from a phone and running counts."""
