"""Reports of a slide: what every form of a report reads from.

`gather` puts a result, its review and its pictures into one frozen `Report`; HTML, PDF, CSV, JSON and FHIR are
rendered from that value alone.
"""

from edgeleuk.reports.gathering import Context, gather, wanted
from edgeleuk.reports.report import (
    Amendment,
    FlaggedCell,
    PictureRow,
    Remark,
    Report,
    ScaleRow,
    Standing,
    Statement,
    TypeRow,
)

__all__ = [
    "Amendment",
    "Context",
    "FlaggedCell",
    "PictureRow",
    "Remark",
    "Report",
    "ScaleRow",
    "Standing",
    "Statement",
    "TypeRow",
    "gather",
    "wanted",
]
