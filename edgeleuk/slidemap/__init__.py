"""The slide map: registers fields against each other, and gives each cell one identity."""

from edgeleuk.slidemap.slide import MappedCell, SlideMap, made_of_stills

__all__ = ["MappedCell", "SlideMap", "made_of_stills"]
