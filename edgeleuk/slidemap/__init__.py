"""The slide map: registers fields against each other, and gives each cell one identity."""

from edgeleuk.slidemap.slide import MappedCell, SlideMap

__all__ = ["MappedCell", "SlideMap"]
