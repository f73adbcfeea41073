"""Who counted what, when and with what, for the results of commands."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeleuk.counting.slide import SlideCount
    from edgeleuk.results import Provenance


def provenance(slide: SlideCount) -> Provenance:
    """Describe a result that is not kept in a store."""
    from edgeleuk import __version__
    from edgeleuk.results import Provenance, identify

    profile = slide.analyser.profile
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return Provenance(
        str(uuid.uuid4()),
        __version__,
        identify(slide.analyser.model),
        now,
        now,
        profile=profile.name if profile else None,
    )
