"""Description of the API, OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

import msgspec

from edgeleuk import __version__
from edgeleuk.results import slide_id
from edgeleuk.web import bodies

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "text"],
            "properties": {"code": {"type": "string"}, "text": {"type": "string"}},
        }
    },
}
CHANGED = {
    "type": "object",
    "required": ["cells", "summary", "state", "by_hand", "last", "signed", "revision"],
    "properties": {
        "cells": {"type": "array", "items": {"type": "object"}},
        "summary": {"type": "string"},
        "state": {"type": "string"},
        "by_hand": {"type": ["string", "null"]},
        "last": {"type": "integer"},
        "signed": {"type": "boolean"},
        "revision": {"type": "integer"},
    },
}
TAKEN = {
    "type": "object",
    "required": ["session", "counted", "text", "summary", "verdict"],
    "properties": {
        "session": {"type": "string"},
        "counted": {"type": "boolean"},
        "text": {"type": "string"},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "remark": {"type": "string"},
        "summary": {"type": "string"},
        "verdict": {"type": "object"},
        "white_cells": {"type": "integer"},
    },
}
ACTIONS: dict[str, tuple[type, str]] = {
    "reclassify": (bodies.Reclassify, "Give cells another label; null goes back."),
    "look": (bodies.Look, "Record cells that were on the screen."),
    "add": (bodies.Add, "Add a missed cell at a place of a field."),
    "note": (bodies.NoteBody, "Add a note."),
    "undo": (bodies.Undo, "Undo the reviewer's last action."),
    "sign": (bodies.Sign, "Sign the revision that was shown."),
    "amend": (bodies.Amend, "Open the next revision of a signed review."),
}
SESSION = {"name": "session", "in": "path", "required": True, "schema": {"type": "string"}}


def document() -> dict[str, Any]:
    """Return the description.

    Changes need the session's cookie and the token of a page in the header X-CSRF-Token.
    """
    slide = "/api/slides/{session}"
    paths: dict[str, Any] = {
        slide: {"get": _operation("A slide's review.", CHANGED, parameters=[SESSION])},
        "/api/pictures": {"post": _pictures()},
        "/api/operator": {
            "post": _operation(
                "Say who reviews.", {"type": "object"}, body=_schema(bodies.Operator), csrf=True
            )
        },
        "/api/tokens": {
            "post": _operation(
                "Make a token for another device.", {"type": "object"}, body=_schema(bodies.Empty), csrf=True
            )
        },
    }
    for name, (body, text) in ACTIONS.items():
        paths[f"{slide}/{name}"] = {
            "post": _operation(text, CHANGED, body=_schema(body), parameters=[SESSION], csrf=True)
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "edgeleuk pages", "version": __version__, "description": "Research use only."},
        "paths": paths,
        "components": {
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "edgeleuk-PORT"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
            },
            "schemas": {"Error": ERROR},
        },
    }


def _schema(body: type) -> dict[str, Any]:
    schema, definitions = msgspec.json.schema_components([body])
    found: dict[str, Any] = definitions.get(body.__name__, schema[0])
    return found


def _pictures() -> dict[str, Any]:
    texts = {"session": 80, "slide": slide_id.MOST, "mag": 16, "um_per_px": 16, "name": 200}
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string", "maxLength": most}}
        for name, most in texts.items()
    ]
    operation = _operation("Count a picture.", TAKEN, parameters=parameters, csrf=True)
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return operation | {"requestBody": {"required": True, "content": content}}


def _operation(
    text: str,
    answer: dict[str, Any],
    *,
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    csrf: bool = False,
) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    codes = (400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 421, 422, 429, 503)
    operation: dict[str, Any] = {
        "summary": text,
        "parameters": parameters or [],
        "security": [{"session": [], "csrf": []}] if csrf else [{"session": []}],
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": answer}}},
            **{str(code): {"description": "Refused.", "content": error} for code in codes},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation
