"""The installer, in a tree with a small stand-in of the program: what is there stays whole, whatever fails."""

from __future__ import annotations

import ensurepip
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeleuk.system import language

DEPLOY = Path(__file__).parents[1] / "deploy"
STEPS = ("build", "try", "account", "halt", "save", "files", "answered", "switch", "prove", "start")
PROGRAM = """
import os, sys
from pathlib import Path
VERSION = {version!r}
def main():
    if "--version" in sys.argv:
        print("edgeleuk", VERSION)
    if sys.argv[1:2] == ["sessions"]:
        # As a new schema would: the file is brought up to it at the first look.
        Path(os.environ["EDGELEUK_SESSIONS"]).write_text("sessions of " + VERSION)
    if sys.argv[1:2] == ["doctor"]:
        print("no camera was found")
        sys.exit(1)
"""
QUICK_PIP = """
import stat, sys, zipfile
from pathlib import Path
wheels = Path(sys.argv[sys.argv.index("--find-links") + 1])
archive = zipfile.ZipFile(next(wheels.glob("edgeleuk-*.whl")))
archive.extractall(next(Path(sys.prefix).glob("lib/python3*/site-packages")))
script = Path(sys.prefix) / "bin" / "edgeleuk"
script.write_text(f"#!{sys.executable}\\nimport edgeleuk\\nedgeleuk.main()\\n")
script.chmod(0o755)
"""
"""Does of pip what a bundle needs, in a tenth of the time. The first installation is by pip itself."""
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not DEPLOY.is_dir(), reason="installs on Linux, from a checkout"
)


def wheel(folder: Path, version: str) -> None:
    """A wheel of a program `edgeleuk` that knows its version and touches the sessions as the real one does."""
    info = f"edgeleuk-{version}.dist-info"
    files = {
        "edgeleuk/__init__.py": PROGRAM.format(version=version),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: edgeleuk\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nedgeleuk = edgeleuk:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"edgeleuk-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def sign(folder: Path) -> None:
    """Write SHA256SUMS, as bundle.sh does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  ./{p.relative_to(folder)}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def bundle(folder: Path, version: str, real_pip: bool = False) -> Path:
    """A bundle as bundle.sh makes it, with the stand-in for a program."""
    (folder / "wheels").mkdir(parents=True)
    wheel(folder / "wheels", version)
    if real_pip:
        # Debian keeps the wheel that others bundle in a folder of its own.
        places = [Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels")]
        pip = next(wheel for place in places for wheel in place.glob("pip-*.whl"))
        shutil.copy(pip, folder / "wheels")
    else:
        with zipfile.ZipFile(folder / "wheels" / "pip-0-py3-none-any.whl", "w") as archive:
            archive.writestr("pip/__init__.py", "")
            archive.writestr("pip/__main__.py", QUICK_PIP)
    for name in ("install.sh", "edgeleuk-live", "README.md", "site.toml"):
        shutil.copy(DEPLOY / name, folder)
    shutil.copytree(DEPLOY / "systemd", folder / "systemd")
    (folder / "licences").mkdir()
    (folder / "licences" / "LICENCES.txt").write_text("edgeleuk: Apache-2.0\n")
    (folder / "sbom.cdx.json").write_text("{}\n")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "BUNDLE").write_text(
        f"version={version}\npython={python}\narch={platform.machine()}\ncommit=0\n"
    )
    sign(folder)
    return folder


def without_checkout() -> dict[str, str]:
    """An environment in which the installed program is the one that runs, not the one under test."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def install(
    bundled: Path, root: Path, *options: str, fail_at: str = "", code: int = 0
) -> subprocess.CompletedProcess[str]:
    environment = without_checkout() | {"EDGELEUK_INSTALL_FAIL_AT": fail_at, "PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", str(bundled / "install.sh"), "--root", str(root), *options],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


def files_of(root: Path) -> dict[str, str]:
    """Every file and link of a tree outside the versions, with what it holds."""
    return {
        str(path.relative_to(root)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(root.rglob("*"))
        if "versions" not in path.relative_to(root).parts and (path.is_symlink() or path.is_file())
    }


def version(root: Path) -> str:
    return subprocess.run(
        [str(root / "usr/local/bin/edgeleuk"), "--version"],
        capture_output=True, text=True, check=True, env=without_checkout(),
    ).stdout.strip()  # fmt: skip


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {name: bundle(folder / name, name, real_pip=name == "1.0") for name in ("1.0", "2.0")}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]) -> Path:
    """A tree with 1.0 installed and used: sessions of its schema, a profile, options of the operator's own."""
    tree = tmp_path_factory.mktemp("root")
    done = install(bundles["1.0"], tree)
    assert ["no camera was found", "mend what failed" in done.stdout] == [done.stdout.splitlines()[-3], True]
    (tree / "var/lib/edgeleuk/sessions.db").write_text("sessions of 1.0")
    (tree / "var/lib/edgeleuk/profile.json").write_text("a microscope")
    (tree / "etc/edgeleuk/live.env").write_text("EDGELEUK_MAG=40x\n")
    return tree


def test_it_installs_what_runs(root: Path) -> None:
    """The wrapper, the services and the options are there, and their paths lead to what was installed."""
    assert version(root) == "edgeleuk 1.0"
    unit = (root / "etc/systemd/system/edgeleuk-live.service").read_text()
    assert f"ExecStart={root}/opt/edgeleuk/current/edgeleuk-live --plain" in unit
    assert (root / "opt/edgeleuk/current/edgeleuk-live").stat().st_mode & 0o111
    assert not list(root.rglob("*.partial"))


def test_again_changes_nothing(root: Path, bundles: dict[str, Path]) -> None:
    """Installing twice is as installing once; sessions, profile and options stay."""
    before = files_of(root)
    before["var/lib/edgeleuk/sessions.db"] = "sessions of 1.0"
    done = install(bundles["1.0"], root)
    assert files_of(root) == before
    assert "already unpacked" in done.stdout


def lose_a_bit(version: Path) -> None:
    program = next(version.glob("venv/lib/python3*/site-packages/edgeleuk/__init__.py"))
    program.write_text(program.read_text().replace("print", "prunt"))


def lose_a_file(version: Path) -> None:
    next(version.glob("venv/lib/python3*/site-packages/edgeleuk/__init__.py")).unlink()


def lose_python(version: Path) -> None:
    (version / "venv/bin/python").unlink()


def lose_the_end(version: Path) -> None:
    """As a build that a power cut ended, and that somebody linked by hand."""
    (version / "whole").unlink()


@pytest.mark.parametrize("harm", [lose_a_bit, lose_a_file, lose_python, lose_the_end])
def test_again_mends_a_damaged_installation(
    harm: Callable[[Path], None], tmp_path: Path, bundles: dict[str, Path]
) -> None:
    """It is built anew from the bundle; sessions, profile and options stay."""
    install(bundles["2.0"], tmp_path)
    (tmp_path / "var/lib/edgeleuk/profile.json").write_text("a microscope")
    before = files_of(tmp_path)
    harm((tmp_path / "opt/edgeleuk/current").resolve())
    done = install(bundles["2.0"], tmp_path)
    assert "it is damaged, and is built anew" in done.stdout
    assert version(tmp_path) == "edgeleuk 2.0"
    assert files_of(tmp_path) == before
    assert "it is damaged" not in install(bundles["2.0"], tmp_path).stdout


@pytest.mark.parametrize("step", ["after-build", "try", "after-prove"])
def test_a_mending_that_fails_leaves_the_damaged_one(
    step: str, tmp_path: Path, bundles: dict[str, Path]
) -> None:
    """Most of it may still work, and that is more than nothing."""
    install(bundles["2.0"], tmp_path)
    lost = next((tmp_path / "opt/edgeleuk/current/venv").glob("lib/python3*/site-packages/*/METADATA"))
    lost.write_text("lost")
    before = files_of(tmp_path)
    done = install(bundles["2.0"], tmp_path, fail_at=step, code=1)
    assert "is as it was" in done.stderr
    assert (version(tmp_path), lost.read_text(), files_of(tmp_path)) == ("edgeleuk 2.0", "lost", before)


def test_a_mending_that_a_power_cut_ends_is_begun_again(tmp_path: Path) -> None:
    """By the next run, from what was there before."""
    torn, root = bundle(tmp_path / "torn", "2.0"), tmp_path / "root"
    script = (torn / "install.sh").read_text()
    (torn / "install.sh").write_text(
        script.replace("\ntry() {\n", '\ntry() {\n    [ ! -e "$root/cut" ] || kill -9 $$\n')
    )
    sign(torn)
    install(torn, root)
    before = files_of(root)
    lose_a_bit((root / "opt/edgeleuk/current").resolve())
    (root / "cut").touch()
    install(torn, root, code=-9)
    (root / "cut").unlink()
    done = install(torn, root)
    assert ["cut off" in done.stdout, "it is damaged" in done.stdout] == [True, True]
    assert (version(root), files_of(root)) == ("edgeleuk 2.0", before)


