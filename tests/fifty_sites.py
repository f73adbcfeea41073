"""A programme of fifty sites and 10,000 slides, merged in several orders: `python -m tests.fifty_sites [FOLDER]`.

Among them a lamp that drifts, slides of another objective, a card that was cloned and counted on in two machines with the
same clock, a control slide that fails, and one export copied twice. Each order of merging runs in a process of its own,
which says how long it took and how much memory; all must give the same database. The page is left in FOLDER.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

ORDERS = 3
MOST_SECONDS, MOST_MB = 60, 500


def main() -> None:
    """Make the exports, merge them in several orders, and compare."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    import exported

    made = exported.programme()
    paths = exported.written(folder, made.archives)
    size = sum(path.stat().st_size for path in paths) / 1e6
    print(f"{len(paths)} exports of {made.sessions:,} sessions, {size:.1f} MB, in {folder}", flush=True)
    told = set()
    for order in range(ORDERS):
        done = subprocess.run(
            [sys.executable, __file__, "--merge", str(folder), str(order)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        print(f"order {order}: {done.stdout.strip()}", flush=True)
        told.add(done.stdout.split()[0])
    if len(told) > 1:
        sys.exit("the orders of merging gave different databases")
    print("every order gave the same database")


def merge(folder: Path, order: int) -> None:
    """Merge in one order, write table and page, and print hash, seconds and memory."""
    from edgeleuk.programme.figures import COLUMNS, rows
    from edgeleuk.programme.merging import merge as merged
    from edgeleuk.programme.merging import programme_of
    from edgeleuk.programme.page import page
    from edgeleuk.render import slides_table
    from edgeleuk.sessions.merged import MergedSessions

    paths = sorted(folder.glob("*.edgeleuk.zip"))
    random.Random(order).shuffle(paths)
    path = folder / f"merged-{order}.db"
    path.unlink(missing_ok=True)
    begin, worked = time.perf_counter(), time.process_time()
    with MergedSessions(path, create=True) as database:
        report = merged(paths, database)
        found = programme_of(database)
        content = database.content_hash()
    (folder / "slides.csv").write_text(slides_table.csv(rows(found), COLUMNS))
    (folder / "programme.html").write_text(page(found))
    seconds, worked = time.perf_counter() - begin, time.process_time() - worked
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"{content} {len(found.slides.counted):,} slides in {seconds:.1f} s ({worked:.1f} s of processor), {mb:.0f} MB;"
        f" {dict(report.outcomes)}; conflicts {[each.kind for each in found.slides.conflicts]}; looked at"
        f" {[each.site for each in found.sites if each.reasons]}"
    )
    if worked > MOST_SECONDS or mb > MOST_MB:
        sys.exit(f"more than {MOST_SECONDS} s or {MOST_MB} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--merge"]:
        merge(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
