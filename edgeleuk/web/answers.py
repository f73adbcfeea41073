"""Answers that are not pages: errors and their words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from edgeleuk._text import message
from edgeleuk.errors import EdgeleukError, InputError, QualityError, ScaleError, StoreError, UsageError
from edgeleuk.system.sentences import guarded, said


class Denied(Exception):  # noqa: N818  # an answer of the server, not a fault
    """Request that is refused, with its HTTP status.

    `str` of it is a sentence for the user.
    """

    def __init__(self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.headers = status, code, dict(headers or {})


def refusal(denied: Denied) -> Response:
    """Return the response of a refused request."""
    return problem(denied.status, denied.code, str(denied), denied.headers)


def problem(status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an error as JSON.

    Args:
        status: HTTP status.
        code: Word for programs.
        text: Sentence for people.
        headers: More headers.
    """
    return JSONResponse({"error": {"code": code, "text": message(said(text))}}, status, dict(headers or {}))


def status_of(error: EdgeleukError) -> int:
    """Return the HTTP status of an error of the program."""
    if isinstance(error, UsageError):
        return 409
    if isinstance(error, InputError | QualityError | ScaleError):
        return 422
    return 503 if isinstance(error, StoreError) else 500


def of_error(error: EdgeleukError, **more: Any) -> JSONResponse:
    """Return the response of an error of the program."""
    text = guarded(str(error)) if isinstance(error, QualityError) else said(str(error))
    body = {"error": {"code": type(error).__name__, "text": text, **more}}
    return JSONResponse(body, status_of(error))
