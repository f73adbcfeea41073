"""Review of kept slides: reclassification, trail and signature.

A review is computed from two things that never change: the program's result of a session, and an append-only
trail of what people did with it. The program's own answer stays beside the person's.
"""

from edgeleuk.review.gallery import CellGroup, gallery
from edgeleuk.review.labels import choices
from edgeleuk.review.opened import OpenReview
from edgeleuk.review.review import Added, Review, ReviewedCell, Revision
from edgeleuk.review.slides import FoundSlide, find_slide
from edgeleuk.review.states import NEXT, Act, State

__all__ = [
    "NEXT",
    "Act",
    "Added",
    "CellGroup",
    "FoundSlide",
    "OpenReview",
    "Review",
    "ReviewedCell",
    "Revision",
    "State",
    "choices",
    "find_slide",
    "gallery",
]
