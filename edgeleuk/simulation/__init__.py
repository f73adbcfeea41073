"""Painted smears and the virtual microscope: pictures whose truth is known."""
