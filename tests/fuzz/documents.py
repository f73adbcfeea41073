"""Ways to damage JSON and TOML: other values, other kinds of values, deep nests, numbers without end, odd letters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from .mutations import flip, mutated

DEEP = (5, 200, 2_000, 100_000)
"""Of nests; what reads them calls itself once a level."""
TOML_VALUES = (
    "0", "-1", "1", "1e999", "-1e-999", "nan", "inf", "-inf", "true", '""', '"x"', "[]", "{}", "2026-01-01T10:10:10Z",
    "9223372036854775808", "9" * 400, "9" * 5000, "0x" + "f" * 2000, '"' + "x" * 100_000 + '"', '"\\u0000\\u001b[31m"',
    '"../../../etc/passwd"', '"{n.__class__}"', '"{n!r:>99999}"', '"{"', "'=1+1'", "[[[[1]]]]", "[1, 'a']",
)  # fmt: skip
TOKENS = re.compile(r'"(?:[^"\\\n]|\\.)*"|-?\d[\d.e+-]*|\[|\]|true|false|^[a-z_0-9]+(?= *=)', re.MULTILINE)
"""Of TOML: texts, numbers, brackets, words, keys."""


def damaged_json(random: Random, whole: bytes) -> bytes:
    """JSON with some of it changed; often still JSON."""
    if random.random() < 0.25:
        return mutated(random, whole)
    if random.random() < 0.1:
        return _nest(random, whole)
    document = json.loads(whole)
    for _ in range(random.randint(1, 3)):
        document = changed(random, document)
    written = json.dumps(document).encode()
    for mark, number in ((b'"<long>"', b"9" * 400), (b'"<longer>"', b"9" * 5000), (b'"<float>"', b"1e999")):
        written = written.replace(mark, number)
    if random.random() < 0.1:
        data = bytearray(written)
        flip(random, data)
        written = bytes(data)
    return written


def changed(random: Random, document: Any) -> Any:
    """The document with one value, somewhere in it, changed."""
    if random.random() < 0.02 or not isinstance(document, dict | list) or not document:
        return _other(random, document)
    place = random.choice(list(document) if isinstance(document, dict) else range(len(document)))
    inside = document[place]
    if isinstance(inside, dict | list) and inside and random.random() < 0.85:
        document[place] = changed(random, inside)
    else:
        _change_at(random, document, place)
    return document


def _change_at(random: Random, document: Any, place: Any) -> None:
    choice = random.random()
    if choice < 0.15:
        del document[place]
    elif choice < 0.25 and isinstance(document, list):
        document.extend([document[place]] * random.choice([1, 3, 2000]))
    elif choice < 0.25:
        document[random.choice(["", "\ud800", "x" * 5000, "<b>", "__class__", f"{place} "])] = document[place]
    else:
        document[place] = _other(random, document[place])


def _other(random: Random, value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and random.random() < 0.5:
        return random.choice([0, -value, value + 1, value * 1e6, value / 1e6, 2**31, 2**63, 10**30, -1])
    if isinstance(value, str) and random.random() < 0.5:
        return random.choice(
            ["", value * 2, value[:-1], "../" + value, "/dev/zero", value + "\0", "\x1b[31m", "\ud800"]
        )
    return random.choice([
        None, True, False, 0, 1, -1, 1.5, "", "x", [], {}, [[]], {"a": 1}, "nan", float("nan"), float("inf"), 2**64, "1e999",
        "<long>", "<longer>", "<float>", "x" * 100_000, [0] * 10_000, "=1+1", [value], {"value": value}, str(value)[:1000],
    ])  # fmt: skip


def _nest(random: Random, whole: bytes) -> bytes:
    """The document, or part of it, below thousands of brackets."""
    depth = random.choice(DEEP)
    opening, closing = random.choice([(b"[", b"]"), (b'{"a":', b"}")])
    inside = random.choice([whole, b"1", b""])
    bomb = opening * depth + inside + closing * random.choice([0, depth])
    if random.random() < 0.5:
        return bomb
    at = whole.find(b":", random.randrange(len(whole)))
    return whole[: at + 1] + bomb + b"," + whole[at + 1 :]


def damaged_toml(random: Random, whole: bytes) -> bytes:
    """TOML with some of it changed; often still TOML."""
    if random.random() < 0.25:
        return mutated(random, whole)
    text = whole.decode()
    for _ in range(random.randint(1, 3)):
        text = random.choice(_TOML_CHANGES)(random, text)
    return text.encode()


def _token(random: Random, text: str) -> str:
    found = list(TOKENS.finditer(text))
    if not found:
        return text
    token = random.choice(found)
    return text[: token.start()] + random.choice(TOML_VALUES) + text[token.end() :]


def _line(random: Random, text: str) -> str:
    lines = text.splitlines() or [""]
    at = random.randrange(len(lines))
    change = random.random()
    if change < 0.4:
        del lines[at]
    elif change < 0.7:
        lines.insert(random.randrange(len(lines)), lines[at])
    else:
        lines.insert(
            at, random.choice(["x = 1", "[x]", "[[x]]", "[x.y.z]", "a.b.c.d = 1", '"" = 1', "'\ud7ff' = 1"])
        )
    return "\n".join(lines) + "\n"


def _deep(random: Random, text: str) -> str:
    depth = random.choice(DEEP)
    bomb = random.choice([
        "[" * depth, "[" * depth + "]" * depth, "{a=" * depth, "{a=" * depth + "1" + "}" * depth,
        "1\n[" + "a." * min(depth, 2000) + "a]\n", "1\n" + "a." * min(depth, 2000) + "a = 1\n",
    ])  # fmt: skip
    return f"bomb = {bomb}\n{text}" if random.random() < 0.5 else f"{text}\nbomb = {bomb}\n"


_TOML_CHANGES: tuple[Callable[[Random, str], str], ...] = (
    _token,
    _token,
    _token,
    _token,
    _line,
    _line,
    _deep,
)
