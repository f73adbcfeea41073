"""Micrometres per pixel from red cells, and agreement between pictures."""
