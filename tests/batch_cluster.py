"""Is every slide of a batch counted once, whatever is killed? On this machine and on a Dask cluster of two workers.

    python tests/batch_cluster.py [SLIDES [DIR [FIELDS]]]        prints a line a check and the figures; ends with 1 where one fails

The slides are simulated, of one to FIELDS (3) fields, and stay in DIR for the next time. Results must be equal bit for bit to
those of an undisturbed run in one process, but for `batch_slides.TIMES`: ids and times.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import batch_slides
import psutil
from dask_cluster import DaskCluster

POLL_S = 0.05
LOOPED = 10
"""Slides that `analyze` counts in a loop, for comparison."""
FLAT = 1.10
"""Most memory in the last third of a run over that in the second: room for measuring."""
PART = 5
"""One worker alone counts this part of the slides, for its speed."""
Kill = Callable[[], None]


class Checks:
    """Outcome of each check, printed as it comes."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def __call__(self, what: str, holds: bool, figures: str = "") -> None:
        print(f"{'ok  ' if holds else 'FAIL'} {what}{f': {figures}' if figures else ''}", flush=True)
        if not holds:
            self.failed.append(what)


class Batch:
    """A batch into a folder, started as often as it is ended."""

    def __init__(self, slides: Path, out: Path, *options: str) -> None:
        self.out = out
        self._command = [
            *(sys.executable, "-m", "edgeleuk", "batch", str(slides), "--out", str(out), "--json"), *options,
        ]  # fmt: skip
        self.memory: list[int] = []
        """Resident bytes of the program, over its last run."""
        self.counting: list[int] = []
        """Of the largest counting process below it."""

    @property
    def done(self) -> int:
        journals = self.out.glob("journal/*.jsonl")
        return sum(each.read_bytes().count(b"\n") for each in journals)

    def run(self, *kills: tuple[int, str, Kill | None]) -> tuple[int, dict[str, Any]]:
        """Run to the end; after so many slides kill what is said, None for the program itself.

        Returns the exit code and the summary; -9 and nothing if the program was killed.
        """
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=said, start_new_session=True
            )
            watching = threading.Thread(target=self._watch, args=(process.pid,), daemon=True)
            watching.start()
            for after, _, kill in kills:
                while self.done < after and process.poll() is None:
                    time.sleep(POLL_S)
                if kill is None:
                    process.kill()
                else:
                    kill()
            text = process.communicate()[0]
            watching.join()
            said.seek(0)
            self.said = said.read().decode()
        return process.returncode, json.loads(text) if text else {}

    def _watch(self, pid: int) -> None:
        self.memory, self.counting = [], []
        try:
            program = psutil.Process(pid)
            while program.is_running() and program.status() != psutil.STATUS_ZOMBIE:
                self.memory.append(program.memory_info().rss)
                below = [each.memory_info().rss for each in program.children()]
                self.counting.append(max(below, default=0))
                time.sleep(1)
        except psutil.Error:
            return


def same(check: Checks, what: str, batch: Batch, wanted: dict[str, Any], rows: int) -> None:
    """Check the results and the table of a batch."""
    found = batch_slides.results(batch.out)
    equal = sum(json.dumps(found.get(name)) == json.dumps(each) for name, each in wanted.items())
    check(
        f"{what}: results equal to the undisturbed run",
        equal == len(wanted) == len(found),
        f"{equal} of {len(wanted)}",
    )
    names = [row["slide"] for row in batch_slides.rows(batch.out)]
    lines = [json.loads(line)["slide"] for line in (batch.out / "journal" / "all.jsonl").open()]
    once = len(names) == len(set(names)) == len(lines) == len(set(lines)) == rows
    check(
        f"{what}: each slide is one row and one line of the journal",
        once,
        f"{len(names)} rows, {len(lines)} lines",
    )
    left = [*batch.out.rglob("*.partial")]
    check(f"{what}: no half-written file", not left)


def counting_processes() -> list[psutil.Process]:
    """Processes of this test that count slides, also those whose program is gone."""
    own = os.environ["EDGELEUK_BATCH_CHECK"]
    found = []
    for each in psutil.process_iter(["cmdline"]):
        try:
            if "edgeleuk.cli._batch_process" in (each.info["cmdline"] or ()):
                found += [each] * (each.environ().get("EDGELEUK_BATCH_CHECK") == own)
        except psutil.Error:
            continue
    return found


def end_one(moments: random.Random) -> None:
    """Kill a counting process."""
    if found := counting_processes():
        moments.choice(found).kill()


@contextmanager
def gone(check: Checks, what: str) -> Iterator[None]:
    """Check that no counting process outlives what was killed."""
    yield
    until = time.monotonic() + 30
    while (left := counting_processes()) and time.monotonic() < until:
        time.sleep(POLL_S)
    check(f"{what}: no process is left", not left, str(len(left)))


