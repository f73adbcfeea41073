"""The campaign as a command; see the package."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))  # makers of records are those of the tests

from fuzz.campaign import CHUNK, State, Sums, Watched, campaign  # noqa: E402
from fuzz.kinds import ORDER, made  # noqa: E402
from fuzz.report import page  # noqa: E402


def main() -> int:
    """Exit code 1 where there is a fault."""
    options = _options()
    if options.only:
        return _only(*options.only.split(":"), options.save)
    order = [kind for kind in ORDER if not options.kinds or kind in options.kinds]
    try:
        state = State(options.state, f"edgeleuk {_commit()}, {' '.join(dict.fromkeys(order))}")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    temporary = options.state / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)  # of a campaign that was killed
    temporary.mkdir()
    tempfile.tempdir = str(temporary.resolve())
    began = time.monotonic()
    if state.done:
        print(f"{len(state.done) * CHUNK} inputs were done before; going on", flush=True)

    def tell(sums: Sums) -> None:
        for found in sums.faults:
            print(f"{found.name}: {found.fault}", flush=True)
        if len(state.done) % 20 == 0:
            minutes = (time.monotonic() - began) / 60
            print(f"{len(state.done) * CHUNK} inputs done, {minutes:.1f} minutes", flush=True)

    sums = campaign(options.inputs, state, options.workers, tell, order)
    shutil.rmtree(temporary, ignore_errors=True)
    text = page(sums, _commit())
    (options.state / "report.md").write_text(text)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 1 if sums.faulty else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.fuzz", description="Damaged inputs, read as the program reads."
    )
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument(
        "--state", type=Path, help="folder of what was done; the same one goes on after a kill"
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=sorted(set(ORDER)), metavar="KIND", help="only these kinds"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, help="write the report here too")
    parser.add_argument("--only", metavar="KIND:SEED", help="one input again")
    parser.add_argument("--save", type=Path, help="with --only: write the input to this file")
    options = parser.parse_args()
    if not options.only and not options.state:
        parser.error("name a folder with --state, or an input with --only")
    return options


def _only(kind: str, seed: str, save: Path | None) -> int:
    if save:
        save.write_bytes(made(kind, int(seed)))
    worker = Watched()
    found = worker.run(kind, int(seed))
    worker.close()
    print(f"{found.trace}{found.name}: {found.fault or ('read' if found.accepted else 'refused')}", end="")
    print(f", {found.seconds:.2f} s, {found.mb:.0f} MB")
    return 1 if found.fault else 0


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(TESTS), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
