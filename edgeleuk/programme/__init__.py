"""Many slides and sites."""
