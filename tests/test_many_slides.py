"""Batches of slides: each slide once, with the result that `analyze` gives, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import batch_slides
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import processed, run
from standard import REFERENCE, RULES

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.errors import ClusterError, InputError, OutputError, UsageError
from edgeleuk.programme.batch import TRIES, BatchRun, Progress
from edgeleuk.programme.batch_answer import Answer, State
from edgeleuk.programme.batch_counting import Told, count
from edgeleuk.programme.batch_crew import Answered
from edgeleuk.programme.batch_ledger import Ledger
from edgeleuk.programme.batch_settings import Settings
from edgeleuk.programme.batch_slides import Facts, Shard, Slide, in_table, inputs_key, slides_of
from edgeleuk.render import slides_table
from edgeleuk.render.identity import Identity
from edgeleuk.results.slide_result import identify

SCALE = ("--um-per-px", "0.1")
ODD = "=1+1;\x1b[31m 'Ω' ä"
"""Name of a slide that is a formula, steers a terminal and has letters of other scripts."""
POISON = """
import os, signal, sys
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith("poison.jpg"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""
"""`sitecustomize` of a process that dies when it opens a certain picture."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slides of one to three fields."""
    folder = tmp_path_factory.mktemp("made")
    batch_slides.make(folder, 4)
    return folder


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PYTHONPATH for processes that die of poison."""
    folder = tmp_path_factory.mktemp("poison")
    (folder / "sitecustomize.py").write_text(POISON)
    return os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))


@pytest.fixture(scope="module")
def slides(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good slides, one with an odd name, one partly and one wholly unreadable, an empty one, and poison."""
    folder = tmp_path_factory.mktemp("slides")
    for name in ("slide-0000", "slide-0001"):
        shutil.copytree(made / name, folder / name)
    shutil.copytree(made / "slide-0003", folder / ODD)
    shutil.copytree(made / "slide-0000", folder / "poisoned")
    (folder / "poisoned" / "field-0.jpg").rename(folder / "poisoned" / "poison.jpg")
    (folder / "empty").mkdir()
    for name in ("slide-0001", "unreadable"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "cut.jpg").write_bytes((made / "slide-0000" / "field-0.jpg").read_bytes()[:3000])
    return folder


@pytest.fixture(scope="module")
def batch(slides: Path, poisoned: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str]:
    """A batch of them in two processes: its folder, its summary and what it said."""
    out = tmp_path_factory.mktemp("batch") / "out"
    done = processed("batch", slides, "--out", out, "--jobs", 2, "--json", *SCALE, PYTHONPATH=poisoned)
    assert done.returncode == 3, done.stderr
    return out, json.loads(done.stdout), done.stderr


def test_every_slide_is_one_row(batch: tuple[Path, dict, str]) -> None:
    """Also those that failed, with the reason and the exit code; in order of name."""
    found = {row["slide"]: row for row in batch_slides.rows(batch[0])}
    assert list(found) == [
        "'=1+1;\\x1b[31m 'Ω' ä",
        "empty",
        "poisoned",
        "slide-0000",
        "slide-0001",
        "unreadable",
    ]
    assert [row["exit_code"] for row in found.values()] == ["0", "3", "1", "0", "0", "3"]
    assert [row["verdict"] == slides_table.FAILED for row in found.values()] == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]
    assert "holds no pictures" in found["empty"]["verdict_text"]
    assert "cut short" in found["unreadable"]["verdict_text"]
    assert found["slide-0001"]["pictures_refused"] == "1"
    assert len(batch_slides.results(batch[0])) == 5


def test_a_slide_that_ends_its_process_is_given_up(batch: tuple[Path, dict, str]) -> None:
    """After a bounded number of times, and it takes no other slide with it."""
    _, summary, said = batch
    assert (summary["counted"], summary["failed"], summary["lacking"]) == (3, 3, 0)
    assert summary["retried"] == TRIES
    assert f"the process that counted it ended {TRIES} times (SIGKILL)" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["slide-0000", "slide-0001", ODD])
