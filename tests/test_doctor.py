"""The doctor: what is well, what is not, and the command that mends it."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import packed
import pytest
from counted import started
from program import run
from test_models_update import Place
from test_store_faults import mounted

from edgeleuk.doctor import cameras, clock, machine, models, power, storage
from edgeleuk.doctor.bundle import bundle, faults
from edgeleuk.doctor.findings import Finding, Report, nameless
from edgeleuk.doctor.trial import UnfinishedError
from edgeleuk.errors import CameraError
from edgeleuk.models import registry
from edgeleuk.sessions import claim_source, open_store
from edgeleuk.sources import open_source
from edgeleuk.sources._v4l2 import Device
from edgeleuk.sources.camera import Source

PI_4 = "Features\t: fp asimd evtstrm crc32 cpuid\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
PI_5 = "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
XEON = "flags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sessions, installed models and the note of the best setting of this test's own."""
    monkeypatch.setenv("EDGELEUK_SESSIONS", str(tmp_path / "sessions" / "sessions.db"))
    monkeypatch.setenv("EDGELEUK_MODEL_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("EDGELEUK_MACHINE", str(tmp_path / "machine.json"))
    return tmp_path


# The computer


@pytest.mark.parametrize(
    ("cpuinfo", "fast"),
    [(PI_4, []), (PI_5, ["asimddp"]), (XEON, ["avx512_vnni"]), ("", [])],
)
def test_dot_products_are_told_by_the_kernels_flags(tmp_path: Path, cpuinfo: str, fast: list[str]) -> None:
    """A Pi 5 has them, a Pi 4 does not: there the measurement is asked for that finds the faster arithmetic."""
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    found = machine.processor(tmp_path / "cpuinfo")
    assert found.facts["dot_products"] == fast
    assert (found.state, found.remedy) == (("ok", "") if fast else ("warning", "edgeleuk bench"))


def test_a_processor_without_a_name_is_called_by_its_architecture_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under an emulator."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("edgeleuk.system.machine.processor", lambda: "aarch64")
    assert machine.processor(tmp_path / "none").said.startswith(f"aarch64, {os.cpu_count()} cores, ")


def test_a_32_bit_system_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no onnxruntime for it."""
    monkeypatch.setattr("platform.machine", lambda: "armv7l")
    found = machine.processor(tmp_path / "none")
    assert found.state == "failure"
    assert "64-bit" in found.advice


@pytest.mark.parametrize(("free_mb", "state"), [(3000, "ok"), (400, "warning"), (200, "failure")])
def test_memory_must_be_free(tmp_path: Path, free_mb: int, state: str) -> None:
    """What counts is what programs can have, not what nobody uses."""
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: 4000000 kB\nMemFree: 10 kB\nMemAvailable: {free_mb * 1_000_000 // 1024} kB\n")
    found = machine.memory(path)
    assert (found.state, found.facts["free_mb"]) == (state, pytest.approx(free_mb, abs=1))
    assert bool(found.remedy) == (state != "ok")


def test_memory_is_told_where_the_kernels_file_cannot_be_read(tmp_path: Path) -> None:
    """As a loop of links stands in for it under an emulator; what nobody uses is then the least that is free."""
    path = tmp_path / "meminfo"
    path.symlink_to(path)
    found = machine.memory(path)
    real = machine.memory()
    assert found.facts["total_mb"] == pytest.approx(real.facts["total_mb"], rel=0.01)
    assert 0 < found.facts["free_mb"] <= found.facts["total_mb"]
    assert (found.facts["at_least"], real.facts["at_least"]) == (True, False)
    assert found.said.startswith("at least ")


@pytest.mark.parametrize(("unused_mb", "state"), [(3000, "ok"), (100, "warning")])
def test_little_unused_memory_is_no_failure_where_more_may_be_free(
    tmp_path: Path, unused_mb: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel without MemAvailable says nothing of what its caches would give back."""
    (tmp_path / "meminfo").write_text("MemTotal: 4000000 kB\n")
    pages = {"SC_PAGE_SIZE": 1_000_000, "SC_PHYS_PAGES": 4096, "SC_AVPHYS_PAGES": unused_mb}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert machine.memory(tmp_path / "meminfo").state == state


def test_memory_of_which_nothing_is_told_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: str) -> int:
        raise ValueError

    monkeypatch.setattr(os, "sysconf", silent)
    assert machine.memory(tmp_path / "none").state == "warning"


def test_the_libraries_here_are_those_that_are_needed() -> None:
    """The tests run with them."""
    found = machine.libraries()
    assert found.state == "ok", found
    assert {*found.facts["versions"]} == {
        "jinja2",
        "msgspec",
        "numpy",
        "onnxruntime",
        "opencv",
        "rich",
        "simplejpeg",
        "typer",
    }
    assert machine.python().state == "ok"


# Models


def test_models_that_ship_are_well() -> None:
    """As published; that they also work is seen in the command's own test."""
    found = list(models.models(at_work=False))
    assert [each.check for each in found] == [f"model {name}" for name in registry.shipped()]
    assert {each.state for each in found} == {"ok"}


def test_an_altered_model_is_a_failure(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what brings it back."""
    packed.folder(place / "models" / "100x", "1").finder.path.write_bytes(b"altered")
    monkeypatch.setenv("EDGELEUK_MODELS", str(place / "models"))
    (found,) = models.models(at_work=False)
    assert (found.state, found.remedy) == ("failure", "unset EDGELEUK_MODELS")
    assert "is not the one published" in found.said
    shutil.rmtree(place / "models" / "100x")
    (found,) = models.models(at_work=False)
    assert (found.check, found.state) == ("models", "failure")


def test_what_came_with_the_program_is_brought_back_the_way_it_came(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its source, or by the bundle that it was installed from."""
    monkeypatch.setattr(registry, "roots", lambda: [place / "none"])
    monkeypatch.delenv("EDGELEUK_MODELS", raising=False)
    (found,) = models.models(at_work=False)
    assert found.remedy in ("git checkout -- models", "pip install --force-reinstall --no-deps .")
    monkeypatch.setattr(machine, "BUNDLED", Path(machine.__file__).parents[2])
    assert machine.again()[0] == "sudo bash install.sh"


def test_an_altered_installed_model_is_put_aside_by_the_command_that_is_named(place: Path) -> None:
    """A warning: the work is done with the model that came with the program."""
    from edgeleuk.models import updates

    updates.install(packed.archive("2.0"), lambda _: None)
    (place / "store" / "100x" / "2.0" / "README.md").write_text("altered")
    found = next(each for each in models.models(at_work=False) if each.check.startswith("installed"))
    assert found.state == "warning"
    for command in found.remedy.split(" && "):
        done = Place(place).models(*command.removeprefix("edgeleuk models ").split())
        assert done.returncode == 0, done.stderr
    assert {each.state for each in models.models(at_work=False)} == {"ok"}


@pytest.mark.parametrize(
    ("processor_s", "words", "remedy"),
    [
        (175.0, "after 180 s: this computer is too slow", "edgeleuk analyze --demo"),
        (20.0, "after 180 s, in 20 of which it had the processor", "ps aux --sort=-%cpu | head"),
    ],
)
def test_a_model_that_is_not_through_in_time_is_a_warning(
    processor_s: float, words: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was measured. The others are not tried, since each would take as long."""
    asked: list[str] = []

    def slow(model: registry.Model) -> None:
        asked.append(model.magnification)
        raise UnfinishedError(model, 180.0, processor_s)

    monkeypatch.setattr(models, "tried", slow)
    first, *others = models.models()
    assert (first.state, first.remedy, words in first.said) == ("warning", remedy, True), first.said
    assert (first.facts["seconds"], first.facts["processor_seconds"]) == (180, processor_s)
    assert (asked, {each.state for each in others}) == ([*registry.available()][:1], {"ok"})
    assert all("not tried" in each.said for each in others)


def test_an_installed_model_that_may_never_end_is_put_aside_by_the_command_that_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow computer and a model without an end look alike from outside."""
    from edgeleuk.models import updates

    updates.install(packed.archive("2.0"), lambda _: None)

    def slow(model: registry.Model) -> None:
        if model.version == "2.0":
            raise UnfinishedError(model, 180.0, 180.0)

    monkeypatch.setattr(models, "tried", slow)
    found = next(each for each in models.models() if each.state == "warning")
    assert "installed" in found.said
    command = found.advice.split("If it never ends: edgeleuk models ")[1]
    assert Place(place).models(*command.split()).returncode == 0
    assert {each.state for each in models.models()} == {"ok"}


# Cameras


def test_no_camera_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures can be analysed without one."""
    monkeypatch.setattr(cameras, "devices", tuple)
    (found,) = cameras.cameras()
    assert (found.check, found.state, found.remedy) == ("cameras", "warning", "edgeleuk cameras")


WEBCAM = Device(0, "Microscope Camera", True, "uvcvideo")
FORBIDDEN = Device(0, "Microscope Camera", False, problem="/dev/video0 may not be opened by you.")
CODEC = Device(10, "bcm2835-codec", True, "bcm2835-codec")


def never(_: str) -> Source:
    raise AssertionError("no camera is to be opened")


def test_a_camera_is_well_when_it_gave_a_picture(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was really opened: what is only listed may hang. A picture in a file stands for the camera."""
    cv2.imwrite(str(place / "camera.png"), np.full((240, 320, 3), (235, 225, 210), np.uint8))
    monkeypatch.setattr(cameras, "devices", lambda: (WEBCAM,))
    (found,) = cameras.cameras(opened=lambda _: open_source(str(place / "camera.png")))
    assert (found.check, found.state) == ("camera usb:0", "ok")
    assert found.said == "Microscope Camera gives pictures of 320 x 240 pixels."


def test_a_camera_that_does_not_open_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of what tried to open it."""

    def broken(_: str) -> Source:
        raise CameraError("usb:0 gives no pictures.")

    monkeypatch.setattr(cameras, "devices", lambda: (WEBCAM,))
    (found,) = cameras.cameras(opened=broken)
    assert (found.state, found.said) == ("failure", "Microscope Camera: usb:0 gives no pictures.")


def test_a_camera_that_a_count_uses_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """To open it would end the count."""
    script = (
        "import time; from edgeleuk.sessions import claim_source\n"
        "with claim_source('usb:0'): print('taken', flush=True); time.sleep(60)"
    )
    monkeypatch.setattr(cameras, "devices", lambda: (WEBCAM,))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout.readline() == b"taken\n"
        (found,) = cameras.cameras(opened=never)
        holder.kill()
    assert found.state == "ok"
    assert "not asked: usb:0 is in use by process" in found.said
    with claim_source("usb:0"):
        pass


def test_a_camera_that_may_not_be_opened_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command adds the user to the group."""
    monkeypatch.setattr(cameras, "devices", lambda: (FORBIDDEN,))
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = cameras.cameras()
    assert (found.state, found.remedy) == ("failure", 'sudo usermod -aG video "$USER"')


def test_a_pi_without_picamera2_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no camera of its own can be found without."""
    monkeypatch.setattr(cameras, "devices", lambda: (CODEC,))
    assert [each.check for each in cameras.cameras(opened=never)] == ["picamera2", "cameras"]


def test_permissions_are_seen_as_a_user_without_rights_sees_them(tmp_path: Path) -> None:
    """Devices and folders that are closed to this user are failures; no folder of somebody else's is to be taken."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    (tmp_path / "video0").touch(mode=0o600)
    (tmp_path / "closed").mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    script = (
        "import os, sys; from pathlib import Path; from edgeleuk.doctor import cameras, storage\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); place = Path(sys.argv[1])\n"
        "found = [cameras.groups(place)]\n"
        "for name in ('s.db', 'new/s.db', 'closed/s.db'):\n"
        "    os.environ['EDGELEUK_SESSIONS'] = str(place / name); found.append(storage.sessions()[0])\n"
        "for each in found: print(each.state, each.remedy)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines() == [
        'failure sudo usermod -aG video "$USER"',
        'failure export EDGELEUK_SESSIONS="$HOME/edgeleuk-sessions.db"',
        f'failure sudo install -d -o "$USER" {tmp_path}/new',
        'failure export EDGELEUK_SESSIONS="$HOME/edgeleuk-sessions.db"',
    ]


# Where sessions are kept


def test_a_first_use_is_well_and_leaves_nothing(place: Path) -> None:
    """The folder of the sessions is made by the first count, not by the doctor."""
    found, newest = storage.sessions()
    assert (found.state, newest) == ("ok", None)
    assert {each.check: each.state for each in storage.disk()}["write speed"] in ("ok", "warning")
    assert list(place.iterdir()) == []


def test_sessions_are_counted_and_the_newest_is_known(place: Path) -> None:
    """By the order in which they began."""
    with open_store() as store:
        ids = [started(store).id for _ in range(2)]
    found, newest = storage.sessions()
    assert (found.state, found.facts["sessions"], newest.id) == ("ok", 2, ids[1])
    (place / "sessions" / "sessions.db").write_bytes(b"something else, and long enough to be a database" * 9)
    found, newest = storage.sessions()
    assert (found.state, newest) == ("failure", None)
    assert "is no file of sessions" in found.said


def test_a_disk_that_is_full_read_only_or_slow_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its remedy."""
    with mounted(place / "sessions", "-t", "tmpfs", "-o", "size=300m", "tmpfs"):
        space, speed = storage.disk()
        assert (space.state, speed.state) == ("warning", "ok")
        assert space.remedy == "edgeleuk sessions list"
        with (place / "sessions" / "film").open("wb") as film:
            os.posix_fallocate(film.fileno(), 0, 285_000_000)
        assert next(iter(storage.disk())).state == "failure"
        subprocess.run(["mount", "-o", "remount,ro", place / "sessions"], check=True)
        _, speed = storage.disk()
        assert (speed.state, speed.remedy) == ("failure", "df -h")
        assert "Read-only" in speed.said
    monkeypatch.setattr(storage, "measure", lambda _: storage.Speed(0.9, 0.4))
    _, speed = storage.disk()
    assert (speed.state, "class A1" in speed.advice) == ("warning", True)


# The clock


@pytest.fixture
def session() -> Iterator[object]:
    """The summary of a session that began now."""
    with open_store() as store:
        yield started(store).summary


def at(session: object, **shift: float) -> datetime:
    return datetime.fromisoformat(session.started) + timedelta(**shift)


def test_a_clock_that_a_network_sets_is_right(session: object, tmp_path: Path) -> None:
    """The kernel knows whether one does."""
    found = clock.clock(session, now=lambda: at(session, hours=1), synchronised=lambda: True, chips=tmp_path)
    assert (found.state, found.remedy) == ("ok", "")
    assert clock.is_synchronised() in (True, False, None)


@pytest.mark.parametrize("synchronised", [True, False, None])
@pytest.mark.parametrize(
    ("shift", "text"),
    [({"days": -0.5}, "it was set back"), ({"days": -365 * 8}, "before this program was made")],
)
def test_a_clock_that_was_set_back_is_told(
    session: object, tmp_path: Path, shift: dict[str, float], text: str, synchronised: bool | None
) -> None:
    """By the newest session, and by when this program was made; sessions keep their order."""
    found = clock.clock(
        session, now=lambda: at(session, **shift), synchronised=lambda: synchronised, chips=tmp_path
    )
    assert (found.state, found.remedy[:12]) == ("warning", "sudo date -s")
    assert text in found.said
    assert "keep their order" in found.said


@pytest.mark.parametrize(("drift_s", "state"), [(3.0, "ok"), (1e8, "warning")])
def test_without_a_network_a_clock_with_a_battery_is_believed(
    session: object, tmp_path: Path, drift_s: float, state: str
) -> None:
    """A Pi 5's chip runs without a battery too, and is then far from the system's clock after a start."""
    now = at(session, hours=1)
    (tmp_path / "rtc0").mkdir()
    (tmp_path / "rtc0" / "since_epoch").write_text(f"{int(now.timestamp() - drift_s)}\n")
    assert clock.clock(session, now=lambda: now, synchronised=lambda: False, chips=tmp_path).state == state


def test_the_release_is_not_in_the_future() -> None:
    """It would call every clock wrong."""
    assert datetime.now(UTC) > clock.RELEASED


# Power and heat


@pytest.mark.parametrize(
    ("word", "state", "text"),
    [
        ("0x0", "ok", "never a hindrance"),
        ("0x1", "failure", "Now the voltage is too low."),
        ("0x50005", "failure", "Now the voltage is too low, it is throttled. (0x50005)"),
        ("0x50000", "warning", "Since the start, at some time: the voltage is too low, it is throttled."),
        ("0x80008", "warning", "Now the soft temperature limit is reached."),
        ("0x20000", "warning", "the clock rate is capped"),
    ],
)
def test_the_firmwares_flags_are_read(tmp_path: Path, word: str, state: str, text: str) -> None:
    """From the kernel's file or from vcgencmd; the voltage is mended by a supply, heat by a fan."""
    (by_command,) = power.power(tmp_path, lambda: f"throttled={word}\n")
    file = tmp_path / power.SYSFS
    file.parent.mkdir(parents=True)
    file.write_text(f"{word.removeprefix('0x')}\n")
    (by_kernel,) = power.power(tmp_path, lambda: "")
    assert by_kernel == by_command
    assert (by_kernel.state, by_kernel.facts["throttled"]) == (state, word)
    assert text in by_kernel.said
    assert ("supply" in by_kernel.advice) == ("voltage is" in by_kernel.said)


@pytest.mark.parametrize(("alarm", "state"), [("0", "ok"), ("1", "warning")])
def test_without_flags_the_kernels_sensor_is_asked(tmp_path: Path, alarm: str, state: str) -> None:
    """As on a system without Raspberry Pi's own tools."""
    sensor = tmp_path / "sys/class/hwmon/hwmon3"
    sensor.mkdir(parents=True)
    (sensor / "name").write_text("rpi_volt\n")
    (sensor / "in0_lcrit_alarm").write_text(f"{alarm}\n")
    (found,) = power.power(tmp_path, lambda: "Can't open device file: /dev/vcio")
    assert found.state == state


@pytest.mark.parametrize(("millidegrees", "state"), [(51_540, "ok"), (82_000, "warning")])
def test_heat_is_told_where_it_slows_a_pi_down(tmp_path: Path, millidegrees: int, state: str) -> None:
    """From 80 degrees on."""
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text(f"{millidegrees}\n")
    _, found = power.power(tmp_path, lambda: "")
    assert (found.check, found.state) == ("temperature", state)


# The report


def test_the_report_names_no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of the user become ~, also others' and those of sticks."""
    monkeypatch.setenv("HOME", "/home/maria")
    said = "/home/maria/.local/x and /media/maria/STICK/y, not /home/mariam/z; /opt/edgeleuk stays, and so /home."
    found = nameless(
        Finding("disk", "ok", said, "chown /home/maria", facts={"folders": ["/home/maria"], "n": 1})
    )
    assert found.said == "~/.local/x and ~/STICK/y, not ~/z; /opt/edgeleuk stays, and so /home."
    assert (found.remedy, found.facts) == ("chown ~", {"folders": ["~"], "n": 1})


def test_the_worst_finding_decides() -> None:
    """A warning leaves the work to be done, a failure does not."""
    well = Finding("a", "ok", "a")
    assert Report([well]).works
    assert Report([well, replace(well, state="warning")]).works
    assert not Report([well, replace(well, state="failure"), well]).works


LOG = """\
2026-11-27T09:00:01+0100 systemd[1]: Started edgeleuk-live.service - edgeleuk: counts the cells.
2026-11-27T09:00:09+0100 edgeleuk-live[712]:    0:00:08  started   usb:0, session 20261127-080009-ab.
2026-11-27T09:00:12+0100 edgeleuk-live[712]:    0:00:11  counted   field 1: 2 neutrophils, 1 lymphocyte
2026-11-27T09:00:15+0100 edgeleuk-live[712]:    0:00:14  note      Mrs Garcia, warning of a relapse
2026-11-27T09:00:19+0100 edgeleuk-live[712]:    0:00:18  warning   /home/maria/x: the disk is full on lab-7.
2026-11-27T09:01:01+0100 edgeleuk-live[712]: error: usb:0 gives no pictures any more.
2026-11-27T09:01:02+0100 systemd[1]: edgeleuk-live.service: Main process exited, code=exited, status=8/n/a
"""


def test_of_the_log_only_faults_are_kept() -> None:
    """Not what was counted, and not what the operator wrote, whatever words that holds."""
    kept = faults(LOG)
    assert [line.split()[1] for line in kept.splitlines()] == [
        "systemd[1]:", "edgeleuk-live[712]:", "edgeleuk-live[712]:", "edgeleuk-live[712]:", "systemd[1]:",
    ]  # fmt: skip
    assert not {"neutrophils", "Garcia"} & {*kept.replace(",", "").split()}


def test_the_support_archive_holds_nothing_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of the user or the computer, in no file of it."""
    monkeypatch.setenv("HOME", "/home/maria")
    monkeypatch.setenv("LOGNAME", "maria")
    monkeypatch.setattr("socket.gethostname", lambda: "lab-7")
    monkeypatch.setattr("socket.getfqdn", lambda: "lab-7.clinic.example")
    report = Report([nameless(Finding("disk", "ok", "/home/maria of lab-7.clinic.example"))])
    data = bundle(report, "the report of maria on lab-7", lambda: LOG)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        texts = {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
    assert {*texts} == {"README.txt", "report.json", "report.txt", "versions.txt", "log.txt", "faults.txt"}
    assert not any(name in text for name in ("maria", "lab-7", "clinic", "Garcia") for text in texts.values())
    assert json.loads(texts["report.json"])["checks"][0]["said"] == "~ of NAME"
    assert "numpy==" in texts["versions.txt"]


def test_the_command_examines_this_machine(place: Path) -> None:
    """A model at work, exit code 0 without a failure, a report within 80 columns, and an archive beside it."""
    (place / "models").mkdir()
    (place / "models" / "100x").symlink_to(registry.shipped()["100x"])
    done = run("doctor", "--bundle", place / "support.zip", EDGELEUK_MODELS=str(place / "models"))
    assert done.returncode == 0, done.stdout
    for check in (
        "processor",
        "memory",
        "libraries",
        "model 100x",
        "sessions",
        "write speed",
        "clock",
        "power",
    ):
        assert check in done.stdout
    assert "did its work on the sample" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    with zipfile.ZipFile(place / "support.zip") as archive:
        assert archive.testzip() is None
        text = b"".join(map(archive.read, archive.namelist())).decode()
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert f"{home}/" not in text


def test_a_failure_is_exit_code_1_and_json_alone_is_on_stdout(place: Path) -> None:
    """With the failing check, its state and its remedy; what `--quick` leaves out is said."""
    (place / "models").mkdir()
    done = run("doctor", "--quick", "--json", EDGELEUK_MODELS=str(place / "models"))
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["schema"], document["state"]) == ("edgeleuk-doctor/1", "failure")
    failed = [each for each in document["checks"] if each["state"] == "failure"]
    (found,) = failed
    assert found["check"] == "models"
    assert found["remedy"] == "unset EDGELEUK_MODELS"
    assert {*document["checks"][0]} == {"check", "state", "said", "remedy", "advice", "facts"}
