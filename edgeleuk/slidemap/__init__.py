"""Map of a slide.

Fields are registered against each other, and each cell gets one identity.
"""

from edgeleuk.slidemap.slide_map import CROP_PX, CROP_UM, CountFacts, MappedCell, SlideMap, made_of_stills

__all__ = ["CROP_PX", "CROP_UM", "CountFacts", "MappedCell", "SlideMap", "made_of_stills"]
