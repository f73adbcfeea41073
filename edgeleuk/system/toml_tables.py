"""Conversion of TOML files to frozen dataclasses.

The dataclasses mirror the file key by key. A fault is named by its place in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from pathlib import Path
from string import Formatter
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from edgeleuk.errors import InputError
from edgeleuk.system import file_io

T = TypeVar("T")
SHOWN = 80
"""Maximum characters of a wrong value in a message."""


def load_table(kind: type[T], path: Path, like: Path | str) -> T:
    """Load a TOML file as a dataclass.

    Supported field types: texts, true and false, numbers from 0, whole numbers from 0, literals, lists as
    `tuple[X, ...]`, tables as dataclasses or as `Mapping[str, X]`, what may be absent as `X | None`, and
    templates as `Annotated[str, "names of the placeholders it may use"]`. A ValueError of a dataclass's own
    checks counts as a fault of the file.

    Args:
        kind: Dataclass to build.
        path: TOML file.
        like: Valid example that the error message refers to.

    Raises:
        InputError: The file cannot be read, or does not match `kind`.
    """
    hint = f"Compare it with {like}."
    try:
        document = file_io.read_toml(path)
    except (OSError, file_io.UnreadableError) as error:
        raise InputError(f"cannot read {path}: {file_io.plain(error)}. {hint}") from error
    try:
        return _build(kind, document, "")
    except ValueError as error:
        raise InputError(f"{path} is malformed: {error}. {hint}") from error


def _build(kind: type[T], table: object, where: str) -> T:
    if not isinstance(table, dict):
        raise ValueError(f"{where} is no table")
    hints = get_type_hints(kind, include_extras=True)
    prefix = f"{where}." if where else ""
    for item in fields(kind):  # type: ignore[arg-type]
        if item.name not in table and item.default is MISSING:
            raise ValueError(f"{prefix}{item.name} is missing")
    for key in table:
        if key not in hints:
            raise ValueError(f"{prefix}{key} is unknown; known here: {', '.join(hints)}")
    return kind(**{key: _value(hints[key], value, f"{prefix}{key}") for key, value in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return _value(arguments[0], value, where)
    if is_dataclass(hint):
        return _build(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, f"{where}[{place}]") for place, item in enumerate(value, 1))
    if origin is Mapping and isinstance(value, dict):
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is Annotated and isinstance(value, str):
        return _template(value, hint.__metadata__[0].split(), where)
    if origin is Literal and (type(value), value) in [(type(each), each) for each in arguments]:
        return value
    if hint is float and type(value) in (int, float) and isfinite(value) and value >= 0:
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if (hint is int and type(value) is int and value >= 0) or (hint is str and isinstance(value, str)):
        return value
    raise ValueError(f"{where} is {shortened(value)}, not {_wanted(hint)}")


def shortened(value: Any) -> str:
    """Return a value's repr, cut to SHOWN characters."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _wanted(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(repr(choice) for choice in get_args(hint))
    names = {
        float: "a number from 0", int: "a whole number from 0", bool: "true or false", tuple: "a list", Mapping: "a table",
    }  # fmt: skip
    return names.get(get_origin(hint) or hint, "a text")


def _template(text: str, allowed: list[str], where: str) -> str:
    """Check that a template uses only allowed placeholders.

    Filling it in later can then not fail.
    """
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{where} has unpaired braces ({error})") from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in allowed or form or conversion):
            raise ValueError(f"{where} has a placeholder {{{name}}}; known here: {', '.join(allowed)}")
    return text