def growth(samples: list[int]) -> float:
    """Median of the last third of a run over that of the second."""
    third = max(1, len(samples) // 3)
    return median(samples[-third:]) / median(samples[third : 2 * third] or samples)


def loop(slides: list[Path]) -> float:
    """Seconds a slide of `analyze` in a loop."""
    begun = time.monotonic()
    for each in slides:
        command = [
            sys.executable,
            "-m",
            "edgeleuk",
            "analyze",
            str(each),
            "--json",
            "--no-keep",
            "--threads",
            "1",
        ]
        subprocess.run([*command, "--um-per-px", "0.1"], stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - begun) / len(slides)


def main(number: str = "60", where: str = "", fields: str = str(batch_slides.MOST_FIELDS)) -> int:
    os.environ["EDGELEUK_BATCH_CHECK"] = str(os.getpid())
    check, moments, count = Checks(), random.Random(1), int(number)
    work = Path(where or Path(tempfile.gettempdir()) / "edgeleuk-batch-check")
    slides = work / f"slides-{count}-{fields}"
    paths = batch_slides.make(slides, count, int(fields))
    bytes_in = sum(each.stat().st_size for each in slides.rglob("*.jpg"))
    shutil.rmtree(work / "out", ignore_errors=True)
    scale = ("--um-per-px", "0.1")

    alone = Batch(slides, work / "out" / "alone", *scale, "--jobs", "1")
    code, told = alone.run()
    check("one process: done", code == 0 and told["counted"] == count, f"{told.get('seconds')} s")
    wanted = batch_slides.results(alone.out)
    one = count / told["seconds"]
    per_slide = told["processor_seconds"] / count
    print(
        f"     {one:.2f} slides a second, {per_slide:.3f} s of processor a slide: {3600 / per_slide:.0f} slides a core-hour"
    )
    print(
        f"     bytes a slide: {bytes_in / count:.0f} of pictures, {told['bytes_received'] / count:.0f} of results as sent"
    )
    written = sum(each.stat().st_size for each in alone.out.glob("results/*/*")) / count
    print(f"     bytes a slide on the disk: {written:.0f} of results, "
          f"{(alone.out / 'journal' / 'all.jsonl').stat().st_size / count:.0f} of journal")  # fmt: skip
    for what, samples in (("the program", alone.memory), ("the counting process", alone.counting)):
        check(
            f"memory of {what} is flat",
            growth(samples) < FLAT,
            f"{growth(samples):.2f}, most {max(samples) / 1e6:.0f} MB",
        )
    looped = loop(paths[:LOOPED])
    check("faster than `analyze` in a loop", one > 1 / looped, f"{one * looped:.1f} times")

    local = Batch(slides, work / "out" / "local", *scale, "--jobs", "2")
    fifth = count // 5
    with gone(check, "killed program"):
        code, _ = local.run((fifth, "worker", lambda: end_one(moments)), (2 * fifth, "program", None))
        check("two processes: killed", code == -9, f"{local.done} done")
    code, told = local.run((3 * fifth, "worker", lambda: end_one(moments)))
    check(
        "two processes: goes on after the kill",
        code == 0,
        f"{told['before']} before, {told['retried']} retried",
    )
    same(check, "two processes", local, wanted, count)

    (work / "cluster").mkdir(exist_ok=True)
    with DaskCluster(work / "cluster", 2) as cluster:
        two = Batch(slides, work / "out" / "cluster", *scale, "--scheduler", cluster.address)
        code, _ = two.run(
            (fifth, "worker", lambda: moments.choice(cluster.worker_processes()).kill()),
            (2 * fifth, "program", None),
        )
        check("cluster: worker and program killed", code == -9, f"{two.done} done")
        code, _ = two.run((3 * fifth, "scheduler", cluster.scheduler.kill))
        check(
            "cluster: a killed scheduler ends the program with 12",
            code == 12,
            two.said.strip().splitlines()[-1],
        )
        cluster.close()
    with DaskCluster(work / "cluster", 2) as cluster:
        two = Batch(slides, work / "out" / "cluster", *scale, "--scheduler", cluster.address)
        code, told = two.run((4 * fifth, "nanny", cluster.workers[0].kill))
        check(
            "cluster: goes on with another scheduler, and without one worker",
            code == 0,
            f"{told['before']} before",
        )
        same(check, "cluster", two, wanted, count)
    speeds = {}
    for workers, part in ((1, ("--shard", f"1/{PART}")), (2, ())):
        with DaskCluster(work / "cluster", workers) as cluster:
            out = work / "out" / f"of-{workers}"
            some = Batch(slides, out, *scale, "--scheduler", cluster.address, *part)
            code, told = some.run()
            check(f"cluster of {workers}: undisturbed", code == 0, f"{told['counted']} slides")
            if part:
                found = batch_slides.results(out)
                equal = sum(json.dumps(wanted[name]) == json.dumps(each) for name, each in found.items())
                check(
                    f"cluster of {workers}: results equal to the undisturbed run",
                    equal == len(found) == told["counted"],
                    f"{equal} of {len(found)}",
                )
            else:
                same(check, f"cluster of {workers}", some, wanted, count)
            speeds[workers] = told["counted"] / told["seconds"]
            print(
                f"     {speeds[workers]:.2f} slides a second; program at most {max(some.memory) / 1e6:.0f} MB"
            )
            check("memory of the program is flat", growth(some.memory) < FLAT, f"{growth(some.memory):.2f}")
    print(
        f"     from 1 to 2 workers: {speeds[2] / speeds[1]:.2f} times; load of the machine {os.getloadavg()[0]:.1f}"
    )
    print(f"{len(check.failed)} checks failed")
    return bool(check.failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
