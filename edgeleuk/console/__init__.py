"""The terminal view of a live count, and its keys."""