def test_a_result_is_the_one_of_analyze(
    batch: tuple[Path, dict, str], slides: Path, name: str, tmp_path: Path
) -> None:
    """Every value, and the order of the keys; ids and times apart."""
    run(
        "analyze",
        slides / name,
        "--slide",
        name,
        "--out",
        tmp_path,
        "--json",
        "--no-keep",
        "--threads",
        1,
        *SCALE,
    )
    alone = batch_slides.essence(json.loads((tmp_path / "results.json").read_text(encoding="utf-8")))
    assert json.dumps(batch_slides.results(batch[0])[name]) == json.dumps(alone)


def test_what_is_done_is_not_counted_again(batch: tuple[Path, dict, str], slides: Path) -> None:
    """A second run starts no process, changes no file and tells the same failures."""
    before = {path: path.stat().st_mtime_ns for path in batch[0].glob("results/*/*")}
    again = run("batch", slides, "--out", batch[0], "--json", *SCALE)
    assert again.returncode == 3
    summary = json.loads(again.stdout)
    assert (summary["before"], summary["counted"], summary["failed"]) == (6, 0, 0)
    assert f"failed in an earlier run: {summary['rows_failed']}. Give --retry" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in batch[0].glob("results/*/*")} == before


def test_a_folder_of_other_settings_is_refused(
    batch: tuple[Path, dict, str], slides: Path, tmp_path: Path
) -> None:
    """So is one with results of `analyze`, and one that another program counts into; nothing is changed."""
    other = run("batch", slides, "--out", batch[0], "--um-per-px", "0.2")
    assert other.returncode == 2
    assert "um_per_px 0.1, now 0.2" in other.stderr
    (tmp_path / ".edgeleuk-results.json").write_text("{}")
    results = run("batch", slides, "--out", tmp_path)
    assert results.returncode == 2
    assert not (tmp_path / ".edgeleuk-batch.json").exists()
    with Ledger(batch[0], json.loads((batch[0] / ".edgeleuk-batch.json").read_text())["settings"]):
        busy = run("batch", slides, "--out", batch[0], *SCALE)
    assert busy.returncode == 6
    assert "another program is counting" in busy.stderr


def test_changed_pictures_and_failed_slides_are_counted_again(made: Path, tmp_path: Path) -> None:
    """A slide with one more picture at once, a failed one by --retry; the others stay as they are."""
    slides, out = tmp_path / "slides", tmp_path / "out"
    for name in ("slide-0000", "slide-0003"):
        shutil.copytree(made / name, slides / name)
    (slides / "bad").mkdir()
    (slides / "bad" / "1.jpg").write_bytes(b"no picture")
    assert run("batch", slides, "--out", out, "--jobs", 1, *SCALE).returncode == 3
    stamps = {path.name: path.stat().st_mtime_ns for path in out.glob("results/*/*")}
    shutil.copy(made / "slide-0001" / "field-0.jpg", slides / "slide-0000" / "more.jpg")
    again = run("batch", slides, "--out", out, "--jobs", 1, "--retry", "--json", *SCALE)
    summary = json.loads(again.stdout)
    assert [summary[key] for key in ("before", "counted", "failed", "changed")] == [1, 1, 1, 1]
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("results/*/*")}
    assert sum(stamps[name] == after[name] for name in stamps) == 1
    assert [row["pictures"] for row in batch_slides.rows(out)] == ["0", "2", "1"]


def test_parts_are_put_together(made: Path, batch: tuple[Path, dict, str], tmp_path: Path) -> None:
    """Each part counts its slides alone; --collect says how many are done and lack, and counts none."""
    together = Counter[str]()
    for part in ("1/2", "2/2"):
        done = run("batch", made, "--out", tmp_path, "--jobs", 1, "--shard", part, "--json", *SCALE)
        assert done.returncode == 0, done.stderr
        together.update(
            row["slide"] for row in batch_slides.rows(tmp_path, f"slides-{part.replace('/', '-of-')}.csv")
        )
        collected = run("batch", made, "--out", tmp_path, "--collect", "--json", *SCALE)
        summary = json.loads(collected.stdout)
        assert (summary["before"], summary["lacking"]) == (together.total(), 4 - together.total())
        assert f"{together.total()} done before; {4 - together.total()} without a result" in collected.stderr
        assert collected.returncode == (together.total() < 4)
    assert together == Counter(f"slide-000{number}" for number in range(4))
    assert [row["slide"] for row in batch_slides.rows(tmp_path)] == sorted(together)
    both = batch_slides.results(tmp_path)["slide-0000"]
    assert both["differential"] == batch_slides.results(batch[0])["slide-0000"]["differential"]


def started(slides: Path, out: Path, **options: object) -> subprocess.Popen[str]:
    """A batch in two processes, once it has counted a slide."""
    command = [
        sys.executable,
        "-m",
        "edgeleuk",
        "batch",
        str(slides),
        "--out",
        str(out),
        "--jobs",
        "2",
        *SCALE,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)
    journal = out / "journal" / "all.jsonl"
    while process.poll() is None and not (journal.is_file() and journal.read_bytes().count(b"\n")):
        time.sleep(0.02)
    return process


def finished(slides: Path, out: Path, number: int) -> None:
    """Run the batch to its end: each slide is there once."""
    done = run("batch", slides, "--out", out, "--jobs", 1, "--json", *SCALE)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["before"] >= 1
    assert summary["before"] + summary["counted"] == number
    assert [row["slide"] for row in batch_slides.rows(out)] == sorted(each.name for each in slides.iterdir())
    assert len(batch_slides.results(out)) == number
    assert not [*out.rglob("*.partial")]


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight slides."""
    folder = tmp_path_factory.mktemp("more")
    batch_slides.make(folder, 8)
    return folder


def test_a_killed_program_costs_the_slides_in_work(more: Path, tmp_path: Path) -> None:
    """Nothing is twice and nothing missing after the next run; the processes that counted end with the program."""
    with started(more, tmp_path / "out") as process:
        below = psutil.Process(process.pid).children()
        process.kill()
    assert below
    assert not psutil.wait_procs(below, timeout=30)[1]
    finished(more, tmp_path / "out", 8)


def test_a_batch_that_is_interrupted_goes_on(more: Path, tmp_path: Path) -> None:
    """Ctrl-C: slides in work are finished and kept, the exit code is 130, and it says what lacks."""
    with started(more, tmp_path / "out") as process:
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert process.returncode == 130
    assert "interrupted: " in said
    figures = re.search(r"(\d+) slides? counted, (\d+) failed, (\d+) done before; (\d+) without", said)
    assert figures
    assert sum(map(int, figures.groups())) == 8
    assert len(batch_slides.rows(tmp_path / "out")) == len(batch_slides.results(tmp_path / "out")) < 8
    finished(more, tmp_path / "out", 8)


def test_a_full_disk_ends_the_batch_and_space_lets_it_go_on(made: Path, tmp_path: Path) -> None:
    """A result that finds no room is not done, and leaves no half of it."""
    out, limit = tmp_path / "out", 9_000
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    with started(made, out, preexec_fn=full) as process:
        said = process.communicate()[1]
    assert process.returncode == 6
    assert f"cannot write into {out}: File too large. What is done is kept" in said
    assert "Traceback" not in said
    assert max(path.stat().st_size for path in out.rglob("*") if path.is_file()) <= limit
    assert not [*out.rglob("*.partial")]
    assert run("batch", made, "--out", out, "--jobs", 1, *SCALE).returncode == 0
    assert len(batch_slides.rows(out)) == len(batch_slides.results(out)) == 4


# The loop, with workers that answer as they are told


class ToldCrew:
    """Workers whose answers are given: the n-th one for a slide is the n-th state of its list, then done."""

    def __init__(self, states: dict[str, list[State]], workers: int = 2) -> None:
        self.states, self.workers, self.path = states, workers, "/nowhere/at/all"
        self.waiting: list[tuple[Slide, bool]] = []
        self.started: list[str] = []

    @property
    def room(self) -> int:
        return self.workers - len(self.waiting)

    @property
    def busy(self) -> int:
        return len(self.waiting)

    def start(self, slide: Slide, *, shared: bool) -> None:
        self.waiting.append((slide, shared))
        self.started.append(slide.name)

    def answered(self, seconds: float) -> list[Answered]:  # noqa: ARG002  # it never waits
        slide, shared = self.waiting.pop()
        states = self.states.get(slide.name, [])
        state = states.pop(0) if states and (shared or states[0] != "unseen") else "done"
        row = (
            slides_table.failed(Identity(slide=slide.name), InputError("told"), "") if state == "done" else {}
        )
        return [(slide, Answer(state, row, text=self.path, worker="tcp://w"))]

    def __enter__(self) -> ToldCrew:
        return self

    def __exit__(self, *_: object) -> None: ...


def slide(name: str, *paths: str) -> Slide:
    return Slide(name, paths or (f"/nowhere/{name}",))


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from(["died", "unseen"]), max_size=5)),
    st.integers(1, 4),
)
def test_each_slide_has_one_outcome(
    tmp_path_factory: pytest.TempPathFactory, states: dict[str, list[State]], workers: int
) -> None:
    """Whatever workers die of or do not see; and a slide is tried a bounded number of times."""
    slides = [slide(name) for name in "abcdef"]
    crew = ToldCrew(states, workers)
    progress = Progress(len(slides))
    with Ledger(tmp_path_factory.mktemp("loop"), {}) as ledger:
        BatchRun(ledger, crew, progress).run(slides, lambda: None)
        assert ledger.write_table(slides) == 6
        assert [row["slide"] for row in batch_slides.rows(ledger.folder)] == list("abcdef")
    assert (progress.done, progress.left) == (6, 0)
    assert max(Counter(crew.started).values()) <= TRIES + 5


def test_slides_that_ended_a_process_come_last(tmp_path: Path) -> None:
    """They may end others."""
    slides = [slide(name) for name in "abcd"]
    crew = ToldCrew({"a": ["died"], "b": ["died"]}, workers=1)
    with Ledger(tmp_path, {}) as ledger:
        BatchRun(ledger, crew, Progress(4)).run(slides, lambda: None)
    assert crew.started == ["a", "b", "c", "d", "a", "b"]


def test_a_worker_that_cannot_count_ends_the_batch(tmp_path: Path) -> None:
    """It would fail every slide. What is done is kept."""
    crew = ToldCrew({"b": ["unfit"]}, workers=1)
    slides = [slide("a"), slide("b"), slide("c")]
    with Ledger(tmp_path, {}) as ledger, pytest.raises(ClusterError, match="run the same command again"):
        BatchRun(ledger, crew, Progress(3)).run(slides, lambda: None)
    with Ledger(tmp_path, {}) as ledger:
        assert [ledger.entry(each) is not None for each in slides] == [True, False, False]


def test_a_worker_that_does_not_see_the_pictures_ends_the_batch(tmp_path: Path) -> None:
    """If they are visible here: each slide would be a failure. What is gone here too is the slide's failure."""
    slides = [slide("a"), slide("b")]
    crew = ToldCrew({"b": ["unseen"]}, workers=1)
    crew.path = str(tmp_path)
    with Ledger(tmp_path, {}) as ledger:
        with pytest.raises(ClusterError, match=f"worker tcp://w does not see {tmp_path}. Mount"):
            BatchRun(ledger, crew, Progress(2)).run(slides, lambda: None)
        assert [ledger.entry(each) is not None for each in slides] == [True, False]


def test_an_absent_path_is_asked_about_on_a_cluster(analyser: Analyser) -> None:
    """A worker does not call a slide failed whose folder it does not see."""
    settings = Settings(identify(analyser.model), RULES, REFERENCE)
    told = [count(slide("a"), settings, analyser, Told(str), shared) for shared in (True, False)]
    assert [(each.state, each.text) for each in told] == [("unseen", "/nowhere/a"), ("done", "")]
    assert "/nowhere/a does not exist" in told[1].row["verdict_text"]


# The folder


def kept(ledger: Ledger, name: str) -> None:
    """Write an outcome without a count."""
    row = slides_table.failed(Identity(slide=name), InputError("told"), "")
    ledger.add(slide(name), "key", row, b"{}\n")


def test_a_line_that_was_cut_costs_its_slide_alone(tmp_path: Path) -> None:
    """A power cut in the middle of a line of the journal: the next run goes on behind the last whole one."""
    with Ledger(tmp_path, {}) as ledger:
        for name in "abc":
            kept(ledger, name)
    journal = tmp_path / "journal" / "all.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    with Ledger(tmp_path, {}) as ledger:
        assert [ledger.entry(slide(name)) is not None for name in "abc"] == [True, True, False]
        kept(ledger, "c")
    assert journal.read_bytes() == whole


