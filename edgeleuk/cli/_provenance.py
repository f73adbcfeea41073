"""Who counted what, when and with what, for the results of commands."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeleuk.counting.slide import SlideCount
    from edgeleuk.results import Provenance


def provenance(slide: SlideCount) -> Provenance:
    """Describe a result that is not kept in a store."""
    from edgeleuk import __version__
    from edgeleuk.results import ModelIdentity, Provenance

    model, profile = slide.analyser.model, slide.analyser.profile
    manifest = hashlib.sha256((model.folder / "model.json").read_bytes()).hexdigest()
    identity = ModelIdentity(
        model.magnification, model.version, model.finder.sha256, model.reader.sha256, manifest
    )
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return Provenance(
        str(uuid.uuid4()), __version__, identity, now, now, profile=profile.name if profile else None
    )
