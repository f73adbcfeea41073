"""Pages for review, for pictures from a phone, and for a running count."""
