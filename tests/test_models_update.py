"""`edgeleuk models install` and its kin as a user meets them: what is printed, exit codes, what then is used."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import packed
import pytest
from program import Run, processed

from edgeleuk import cli
from edgeleuk.models import registry


class Place:
    """A folder to work in with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"

    @property
    def environment(self) -> dict[str, str]:
        return {"EDGELEUK_MODEL_STORE": str(self.store), "EDGELEUK_KEYS": "", "EDGELEUK_MODELS": ""}

    def models(self, *arguments: object) -> Run:
        """A command about models at 80 columns; in this process, where it starts at once."""
        command = ["edgeleuk", "models", *map(str, arguments)]
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in (self.environment | {"COLUMNS": "80", "NO_COLOR": "1"}).items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", command)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return Run(command, ended.value.code or 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def installed(place: Place) -> Run:
    """The model that ships, packed and installed: both networks were opened and run."""
    done = place.models("pack", "100x")
    assert (done.returncode, done.stdout) == (0, "")
    assert "edgeleuk-100x-0.2.0.zip: 6.5 MB, not signed" in done.stderr
    return place.models("install", "edgeleuk-100x-0.2.0.zip")


def test_a_packed_model_is_installed_and_used(place: Place, installed: Run) -> None:
    """What is done is said on stderr; that nobody vouches for it is a warning."""
    assert installed.returncode == 0, installed.stderr
    assert installed.stdout == ""
    assert "the 100x model 0.2.0 is installed, and is in use" in installed.stderr
    assert "warning: it is not signed" in installed.stderr
    shown = place.models("show", "100x").stdout
    assert str(place.store / "100x" / "0.2.0").replace("\n", "") in shown.replace("\n", "")


def test_the_archive_is_the_same_each_time(place: Place, installed: Run) -> None:
    """So that two sticks can be compared; `-` reads it from a pipe."""
    assert installed.returncode == 0
    assert place.models("pack", registry.shipped()["100x"], "--out", "again.zip").returncode == 0
    again, first = ((place.folder / name).read_bytes() for name in ("again.zip", "edgeleuk-100x-0.2.0.zip"))
    assert again == first


def test_installed_versions_are_listed(place: Place, installed: Run) -> None:
    """For a person within 80 columns, and as JSON beside the models that are used."""
    assert installed.returncode == 0
    listed = place.models("list")
    assert "Installed" in listed.stdout
    assert "came with the program" in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 80
    found = {each["magnification"]: each for each in json.loads(place.models("list", "--json").stdout)}
    assert found["100x"]["installed"] == [
        {"magnification": "100x", "version": "0.2.0", "in_use": True, "signed": False, "problem": None}
    ]
    assert found["40x"]["installed"] == []


def test_versions_are_switched(place: Place, installed: Run) -> None:
    """Rollback, use and remove say what they did; what cannot be is a wrong use."""
    assert installed.returncode == 0
    done = place.models("rollback", "100x")
    assert (done.returncode, done.stderr) == (0, "the 100x model builtin is in use again\n")
    assert place.models("rollback", "100x").returncode == 2
    assert "no 100x model '7' is installed. Installed: 0.2.0" in place.models("use", "100x", "7").stderr
    assert place.models("use", "100x", "0.2.0").stderr == "the 100x model 0.2.0 is in use\n"
    assert "is in use and is not removed" in place.models("remove", "100x", "0.2.0").stderr


def test_an_altered_model_is_not_used_and_verify_fails(tmp_path: Path) -> None:
    """One warning on stderr, the work is done with the model that came with the program; `verify` exits with 4."""
    other = Place(tmp_path)
    folder = other.store / "40x" / "2.0"
    packed.folder(folder, "2.0", "40x")
    text = json.dumps(packed.update(packed.files("2.0", "40x"), "2.0", "40x"))
    (folder / "update.json").write_text(text.replace("0", "1"))
    (other.store / "40x.json").write_text('{"in_use": "2.0", "before": []}')
    done = processed("models", "show", "40x", "--json", **other.environment)  # which shows what is logged
    assert json.loads(done.stdout)["version"] == registry.read_manifest(registry.shipped()["40x"]).version
    assert done.stderr.count("warning:") == 1
    assert "the one that came with the program is used instead" in done.stderr
    done = other.models("verify", "40x")
    assert done.returncode == 4
    assert "installed 40x model 2.0" in done.stderr
    assert "altered: see `models verify`" in other.models("list").stdout


def test_a_model_that_does_not_work_is_not_installed(place: Place) -> None:
    """A whole archive with networks that are none: exit code 4, the reason, and no trace."""
    (place.folder / "hostile.zip").write_bytes(packed.archive("6.6"))
    before = packed.tree(place.store)
    done = place.models("install", "hostile.zip")
    assert done.returncode == 4
    assert "the 100x model 6.6 does not work: onnxruntime cannot open finder.onnx" in done.stderr
    assert "Nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert packed.tree(place.store) == before


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["install", "gone.zip"], 3, "cannot read gone.zip: No such file or directory"),
        (["install", "."], 3, "cannot read .: it is a folder, no file"),
        (["install", "text.zip"], 3, "the model update is refused: it is no archive made by"),
        (["use", "63x", "2.0"], 2, "unknown magnification"),
        (["pack", "63x"], 2, "unknown magnification"),
        (["trust", "text.zip"], 3, "is no public key in PEM"),
        (["trust", "--forget", "0123"], 2, "no key '0123' is trusted. Trusted: none."),
        (["trust", "text.zip", "--forget", "0123"], 2, "not both at once"),
    ],
)
def test_wrong_requests_say_what_to_do(place: Place, arguments: list[str], code: int, text: str) -> None:
    """One line and the documented exit code."""
    (place.folder / "text.zip").write_text("Please find the model attached. " * 10)
    done = place.models(*arguments)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_signed_model_is_installed_with_its_key(tmp_path: Path) -> None:
    """The way of a signature from the command that makes it to the one that believes it."""
    pytest.importorskip("cryptography", reason="the extra `signing` is not installed")
    from test_signing import ed25519, pem

    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    (tmp_path / "secret.pem").write_bytes(pem(key, public=False))
    (tmp_path / "public.pem").write_bytes(pem(key, public=True))
    other = Place(tmp_path)
    assert "No keys are trusted" in other.models("trust").stdout
    assert other.models("trust", "public.pem").returncode == 0
    (name,) = json.loads(other.models("trust", "--json").stdout)["keys"]
    assert "signed" in other.models("pack", "10x", "--key", "secret.pem", "--out", "10x.zip").stderr
    done = other.models("install", "10x.zip", "--keep")
    version = registry.load("10x").version
    assert (
        done.stderr
        == f"the 10x model {version} is installed, beside the one in use\nsigned with the trusted key {name}\n"
    )
    assert other.models("trust", "--forget", name).stderr == f"key {name} is not trusted any more\n"
