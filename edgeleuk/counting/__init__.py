"""One count for a slide, whoever supplies the frames."""