def test_a_removed_result_is_counted_again(tmp_path: Path) -> None:
    """The journal does not stand for a file that is gone."""
    with Ledger(tmp_path, {}) as ledger:
        kept(ledger, "a")
        (tmp_path / slide("a").file).unlink()
        assert ledger.entry(slide("a")) is None


def test_two_programs_do_not_count_into_one_folder(tmp_path: Path) -> None:
    """Different parts may; the same part, or the whole beside a part, may not."""
    with Ledger(tmp_path, {}, Shard(1, 2)), Ledger(tmp_path, {}, Shard(2, 2)):
        for other in (None, Shard(1, 2)):
            with pytest.raises(OutputError, match="another program is counting"):
                Ledger(tmp_path, {}, other)
    Ledger(tmp_path, {}).close()


# The list of slides


def test_a_table_names_slides(tmp_path: Path) -> None:
    """Rows of a slide and site are together, wherever they stand; paths are relative to the table."""
    table = tmp_path / "slides.csv"
    table.write_text(
        "slide,picture,site\n7,a/1.jpg,north\n7,b/1.jpg,south\n7,/data/2.jpg,north\n8,s3://bucket/3.jpg,\n"
    )
    assert in_table(table, Facts(operator="x")) == [
        Slide("7", (f"{tmp_path}/a/1.jpg", "/data/2.jpg"), Facts("north", operator="x")),
        Slide("7", (f"{tmp_path}/b/1.jpg",), Facts("south", operator="x")),
        Slide("8", ("s3://bucket/3.jpg",), Facts(operator="x")),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\na,b\n", "needs a header with the columns slide and picture"),
        ("slide,picture\n", "names no slide"),
        ("slide,picture\n1,\n", "line 2: needs a slide and a picture"),
        ("slide,picture\n1,a,b\n", "line 2: has more cells than the header"),
        ("slide,picture,device\n1,a,x\n1,b,y\n", "line 3: slide 1 has another device"),
        ('slide,picture\n1,"a\n', "is no CSV table"),
    ],
)
def test_a_wrong_table_is_refused_with_the_line(text: str, said: str, tmp_path: Path) -> None:
    """Before anything is counted."""
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        in_table(tmp_path / "table.csv")


def test_folders_are_slides(tmp_path: Path) -> None:
    """Hidden ones, results and loose pictures are none; with subfolders each that holds files."""
    out = tmp_path / "out"
    for name in ("b/x", "a", ".hidden", "out", "c/deep/er"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a/1.jpg", "c/deep/er/1.jpg", "b/1.jpg", "loose.jpg", "notes.txt"):
        (tmp_path / name).touch()
    flat = slides_of(tmp_path, Facts(), out)
    assert ([each.name for each in flat.slides], flat.beside) == (["a", "b", "c"], 1)
    assert [each.name for each in slides_of(tmp_path, Facts(), out, True).slides] == ["a", "b", "c/deep/er"]
    with pytest.raises(InputError, match="holds no folder of a slide"):
        slides_of(tmp_path / "a", Facts(), out)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1), unique=True, max_size=9), st.integers(1, 9))
def test_each_slide_is_in_one_part(names: list[str], parts: int) -> None:
    """Whatever slides there are beside it; and no two have one file."""
    slides = [slide(name) for name in names]
    shards = [Shard(number, parts) for number in range(1, parts + 1)]
    assert all(sum(each.holds(one) for each in shards) == 1 for one in slides)
    assert len({one.file.casefold() for one in slides}) == len(slides)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/3"])
def test_a_wrong_part_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(UsageError, match="1/8"):
        Shard.parsed(text)


def test_other_pictures_give_another_key(tmp_path: Path) -> None:
    """One more, one changed, or one less."""
    (tmp_path / "a.jpg").write_bytes(b"1")
    keys = [inputs_key([str(tmp_path)])]
    for name, content in (("b.jpg", b"2"), ("a.jpg", b"12")):
        (tmp_path / name).write_bytes(content)
        keys.append(inputs_key([str(tmp_path)]))
    (tmp_path / "b.jpg").unlink()
    keys.append(inputs_key([str(tmp_path)]))
    assert len(set(keys)) == 4
    assert inputs_key([str(tmp_path)]) == keys[-1]
