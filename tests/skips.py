"""Reasons for which a test may be skipped. A skip for any other reason is a failure; conftest.py takes these hooks."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

ANYWHERE = (
    "EDGELEUK_DATA is not set: ",
    "mounting is not permitted here: ",
    "only glibc keeps memory so, and can be told not to",
    "only root can ",
    "there is a camera here",
    "there is a Pi camera here",
    "this SQLite does not tell which page is whose: ",
)
"""What depends on the machine, its user or data that cannot be published: how each reason begins."""
NOT_IN_CI = (
    "chromium is not installed: ",
    "faketime is not installed: ",
    "installs on Linux, from a checkout",
    "no PDF can be printed here: ",
    "openssl is not installed",
    "shellcheck is not installed",
    "strace is not installed: ",
    "systemd-analyze is not installed",
    "the extra `dev` is not installed",
    "the extra `signing` is not installed",
    "the extra `train` is not installed",
    "the extra `web` is not installed",
    "this comes with a checkout",
    "tkinter is not installed",
    "xvfb-run is not installed: ",
)
"""What `.ci/run` installs, or a checkout has: where the variable CI is set, these are failures too."""


def refused(reason: str) -> str | None:
    """Why a reason is none to skip a test; None for a listed one."""
    if reason.startswith(ANYWHERE):
        return None
    if not reason.startswith(NOT_IN_CI):
        return "a skip whose reason is not listed in tests/skips.py"
    return "a skip that CI does not allow, see tests/skips.py" if os.environ.get("CI") else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    return judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    return judged((yield))


def judged(report: Any) -> Any:
    """The report of a test or a module; failed if it was skipped without a good reason."""
    if report.skipped and not hasattr(report, "wasxfail"):
        path, line, said = report.longrepr
        if fault := refused(said.removeprefix("Skipped: ")):
            report.outcome, report.longrepr = "failed", f"{path}:{line}: {fault}: {said}"
    return report