def test_another_version_needs_the_word(root: Path, bundles: dict[str, Path]) -> None:
    """Nobody replaces a version by mistake."""
    done = install(bundles["2.0"], root, code=1)
    assert "--upgrade" in done.stderr
    assert version(root) == "edgeleuk 1.0"


@pytest.mark.parametrize("step", [*STEPS, "after-switch", "after-prove", "after-start"])
def test_a_failed_upgrade_leaves_everything_as_it_was(
    step: str, root: Path, bundles: dict[str, Path]
) -> None:
    """At whichever step: the old program runs, its sessions are of its schema again, and the new one is gone."""
    before, versions = files_of(root), set((root / "opt/edgeleuk/versions").iterdir())
    done = install(bundles["2.0"], root, "--upgrade", fail_at=step, code=1)
    assert files_of(root) == before
    assert set((root / "opt/edgeleuk/versions").iterdir()) == versions
    assert version(root) == "edgeleuk 1.0"
    assert f'step "{step.removeprefix("after-")}" failed' in done.stderr
    assert "is as it was" in done.stderr


ANSWERS = 'site = "Kisumu \\"North\\" #2"\ndevice = "bench-1"\nobjective = "40x"\ntarget = 300\nprofile = "bench-1"\nlanguage = "fr"\n'


def test_answers_name_the_machine_and_set_its_options(tmp_path: Path, bundles: dict[str, Path]) -> None:
    """Also where it is installed again; other options stay, and the program is told where the identity is."""
    tree, answers = tmp_path / "root", tmp_path / "site.toml"
    install(bundles["2.0"], tree)
    live = tree / "etc/edgeleuk/live.env"
    live.write_text(live.read_text().replace("EDGELEUK_SOURCE=", "EDGELEUK_SOURCE=usb:1"))
    answers.write_text(ANSWERS)
    done = install(bundles["2.0"], tree, "--answers", str(answers))
    assert 'this machine is device bench-1 of site Kisumu "North" #2' in done.stdout
    told = tomllib.loads((tree / "etc/edgeleuk/site.toml").read_text())
    assert told == {"site": 'Kisumu "North" #2', "device": "bench-1", "operator": ""}
    options = [line for line in live.read_text().splitlines() if line.startswith("EDGELEUK_")]
    assert [line for line in options if not line.endswith("=")] == [
        "EDGELEUK_SOURCE=usb:1",
        "EDGELEUK_MAG=40x",
        "EDGELEUK_TARGET=300",
        "EDGELEUK_PROFILE=bench-1",
        "EDGELEUK_RESUME=restart",
        "EDGELEUK_LANG=fr",
    ]
    assert "EDGELEUK_MAG=40x" in (tree / "etc/edgeleuk/web.env").read_text()
    assert f"{tree}/etc/edgeleuk/site.toml" in (tree / "usr/local/bin/edgeleuk").read_text()
    before = files_of(tree)
    answers.write_text(ANSWERS.replace("40x", "10x").replace("bench-1", "bench-9"))
    install(bundles["2.0"], tree, "--answers", str(answers), fail_at="start", code=1)
    assert files_of(tree) == before


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ('site = "a"', "device is missing"),
        ('site = "a"\ndevice = ""', "device is empty"),
        ('site = "a"\ndevice = "b"\nobjective = "60x"', "objective is none of 100x, 40x, 10x"),
        ('site = "a"\ndevice = "b"\ntarget = "200"', "target is no whole number"),
        ('site = "a"\ndevice = "b"\nlanguage = "sw"', "language is none of en, fr, ur"),
        ('site = "a"\ndevice = "b"\ncolour = "red"', "colour is unknown; known here: site, device"),
        ("site = ", "cannot be read"),
    ],
)
def test_wrong_answers_are_refused_before_anything_changes(
    answers: str, said: str, tmp_path: Path, bundles: dict[str, Path]
) -> None:
    """With all that is wrong, and the example to compare with."""
    (tmp_path / "site.toml").write_text(answers)
    done = install(bundles["2.0"], tmp_path / "root", "--answers", str(tmp_path / "site.toml"), code=1)
    assert said in done.stderr
    assert "Compare them with" in done.stderr
    assert not (tmp_path / "root/etc").exists()


def test_answers_know_the_languages_of_the_catalogues() -> None:
    """A new catalogue is a language that an answer may name."""
    known = ", ".join(f'"{code}"' for code in language.codes())
    assert f'"language": ({known}),' in (DEPLOY / "install.sh").read_text(encoding="utf-8")


def test_the_example_of_the_answers_is_right(tmp_path: Path, bundles: dict[str, Path]) -> None:
    """As it ships, it can be used."""
    done = install(bundles["2.0"], tmp_path / "root", "--answers", str(bundles["2.0"] / "site.toml"))
    assert "this machine is device bench-1 of site Kisumu North" in done.stdout


def test_a_power_cut_is_undone_by_the_next_run(root: Path, bundles: dict[str, Path]) -> None:
    """The way back lies on the disk: killed in the middle, the next run first restores what was."""
    before = files_of(root)
    with (bundles["2.0"] / "install.sh").open() as script:
        killed = script.read().replace("\nprove() {\n", "\nprove() {\n    kill -9 $$\n")
    torn = bundles["2.0"].parent / "torn"
    shutil.copytree(bundles["2.0"], torn)
    (torn / "install.sh").write_text(killed)
    sign(torn)
    install(torn, root, "--upgrade", code=-9)
    assert files_of(root) != before
    done = install(bundles["2.0"], root, code=1)  # is refused for want of --upgrade, after it was undone
    assert "cut off" in done.stdout
    assert files_of(root) == before


def test_an_upgrade_keeps_data_and_uninstalling_too(root: Path, bundles: dict[str, Path]) -> None:
    """The new version runs on the old data; without --purge data and options outlive the program."""
    install(bundles["2.0"], root, "--upgrade")
    assert version(root) == "edgeleuk 2.0"
    kept = {"var/lib/edgeleuk/profile.json": "a microscope", "etc/edgeleuk/live.env": "EDGELEUK_MAG=40x\n"}
    assert kept.items() <= files_of(root).items()
    install(bundles["2.0"], root, "--uninstall")
    options = {"etc/edgeleuk/web.env": (DEPLOY / "systemd" / "web.env").read_text()}
    assert files_of(root) == kept | options | {"var/lib/edgeleuk/sessions.db": "sessions of 2.0"}
    install(bundles["2.0"], root, "--uninstall", "--purge")
    assert files_of(root) == {}


def test_a_failed_first_installation_leaves_nothing(tmp_path: Path, bundles: dict[str, Path]) -> None:
    """There is no old version to go back to, so there is none."""
    done = install(bundles["2.0"], tmp_path, fail_at="after-switch", code=1)
    assert "nothing is installed" in done.stderr
    assert files_of(tmp_path) == {}


@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_damaged_bundle_is_refused(harm: str, tmp_path: Path) -> None:
    """A stick loses bits; nothing of such a bundle is used."""
    damaged = bundle(tmp_path / "damaged", "3.0")
    file = next((damaged / "wheels").glob("edgeleuk-*.whl"))
    if harm == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    else:
        file.unlink()
    done = install(damaged, tmp_path / "root", code=1)
    assert "damaged" in done.stderr
    assert files_of(tmp_path / "root") == {}


@pytest.mark.parametrize(
    ("line", "words"), [("arch=riscv64", "riscv64, this computer is"), ("python=3.2", "Python 3.2, here is")]
)
def test_a_bundle_for_another_computer_is_refused(line: str, words: str, tmp_path: Path) -> None:
    """With the word of which bundle it must be."""
    other = bundle(tmp_path / "other", "3.0")
    key = line.split("=")[0]
    text = (other / "BUNDLE").read_text().splitlines()
    (other / "BUNDLE").write_text("\n".join(line if each.startswith(key) else each for each in text) + "\n")
    sign(other)
    done = install(other, tmp_path / "root", code=1)
    assert words in done.stderr
    assert "bundle.sh" in done.stderr


def launch(tree: Path, state: Path, **options: str) -> list[str]:
    """What the service's launcher in `tree` runs as `edgeleuk live`."""
    done = subprocess.run(
        [str(tree / "edgeleuk-live"), "--plain"],
        capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "STATE_DIRECTORY": str(state), "EDGELEUK_MAG": "40x", **options},
    )  # fmt: skip
    return done.stdout.split()


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """The launcher beside a stand-in of the program, which has one session, s0, interrupted at 40x."""
    (tmp_path / "venv/bin").mkdir(parents=True)
    shutil.copy(DEPLOY / "edgeleuk-live", tmp_path)
    (tmp_path / "venv/bin/python").symlink_to(sys.executable)
    program = tmp_path / "venv/bin/edgeleuk"
    program.write_text(f'#!/bin/sh\nif [ $1 = sessions ]; then cat {tmp_path}/listed; else echo "$@"; fi\n')
    program.chmod(0o755)
    interrupt(tmp_path, "s0")
    return tmp_path


def interrupt(tree: Path, session: str) -> None:
    """This session is now the newest, and was interrupted."""
    about = f'{{"id": "{session}", "state": "interrupted", "fields": 3, "magnification": "40x"}}'
    (tree / "listed").write_text(f'{{"sessions": [{about}]}}')


BEGUN = ["live", "--mag", "40x", "--target", "200", "--plain"]


def test_the_service_goes_on_after_a_fault_but_not_for_ever(launcher: Path, tmp_path: Path) -> None:
    """Within one boot the slide is the same; a session that breaks the count three times is left."""
    assert launch(launcher, tmp_path) == BEGUN  # of before this boot, as far as anybody knows
    interrupt(launcher, "s1")
    for _ in range(3):
        assert launch(launcher, tmp_path) == ["live", "--resume", "s1", "--plain"]
    assert launch(launcher, tmp_path) == BEGUN


def test_the_service_begins_anew_after_a_power_cut(launcher: Path, tmp_path: Path) -> None:
    """Another slide may lie there by now; unless the operator says that sessions go on always."""
    launch(launcher, tmp_path)
    interrupt(launcher, "s1")
    assert launch(launcher, tmp_path, EDGELEUK_BOOT="the-next") == BEGUN
    assert "--resume" in launch(launcher, tmp_path, EDGELEUK_BOOT="after-that", EDGELEUK_RESUME="always")
    assert launch(launcher, tmp_path, EDGELEUK_RESUME="no") == BEGUN


def test_a_start_without_a_camera_brings_no_session_of_before_the_power_cut_back(
    launcher: Path, tmp_path: Path
) -> None:
    """The first start of a boot may fail for want of a camera, again and again; no later one goes on with the old slide."""
    for _ in range(3):
        assert launch(launcher, tmp_path) == BEGUN
    interrupt(launcher, "s1")
    assert launch(launcher, tmp_path) == ["live", "--resume", "s1", "--plain"]


def test_sessions_that_cannot_be_read_hinder_no_count(launcher: Path, tmp_path: Path) -> None:
    """And once they can be, the boot is known."""
    (launcher / "listed").write_text("no JSON")
    assert launch(launcher, tmp_path) == BEGUN
    interrupt(launcher, "s0")
    assert launch(launcher, tmp_path) == BEGUN


def test_the_service_takes_its_options_from_the_environment(launcher: Path, tmp_path: Path) -> None:
    """As /etc/edgeleuk/live.env gives them; another magnification is another session."""
    found = launch(
        launcher, tmp_path, EDGELEUK_RESUME="always", EDGELEUK_MAG="100x", EDGELEUK_SOURCE="usb:0",
        EDGELEUK_UM_PER_PX="0.1", EDGELEUK_PROFILE="bench-2", EDGELEUK_TARGET="100", EDGELEUK_OPTIONS="--width 1280 --height 720",
    )  # fmt: skip
    expected = "live --um-per-px 0.1 --profile bench-2 --source usb:0 --mag 100x --target 100 --plain --width 1280 --height 720"
    assert found == expected.split()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_pass_shellcheck() -> None:
    """Every script, without an exception that is not explained beside it."""
    scripts = [*map(str, sorted(DEPLOY.glob("*.sh"))), str(DEPLOY / "edgeleuk-live")]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.stdout == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", ["edgeleuk-live", "edgeleuk-console", "edgeleuk-web"])
def test_units_are_valid_and_hardened(unit: str, tmp_path: Path) -> None:
    """`verify` has nothing to say, and the exposure is 3.0 or less."""
    for name in ("edgeleuk-live", "venv/bin/edgeleuk"):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    text = (DEPLOY / "systemd" / f"{unit}.service").read_text()
    placed = tmp_path / f"{unit}.service"
    placed.write_text(text.replace("/opt/edgeleuk/current", str(tmp_path)))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(placed)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(placed)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert exposed.returncode == 0, exposed.stdout
