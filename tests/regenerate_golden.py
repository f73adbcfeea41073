"""Write the golden files anew: the one way to do it.

    python tests/regenerate_golden.py             counts every case, and writes the files whose numbers moved
    python tests/regenerate_golden.py demo        only the case that is named
    python tests/regenerate_golden.py --pictures  renders the pictures of the slides anew before

To be run from the checkout, with the package and its development extra installed, when a change is meant to move numbers.
It prints each number that moved by more than its tolerance, with what it was and is; files in which none did are left as
they are. Read what it prints, and say in the commit why the numbers moved. It refuses to run where the variable CI is set:
a test that writes what it is compared with tests nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from golden_files import path_of, read, written
from golden_numbers import Comparison
from golden_pictures import write_pictures
from golden_slides import CASES, made


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what moved; the exit code is 2 where it refuses, else 0."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="See the head of this file."
    )
    parser.add_argument("cases", nargs="*", help=f"Cases, of {', '.join(CASES)}; all where none is named.")
    parser.add_argument("--pictures", action="store_true", help="Render the pictures of the slides anew.")
    asked = parser.parse_args(arguments)
    if os.environ.get("CI"):
        print(
            "CI is set: golden files are not written by what tests them. Run this at your desk.",
            file=sys.stderr,
        )
        return 2
    if unknown := sorted({*asked.cases} - {*CASES}):
        parser.error(f"no case {unknown[0]!r}. Cases: {', '.join(CASES)}.")
    if asked.pictures:
        write_pictures()
    for name in asked.cases or CASES:
        _renew(name)
    return 0


def _renew(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        now = made(name, Path(folder))
    was, path = read(name), path_of(name)
    if was and not (moved := Comparison(was, now).moved):
        print(f"{path.name}: no number moved by more than its tolerance; left as it is")
        return
    path.parent.mkdir(exist_ok=True)
    path.write_text(written(now), encoding="utf-8")
    print(f"{path.name}: {f'{len(moved)} values moved' if was else 'new'}")
    for each in moved if was else ():
        print(f"  {each}")


if __name__ == "__main__":
    sys.exit(main())
