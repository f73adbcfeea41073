"""Collects the licences of wheels: `licences.py WHEELS OUT` writes OUT/NAME-VERSION/* and a table OUT/LICENCES.txt.

A wheel carries its licence texts in its dist-info folder, and says in METADATA what they are called
(https://packaging.python.org/en/latest/specifications/core-metadata/). Only the standard library is needed.
"""

from __future__ import annotations

import re
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

TEXTS = re.compile(r"licen[cs]e|copying|notice|third.?party", re.IGNORECASE)
"""Names of files that hold licence texts."""
WHOLE_TEXT = 80
"""Letters from which a License field is a text rather than a name."""


def collect(wheel: Path, out: Path) -> tuple[str, str, str, int]:
    """Copy the texts of one wheel. Its name, version, licence as stated, and the number of texts."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = next(name.split("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode("utf-8"))
        folder = out / info.removesuffix(".dist-info")
        texts = [n for n in names if n.startswith(f"{info}/") and TEXTS.search(n.split("/", 1)[1])]
        texts += [n for n in names if TEXTS.search(Path(n).name) and n.count("/") == 1 and n not in texts]
        for name in texts:
            if name.endswith((".py", "/")):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            # The path becomes part of the name, so that no two texts meet and none leaves the folder.
            flat = name.removeprefix(f"{info}/").replace("/", "-")
            (folder / flat).write_bytes(archive.read(name))
        cards = [n for n in names if re.fullmatch(r"edgeleuk/_models/[^/]+/README\.md", n)]
        for name in cards:  # the weights have licences of their own
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"model-{name.split('/')[2]}-card.md").write_bytes(archive.read(name))
    return str(metadata["Name"]), str(metadata["Version"]), stated(metadata), len(texts) + len(cards)


def stated(metadata: object) -> str:
    """What the wheel calls its licence: SPDX expression, else classifiers, else the old field."""
    get, get_all = metadata.get, metadata.get_all  # type: ignore[attr-defined]
    if expression := get("License-Expression"):
        return str(expression)
    classifiers = [str(c).rsplit("::", 1)[-1].strip() for c in get_all("Classifier", []) if "License ::" in c]
    if classifiers:
        return ", ".join(classifiers)
    named = str(get("License") or "").strip()
    return named if 0 < len(named) < WHOLE_TEXT else "see the texts"


def main(wheels: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows = [collect(wheel, out) for wheel in sorted(wheels.glob("*.whl"))]
    lines = [
        f"{name} {version}: {licence} ({f'{texts} texts' if texts else 'the wheel has no text of it'})"
        for name, version, licence, texts in rows
    ]
    head = "What is in this bundle, and under which licence, as each package states it. Texts are in the folders;\nthat of Apache-2.0 is in edgeleuk-LICENSE.\n"
    (out / "LICENCES.txt").write_text("\n".join([head, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
