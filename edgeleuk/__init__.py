"""Blood-smear analysis at the bench. Research use only: nothing here is a diagnosis."""

__version__ = "0.1.0"
