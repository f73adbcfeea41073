"""Data in, text or picture out. Nothing here counts."""
