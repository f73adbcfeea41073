"""The result of one slide, and its lossless form."""
