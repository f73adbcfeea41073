"""What several test modules share: the model that ships, the demo picture, the real data where it is."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import one_thread  # noqa: F401  # first: before what it is to limit
import pytest
import typer.testing
from hypothesis import HealthCheck, settings
from painted import painted_once
from skips import pytest_make_collect_report, pytest_runtest_makereport

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.models import registry
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Field, Frame

__all__ = ["painted_once", "pytest_make_collect_report", "pytest_runtest_makereport"]

# No example fails because the machine is busy. Where CI is set, the examples are the same each time, as hypothesis has it there.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")
# As the package does, for a test that loads onnxruntime before it: nothing leaves the machine.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Every call of the program builds all its commands, which takes more time than most of them. They are the same in each.
typer.main.get_command = typer.testing._get_command = functools.cache(typer.main.get_command)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As for a job in the background. Programs that tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is counted in a test, also in a process of its own, is never kept among the user's sessions."""
    path = tmp_path_factory.mktemp("sessions") / "sessions.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGELEUK_SESSIONS", str(path))
        # So that a model that a test tries is not remembered among the user's.
        patch.setenv("EDGELEUK_MODEL_STORE", str(path.parent / "models"))
        patch.setenv("EDGELEUK_FAULTS", str(path.with_name("faults.log")))
        patch.setenv("EDGELEUK_LANG", "en")  # whatever the locale of this machine
        # And so that counts do not state the site of whoever runs the tests.
        patch.setenv("EDGELEUK_SITE_FILE", str(path.with_name("site.toml")))
        for name in ("EDGELEUK_SITE", "EDGELEUK_DEVICE", "EDGELEUK_OPERATOR"):
            patch.delenv(name, raising=False)
        yield path


@pytest.fixture(scope="session")
def model() -> registry.Model:
    """The 100x model that ships."""
    return registry.load("100x")


@pytest.fixture(scope="session")
def analyser(model: registry.Model) -> Analyser:
    return Analyser(model)


@pytest.fixture(scope="session")
def demo_frame() -> Frame:
    return read_picture(Path(demo_picture()))


@pytest.fixture(scope="session")
def demo_field(analyser: Analyser, demo_frame: Frame) -> Field:
    """The demo picture, analysed without being told its scale."""
    return analyser.analyse(demo_frame)


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data; tests that need it are skipped, with this reason, where it is not."""
    named = os.environ.get("EDGELEUK_DATA")
    if not named:
        pytest.skip("EDGELEUK_DATA is not set: the real data is not here")
    return Path(named)
