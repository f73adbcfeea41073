"""Which tests may be skipped: those whose reason is listed, and in CI only what no package would run."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from skips import ANYWHERE, NOT_IN_CI, refused

HERE = Path(__file__).parent


def test_a_listed_reason_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that are not here anywhere; software that is not here, but in CI."""
    monkeypatch.delenv("CI", raising=False)
    assert all(refused(f"{each}and more") is None for each in (*ANYWHERE, *NOT_IN_CI))
    monkeypatch.setenv("CI", "true")
    assert [refused(each) for each in ANYWHERE] == [None] * len(ANYWHERE)
    assert {refused(each) for each in NOT_IN_CI} == {"a skip that CI does not allow, see tests/skips.py"}


def test_any_other_reason_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that only names a listed one."""
    monkeypatch.delenv("CI", raising=False)
    for reason in ("flaky", "today there is a camera here"):
        assert refused(reason) == "a skip whose reason is not listed in tests/skips.py"


SKIPPED = (
    "def test_it(): pytest.skip('there is a camera here')",
    "def test_it(): pytest.skip('flaky')",
    "@pytest.mark.skip(reason='flaky')\ndef test_it(): pass",
    "pytest.skip('flaky', allow_module_level=True)",
    "pytest.importorskip('nobody_has_this', reason='tkinter is not installed')",
    "@pytest.mark.xfail\ndef test_it(): assert False",
)


@pytest.mark.parametrize(
    ("ci", "said"),
    [("", "1 failed, 2 skipped, 1 xfailed, 2 errors in"), ("true", "1 failed, 1 skipped, 1 xfailed, 3 errors in")],
)  # fmt: skip
def test_a_skip_without_a_good_reason_fails_the_run(tmp_path: Path, ci: str, said: str) -> None:
    """In a test, at one, or of a whole module; what is expected to fail is no skip."""
    for number, code in enumerate(SKIPPED):
        (tmp_path / f"test_{number}.py").write_text(f"import pytest\n{code}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "skips", "--continue-on-collection-errors", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | {"CI": ci, "PYTHONPATH": str(HERE)},
    )  # fmt: skip
    assert said in done.stdout.splitlines()[-1]
    assert done.returncode == 1


def test_the_list_is_that_of_the_reasons_in_the_tests() -> None:
    """Each reason that a test gives is listed, and each listed one is given."""
    given = {reason for path in HERE.glob("*.py") for reason in _reasons(ast.parse(path.read_text()))}
    assert given
    listed = (*ANYWHERE, *NOT_IN_CI)
    assert not {reason for reason in given if not reason.startswith(listed)}
    assert not {each for each in listed if not any(reason.startswith(each) for reason in given)}


def _reasons(tree: ast.Module) -> Iterator[str]:
    """The texts, as far as they are fixed, that a module gives to pytest's ways to skip."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("pytest."):
            name = ast.unparse(call.func).rpartition(".")[2]
            if name in ("skip", "skipif", "importorskip"):
                said = next((each.value for each in call.keywords if each.arg == "reason"), call.args[0])
                fixed = said.values[0] if isinstance(said, ast.JoinedStr) else said
                assert isinstance(fixed, ast.Constant) and isinstance(fixed.value, str), ast.unparse(call)
                yield fixed.value
