"""Limits of the server: bytes, numbers and times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one server.

    Every one bounds what a stranger on the network can make it use.
    """

    picture_bytes: int = 40_000_000
    """Maximum bytes of one picture.

    A phone's largest JPEG has about 25 MB.
    """
    json_bytes: int = 65_536
    """Maximum bytes of any other request body.

    The longest is a list of 600 cells that were looked at, about 5,000 bytes.
    """
    target_bytes: int = 2_048
    """Maximum length of a request's path and query."""
    header_bytes: int = 16_384
    """Maximum bytes of a request's headers."""
    header_seconds: float = 10.0
    """Time for a request's headers, from its first byte or the connection."""
    stall_seconds: float = 15.0
    """Longest wait for the next part of a body, or for a client to take one."""
    body_seconds: float = 120.0
    """Time for a whole body."""
    request_seconds: float = 300.0
    """Time for a whole request, with the analysis of a picture."""
    idle_seconds: int = 15
    """Time for which an idle connection is kept."""
    connections: int = 64
    """Maximum number of connections."""
    connections_each: int = 24
    """Maximum number of connections of one address."""
    uploads: int = 4
    """Maximum number of pictures that are received or wait at a time."""
    pictures_of_slide: int = 300
    """Maximum number of pictures of one slide."""
    sessions: int = 64
    """Maximum number of browsers that are let in at a time."""
    session_seconds: float = 12 * 3600.0
    """Time for which a browser is let in: a working day."""
    token_seconds: float = 15 * 60.0
    """Time for which a token can be used."""
    wrong_tokens: int = 10
    """Wrong tokens or PINs of one address before it has to wait."""
    wrong_seconds: float = 60.0
    """Time over which wrong tokens are counted, and the wait."""
    analysis_seconds: float = 180.0
    """Time for the analysis of one picture."""
    analysis_bytes: int = 2_000_000_000
    """Memory of the process that decodes and analyses pictures.

    The models that ship need 350 MB with the libraries, a picture of 108 megapixels 900 MB more.
    """


DEFAULT = Limits()
