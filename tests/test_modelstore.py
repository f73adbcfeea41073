"""Installed models: side by side, switched whole or not at all, trusted while every byte is as it came."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import packed
import pytest
from test_store_faults import mounted

from edgeleuk.errors import ModelAlteredError, ModelError, OutputError, UsageError
from edgeleuk.models import registry, updates


def willing(_: registry.Model) -> None:
    """The networks of small models are not opened."""


def install(version: str, magnification: str = "100x", **options: bool) -> updates.Installation:
    return updates.install(packed.archive(version, magnification), willing, **options)


def state(magnification: str = "100x") -> dict[str, bool]:
    """Installed versions, and whether each is in use."""
    return {each.version: each.in_use for each in updates.versions(magnification)}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store of this test's own, beside the models that ship."""
    monkeypatch.setenv("EDGELEUK_MODEL_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("EDGELEUK_MODELS", raising=False)
    monkeypatch.delenv("EDGELEUK_KEYS", raising=False)
    return tmp_path / "store"


# Several versions


def test_an_installed_model_is_what_load_gives(store: Path) -> None:
    """From the moment that it is installed; the other magnifications stay as they came."""
    done = install("2.0")
    assert (done.magnification, done.version, done.was_there, done.signed) == ("100x", "2.0", False, False)
    model = registry.load("100x")
    assert (model.version, model.folder) == ("2.0", store / "100x" / "2.0")
    assert registry.available()["100x"] == model.folder
    assert registry.load("40x").folder == registry.shipped()["40x"]


def test_every_file_of_the_archive_arrives_as_it_was(store: Path) -> None:
    """With the manifest, which says what was there, and nothing besides."""
    install("2.0")
    arrived = {path.name: path.read_bytes() for path in (store / "100x" / "2.0").iterdir()}
    assert json.loads(arrived.pop("update.json")) == packed.update(packed.files("2.0"), "2.0")
    assert arrived == packed.files("2.0")


def test_versions_lie_side_by_side_and_are_switched() -> None:
    """Any of them can be used again, and so can the one that came with the program."""
    for version in ("2.0", "2.1", "3.0-rc1"):
        install(version)
    assert state() == {"2.0": False, "2.1": False, "3.0-rc1": True}
    updates.use("100x", "2.0")
    assert registry.load("100x").version == "2.0"
    updates.use("100x", registry.BUILTIN)
    assert registry.load("100x").folder == registry.shipped()["100x"]
    assert state() == {"2.0": False, "2.1": False, "3.0-rc1": False}


def test_rollback_goes_back_step_by_step() -> None:
    """To the one before, to the one before that, and at last to the one that came with the program."""
    install("2.0")
    install("2.1")
    assert [updates.rollback("100x") for _ in range(2)] == ["2.0", registry.BUILTIN]
    assert registry.load("100x").folder == registry.shipped()["100x"]
    with pytest.raises(UsageError, match=r"no other 100x model was in use before\. Installed: 2\.0, 2\.1"):
        updates.rollback("100x")


def test_a_model_can_be_installed_and_not_used() -> None:
    """It waits beside the one in use."""
    install("2.0", use_it=False)
    assert state() == {"2.0": False}
    assert registry.load("100x").folder == registry.shipped()["100x"]


def test_the_same_archive_again_changes_nothing_but_what_is_in_use(store: Path) -> None:
    """Whoever is unsure whether it was installed installs it again."""
    install("2.0")
    before = packed.tree(store / "100x")
    assert install("2.0").was_there
    assert packed.tree(store / "100x") == before
    assert updates.rollback("100x") == registry.BUILTIN


@pytest.mark.parametrize(("version", "other"), [("2.0", "2.0"), ("2.0-RC", "2.0-rc")])
def test_another_model_by_the_name_of_an_installed_one_is_refused(
    store: Path, version: str, other: str
) -> None:
    """Results name versions: one name means one model, also on disks that do not tell capitals from small letters."""
    install(version)
    before = packed.tree(store)
    with pytest.raises(UsageError, match=r"another 100x model is installed as version 2\.0.* Remove it"):
        updates.install(packed.archive(other, README__md=b"another card"), willing)
    assert packed.tree(store) == before


def test_a_version_is_removed_for_good(store: Path) -> None:
    """Unless it is in use; rollback does not lead to it any more."""
    install("2.0")
    install("2.1")
    install("2.2")
    updates.remove("100x", "2.1")
    assert state() == {"2.0": False, "2.2": True}
    with pytest.raises(UsageError, match="is in use and is not removed"):
        updates.remove("100x", "2.2")
    with pytest.raises(UsageError, match="came with the program and is not removed"):
        updates.remove("100x", registry.BUILTIN)
    assert updates.rollback("100x") == "2.0"
    updates.use("100x", registry.BUILTIN)
    updates.remove("100x", "2.0")
    updates.remove("100x", "2.2")
    assert sorted(path.name for path in store.iterdir()) == ["100x.json"]


@pytest.mark.parametrize("version", ["2.1", "../2.0", "", ".", "2.0/", "2.0\0"])
def test_what_is_not_installed_cannot_be_used_or_removed(version: str) -> None:
    """The message names what is; nothing that a person types is taken for a path."""
    install("2.0")
    for change in (updates.use, updates.remove):
        with pytest.raises(UsageError, match=r"no 100x model .* is installed\. Installed: 2\.0\."):
            change("100x", version)
    with pytest.raises(UsageError, match="unknown magnification"):
        updates.use("../100x", "2.0")


def test_a_folder_of_models_named_by_the_user_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EDGELEUK_MODELS says which models are meant, whatever is installed."""
    install("2.0")
    packed.folder(tmp_path / "models" / "100x", "9.9")
    monkeypatch.setenv("EDGELEUK_MODELS", str(tmp_path / "models"))
    assert registry.load("100x").version == "9.9"


# What is altered afterwards


@pytest.mark.parametrize("name", sorted([*packed.files("2.0"), "update.json"]))
@pytest.mark.parametrize("harm", ["altered", "gone"])
def test_an_altered_model_gives_way_to_the_one_that_came_with_the_program(
    store: Path, name: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Any byte of any file: a warning says so, the work goes on with a model that can be trusted."""
    install("2.0")
    path = store / "100x" / "2.0" / name
    if harm == "gone":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert registry.load("100x").folder == registry.shipped()["100x"]
    assert "the installed 100x model cannot be used" in caplog.text
    (version,) = updates.versions("100x")
    assert version.problem
    with pytest.raises(ModelError):
        updates.use("100x", "2.0")


def test_an_altered_model_is_an_error_where_none_came_with_the_program(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to fall back to."""
    monkeypatch.setattr(registry, "roots", lambda: [store / "none"])
    install("2.0")
    (store / "100x" / "2.0" / "reader.onnx").write_bytes(b"another")
    with pytest.raises(ModelAlteredError, match=r"reader\.onnx is not the one published"):
        registry.load("100x")


def test_installing_again_mends_an_altered_model(store: Path) -> None:
    """The archive on the stick is still whole."""
    install("2.0")
    (store / "100x" / "2.0" / "reader.onnx").write_bytes(b"another")
    assert not install("2.0").was_there
    assert registry.load("100x").folder == store / "100x" / "2.0"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"in_use": 3, "before": []}', '{"in_use": "2.0"}'])
def test_a_damaged_note_of_what_is_in_use_is_told_and_written_anew(
    store: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By the command that its message names."""
    install("2.0")
    (store / "100x.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert registry.load("100x").folder == registry.shipped()["100x"]
    assert "`edgeleuk models use 100x builtin`" in caplog.text
    updates.use("100x", "2.0")
    assert registry.load("100x").version == "2.0"


@pytest.mark.parametrize("version", ["../../elsewhere/100x", "/etc", "nul\0", "gone"])
def test_a_note_that_names_no_installed_version_is_not_followed(store: Path, version: str) -> None:
    """The one that came with the program is used."""
    install("2.0")
    (store / "100x.json").write_text(json.dumps({"in_use": version, "before": []}))
    assert registry.load("100x").folder == registry.shipped()["100x"]


# Faults

FAULTY = """
import os, signal, sys, errno
from pathlib import Path
sys.path[:0] = [{tests!r}]
import packed
from edgeleuk.models import updates
from edgeleuk.errors import EdgeleukError

store, fault = Path(sys.argv[1]), sys.argv[2]
old, new = packed.archive("2.0"), packed.archive("3.0")
CHANGES = {{"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}}


seen = 0


def faulty(number):
    def hook(event, arguments):
        global seen
        if event not in CHANGES or not str(arguments[0]).startswith(str(store)):
            return
        seen += 1
        if seen == number:
            if fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sys.addaudithook(hook)


for number in range(1, 200):
    if child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(number, code, flush=True)
        sys.stdin.readline()
        if code == {untouched}:
            break
        continue
    faulty(number)
    try:
        updates.install(new, lambda model: None)
    except EdgeleukError as error:
        print(error, flush=True)
        os._exit(error.exit_code)
    os._exit(0 if seen >= number else {untouched})
"""
"""Installs version 3.0 again and again; a fault strikes at the first change on the disk, at the second, and so on."""
UNTOUCHED = 77
"""Exit code of an installation that made fewer changes than the fault waited for."""


@pytest.mark.parametrize("fault", ["kill", "full"])
def test_an_installation_that_is_cut_off_anywhere_leaves_the_old_model_or_the_new_one(
    store: Path, fault: str
) -> None:
    """Killed, or refused by the disk, at every single change: what is in use is whole, and going on mends the rest."""
    install("2.0")
    before = packed.tree(store)
    script = FAULTY.format(tests=str(Path(__file__).parent), untouched=UNTOUCHED)
    command = [sys.executable, "-c", script, str(store), fault]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    ended = []
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as running:
        while line := running.stdout.readline():
            number, _, code = line.partition(" ")
            if not number.isdecimal():
                assert "What was in use is still in use" in line or "Nothing was changed" in line
                continue
            ended.append(int(code))
            model = registry.in_use("100x")
            assert model is not None and model.version in ("2.0", "3.0")
            if fault == "full" and model.version == "2.0" and "3.0" not in state():
                assert packed.tree(store).keys() == before.keys()
            if model.version == "3.0":
                updates.rollback("100x")
            if "3.0" in state():
                updates.remove("100x", "3.0")
            updates.use("100x", "2.0")
            assert {path.name for path in store.iterdir()} == {"100x", "100x.json"}
            running.stdin.write("\n")
            running.stdin.flush()
    assert ended[-1] == UNTOUCHED
    # What cannot be written is an OutputError, what cannot be read again a ModelError; what is only tidied up, nothing.
    codes = {OutputError.exit_code, ModelError.exit_code, 0}
    assert {*ended[:-1]} <= ({-signal.SIGKILL} if fault == "kill" else codes)
    assert len(ended) > 10


def test_a_store_on_a_read_only_place_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what can be done; a file in its way is the same."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGELEUK_MODEL_STORE", str(tmp_path / "file" / "store"))
    with pytest.raises(OutputError, match="name another folder in EDGELEUK_MODEL_STORE"):
        install("2.0")


def test_a_full_disk_leaves_everything_as_it_was(store: Path) -> None:
    """A real one, of 96 kB: what was in use is in use, and fits again when there is room."""
    with mounted(store, "-t", "tmpfs", "-o", "size=96k", "tmpfs"):
        install("2.0")
        before = packed.tree(store)
        large = packed.archive("2.1", README__md=b"#" * 60_000)
        with pytest.raises(OutputError, match=r"No space left on device\. What was in use is still in use\."):
            updates.install(large, willing)
        assert packed.tree(store) == before
        assert registry.load("100x").version == "2.0"
        updates.use("100x", registry.BUILTIN)
        updates.remove("100x", "2.0")
        updates.install(large, willing)


def test_two_installations_at_once_both_arrive() -> None:
    """One waits for the other."""
    script = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]; import packed; from edgeleuk.models import updates;"
        "updates.install(packed.archive(sys.argv[1]), lambda model: None)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    versions = ["2.0", "2.1", "2.2"]
    started = [
        subprocess.Popen([sys.executable, "-c", script, version], env=environment) for version in versions
    ]
    assert [each.wait(60) for each in started] == [0, 0, 0]
    assert sorted(state()) == versions
    assert sorted(registry.used("100x")) == [*versions, registry.BUILTIN]


def test_a_refused_model_leaves_no_trace(store: Path) -> None:
    """Not even the folder of the store, where this would have been the first."""

    def unwilling(_: registry.Model) -> None:
        raise ModelError("it does not work.")

    with pytest.raises(ModelError, match=r"^the model update is refused: it does not work\. Nothing"):
        updates.install(packed.archive(), unwilling)
    assert not store.exists()
