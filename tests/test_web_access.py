"""Who is let in, under which names, and which letters give a type: without a server."""

from __future__ import annotations

import os
import socket

import pytest

from edgeleuk.cli._serving import code_text
from edgeleuk.web.access import Access, Tries
from edgeleuk.web.hosts import address_text, addresses, host_of, is_loopback, own_names, shown_hosts
from edgeleuk.web.keys import letters
from edgeleuk.web.limits import DEFAULT
from edgeleuk.web.peers import is_other_user


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def access(clock: Clock, shown: list[str]) -> Access:
    return Access(DEFAULT, open_to_all=False, on_token=shown.append, clock=clock)


def test_a_token_lets_one_browser_in_once() -> None:
    """The next one is shown when it is used."""
    shown: list[str] = []
    doors = access(Clock(), shown)
    first = doors.new_token()
    cookie = doors.enter(first)
    assert cookie
    assert doors.browser(cookie)
    assert doors.enter(first) is None
    assert len(shown) == 2
    assert shown[0] != shown[1]


def test_a_token_does_not_last() -> None:
    """Nor does a browser's session."""
    clock = Clock()
    doors = access(clock, [])
    old = doors.new_token()
    clock.now += DEFAULT.token_seconds + 1
    assert doors.enter(old) is None
    cookie = doors.enter(doors.new_token())
    assert cookie
    clock.now += DEFAULT.session_seconds + 1
    assert doors.browser(cookie) is None


def test_the_number_of_browsers_is_limited() -> None:
    """The one that was used longest ago ends."""
    doors = access(Clock(), [])
    cookies = [doors.let_in() for _ in range(DEFAULT.sessions + 1)]
    assert doors.browser(cookies[0]) is None
    assert doors.browser(cookies[1]) is not None


def test_wrong_tries_make_an_address_wait() -> None:
    """Until the time is over; a right one ends it."""
    clock = Clock()
    tries = Tries(3, 60.0, clock)
    for _ in range(3):
        assert tries.wait("a") == 0
        tries.wrong("a")
    assert tries.wait("a") == pytest.approx(60)
    assert tries.wait("b") == 0
    clock.now += 61
    assert tries.wait("a") == 0


def test_many_addresses_together_are_limited_too() -> None:
    """A network has more than one."""
    tries = Tries(3, 60.0, Clock())
    for number in range(30):
        tries.wrong(f"10.0.0.{number}")
    assert tries.wait("10.0.0.99") > 0


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost:8765", "localhost"), ("LOCALHOST", "localhost"), ("192.168.1.5:80", "192.168.1.5"),
        ("[::1]:8765", "::1"), ("[0:0:0:0:0:0:0:1]", "::1"), ("", None), ("a b", None), ("localhost:x", None),
        ("localhost@evil.example", None), ("[::1", None), ("evil.example/localhost", None), ("localhost\n", None),
    ],
)  # fmt: skip
def test_hosts_are_read_strictly(header: str, host: str | None) -> None:
    """What is no host is none."""
    assert host_of(header) == host


def test_only_names_of_this_machine_are_answered() -> None:
    """On the loopback those of the loopback, in a network also the machine's own."""
    assert own_names("127.0.0.1", lan=False) == {"localhost", "127.0.0.1", "::1"}
    named = own_names("0.0.0.0", lan=True)
    assert socket.gethostname().lower() in named
    assert set(addresses()) <= named
    assert "evil.example" not in named


def test_addresses_are_spelled_for_people() -> None:
    """Also those of version 6."""
    assert address_text("127.0.0.1", 8765) == "http://127.0.0.1:8765"
    assert address_text("fd00::1", 8765) == "http://[fd00::1]:8765"
    assert shown_hosts("127.0.0.1") == ["127.0.0.1"]
    assert all(not is_loopback(each) for each in shown_hosts("0.0.0.0")) or shown_hosts("0.0.0.0") == [
        "127.0.0.1"
    ]


def test_the_owner_of_a_loopback_connection_is_known() -> None:
    """The tests' own user is no other."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert not is_other_user(client.getsockname())
    assert not is_other_user(None)
    assert os.geteuid() >= 0


def test_each_type_has_a_letter_of_its_own() -> None:
    """Undo keeps its letter, and so do "not a white cell" and "not recognised"."""
    labels = ("neutrophil", "eosinophil", "lymphocyte", "not_a_cell", "unclassified", "zebra")
    found = letters(labels)
    assert [found[each] for each in labels[:5]] == ["n", "e", "l", "x", "q"]
    assert len(set(found.values())) == len(labels)
    assert "z" not in found.values()


def test_more_types_than_letters_are_no_fault() -> None:
    """Those left over have none."""
    found = letters(f"type {number}" for number in range(40))
    given = [each for each in found.values() if each]
    assert len(given) == len(set(given)) == 23


def test_the_code_fits_a_terminal() -> None:
    """Of 80 columns and 24 lines, with the longest address of a network."""
    lines = code_text("http://192.168.100.100:65535/enter#" + "x" * 24).rstrip("\n").split("\n")
    plain = [each.replace("\x1b[7m", "").replace("\x1b[0m", "").replace("\x1b[49m", "") for each in lines]
    assert max(map(len, plain)) <= 60
    assert len(lines) <= 24


def test_the_address_that_is_shown_is_answered() -> None:
    """Also in a network, where an interface may have further addresses than its first."""
    for lan in (False, True):
        for host in ("127.0.0.5", "192.0.2.7", "[2001:db8::7]", "Bench-2"):
            assert host_of(shown_hosts(host)[0]) in own_names(host, lan=lan)
    assert not own_names("0.0.0.0", lan=True) & {"0.0.0.0", ""}
