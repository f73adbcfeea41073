"""Measuring the finder and the reader on labelled data, through the very objects that `analyze` uses."""
