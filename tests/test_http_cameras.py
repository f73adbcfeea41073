"""Cameras over HTTP that are not as the standards have them: they work, or one message says the true reason."""

from __future__ import annotations

import base64
import gzip
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
from mjpeg_server import jpeg
from raw_camera import STREAM, Answer, RawCamera, Request, chunked, digest_is_right, head, mjpeg, wait_for

from edgeleuk.errors import CameraError, InputError, NoPictureYetError, UsageError
from edgeleuk.sources._opencv import decode_jpeg
from edgeleuk.sources.capture import Capture, Patience
from edgeleuk.sources.http import HttpSource
from edgeleuk.sources.network.login import Login, challenges

LENGTH = [
    ("right", len),
    ("absent", lambda _: None),
    ("short", lambda p: len(p) - 500),
    ("long", lambda p: len(p) + 700),
]


def frames(answer: Callable[[Request], Answer], number: int = 4) -> list[np.ndarray]:
    """The first frames of a camera that answers so, as they were sent: each is one of the pictures of `jpeg`."""
    with RawCamera(answer) as camera, closing(HttpSource(camera.url, open_s=3)) as source:
        return [source.read(3).frame.pixels for _ in range(number)]


def are_pictures(found: list[np.ndarray]) -> bool:
    """Whether all are whole pictures that were sent, in the order of sending."""
    sent = [decode_jpeg(jpeg(number)) for number in range(60)]
    numbers = [next((n for n, each in enumerate(sent) if np.array_equal(each, one)), -1) for one in found]
    return -1 not in numbers and all(a < b for a, b in itertools.pairwise(numbers))


def refused(answer: Callable[[Request], Answer], open_s: float = 0.5) -> str:
    """What is said of a camera that answers so."""
    with RawCamera(answer) as camera, pytest.raises(CameraError) as caught:
        HttpSource(camera.url, open_s=open_s)
    return str(caught.value).replace(camera.url, "URL")


# What works.


@pytest.mark.parametrize("length", [each[1] for each in LENGTH], ids=[each[0] for each in LENGTH])
@pytest.mark.parametrize("announced", ["frame", "other", "--frame", "", '"frame"', "fra", "x-frame"])
def test_boundaries_and_lengths_may_be_wrong(announced: str, length: Callable[[bytes], int | None]) -> None:
    """The pictures themselves tell where they end, whatever was announced."""
    kind = f"multipart/x-mixed-replace; boundary={announced}".removesuffix("; boundary=")
    assert are_pictures(
        frames(lambda _: itertools.chain([head(f"Content-Type: {kind}")], mjpeg(length=length)))
    )


@pytest.mark.parametrize(
    ("start", "cut"),
    [
        (head(), mjpeg),
        (head(status="ICY 200 OK"), mjpeg),
        (b"ICY 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n", mjpeg),
        (head("Content-Type: text/html"), mjpeg),
        (STREAM.replace(b"\r\n", b"\n"), lambda: mjpeg(end=b"\n")),
        (head("Content-Type: multipart/x-mixed-replace;boundary=frame", "Transfer-Encoding: chunked"), lambda: chunked(mjpeg())),
        (head(status="HTTP/1.0 200 OK"), lambda: (each for n in range(50) for each in (jpeg(n), 0.02))),
        (head(status="HTTP/1.1 100 Continue") + head(status="HTTP/1.1 103 Early Hints") + STREAM, mjpeg),
        (head("X: " + "y" * 30_000) + b"", mjpeg),
        (STREAM + b"junk before\r\n", mjpeg),
    ],
    ids=["no type", "ICY", "ICY with type", "wrong type", "LF only", "chunked", "bare", "interim", "long header", "preamble"],
)  # fmt: skip
def test_streams_of_every_form_are_read(start: bytes, cut: Callable[[], Iterator[bytes | float]]) -> None:
    """Frame after frame, whole and in order."""
    assert are_pictures(frames(lambda _: itertools.chain([start], cut())))


@pytest.mark.parametrize(
    "headers", [(), ("Content-Type: image/jpeg",), ("Content-Type: application/octet-stream",)]
)
@pytest.mark.parametrize("length", [True, False])
def test_single_pictures_are_asked_for_again(headers: tuple[str, ...], length: bool) -> None:
    """With and without a length or a type; each is a request of its own."""
    numbers = itertools.count()

    def answer(_: Request) -> Answer:
        picture = jpeg(next(numbers))
        told = (f"Content-Length: {len(picture)}",) if length else ()
        return [head(*headers, *told) + picture]

    assert are_pictures(frames(answer))


@pytest.mark.parametrize(
    "location", ["/there", "there", "//127.0.0.1:{port}/there", "http://127.0.0.1:{port}/there", "?there"]
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_move_on_the_same_host_is_followed(status: int, location: str) -> None:
    """Relative or absolute; the login goes with it."""
    camera: RawCamera

    def answer(request: Request) -> Answer:
        if "there" in request.target:
            return itertools.chain([STREAM], mjpeg())
        return [head(f"Location: {location.format(port=camera.port)}", status=f"HTTP/1.1 {status} Moved")]

    with RawCamera(answer) as camera, closing(HttpSource(camera.url, open_s=3)) as source:
        assert source.read(2).frame.width == 160
        assert source.info.name == camera.url


# Logins.


def guarded(challenge: str, right: Callable[[Request], bool]) -> Callable[[Request], Answer]:
    """A camera that streams to who logs in right."""

    def answer(request: Request) -> Answer:
        if right(request):
            return itertools.chain([STREAM], mjpeg())
        return [head(*challenge.splitlines(), "Content-Length: 0", status="HTTP/1.1 401 Unauthorized")]

    return answer


@pytest.mark.parametrize("algorithm", ["", "MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize("qop", ["", "auth", "auth,auth-int"])
def test_digest_logins_work(algorithm: str, qop: str) -> None:
    """Each algorithm with and without qop; the password itself is never sent."""
    named = (f", algorithm={algorithm}" if algorithm else "") + (f', qop="{qop}"' if qop else "")
    challenge = f'WWW-Authenticate: Digest realm="a, b", nonce="n0=+/", opaque="o"{named}'
    camera = RawCamera(
        guarded(
            challenge,
            lambda r: bool(r.authorization) and digest_is_right(r.authorization, "me", "pa:ss/1", algorithm),
        )
    )
    with (
        camera,
        closing(HttpSource(camera.url.replace("//", "//me:pa%3Ass%2F1@") + "?a=b c", open_s=3)) as source,
    ):
        assert source.read(2).frame.width == 160
    assert [bool(each.authorization) for each in camera.requests] == [False, True]
    assert camera.requests[1].target == "/video?a=b%20c"


def test_the_examples_of_the_standard_come_out() -> None:
    """RFC 7616, section 3.9.1, for both algorithms."""
    for algorithm, response in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        login = Login("Mufasa", "Circle of Life", _cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
        (asked,) = challenges(
            [f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
             'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"']
        )  # fmt: skip
        login.take(asked)
        assert f'response="{response}"' in login.answer("GET", "/dir/index.html")


@pytest.mark.parametrize(
    "offers",
    [
        'WWW-Authenticate: Basic realm="x"\nWWW-Authenticate: Digest realm="x", nonce="n", algorithm=SHA-256, qop="auth"',
        'WWW-Authenticate: Basic realm="x", Digest realm="x", nonce="n", algorithm=SHA-256, qop=auth',
        'WWW-Authenticate: Digest realm="x", nonce="n", algorithm=SHA-512-256, Digest realm="x", nonce="n", algorithm=SHA-256, qop="auth"',
        'WWW-Authenticate: Negotiate\nWWW-Authenticate: NTLM TlRMTVNTUAAC=\nWWW-Authenticate: Digest realm="x", nonce="n", qop="auth", algorithm="SHA-256"',
    ],
)  # fmt: skip
def test_of_several_logins_the_best_is_taken(offers: str) -> None:
    """Digest before Basic, which would send the password itself."""
    right = guarded(
        offers,
        lambda r: (
            r.authorization.startswith("Digest") and digest_is_right(r.authorization, "me", "p", "SHA-256")
        ),
    )
    with RawCamera(right) as camera, closing(HttpSource(camera.url.replace("//", "//me:p@"), open_s=3)):
        assert len(camera.requests) == 2


@pytest.mark.parametrize(
    "challenge", ['WWW-Authenticate: Basic realm="x"', "X: no challenge", "WWW-Authenticate: basic"]
)
def test_basic_logins_work(challenge: str) -> None:
    """Also where the server does not say that it wants one."""
    said = f"Basic {base64.b64encode('mé:p@s'.encode()).decode()}"
    with RawCamera(guarded(challenge, lambda r: r.authorization == said)) as camera:
        HttpSource(camera.url.replace("//", "//m%C3%A9:p@s@"), open_s=3).close()


def test_a_digest_that_is_late_is_answered_again() -> None:
    """A nonce that is stale is no wrong password: pictures that are asked for one by one go on."""
    nonces = itertools.count()
    used: set[str] = set()

    def answer(request: Request) -> Answer:
        nonce = request.authorization.partition('nonce="')[2].partition('"')[0]
        if nonce and nonce not in used and digest_is_right(request.authorization, "me", "p", "MD5"):
            used.add(nonce)
            return [head("Content-Type: image/jpeg") + jpeg(next(nonces))]
        challenge = (
            f'WWW-Authenticate: Digest realm="x", nonce="{next(nonces)}", qop="auth", stale={bool(nonce)}'
        )
        return [head(challenge, status="HTTP/1.1 401 Unauthorized")]

    with (
        RawCamera(answer) as camera,
        closing(HttpSource(camera.url.replace("//", "//me:p@"), open_s=3)) as source,
    ):
        assert all(source.read(2).frame.width == 160 for _ in range(3))


def test_a_wrong_password_is_told_without_going_in_circles() -> None:
    """Two requests, and no advice to give what was given."""
    for challenge in (
        'WWW-Authenticate: Digest realm="x", nonce="n", qop="auth"',
        'WWW-Authenticate: Basic realm="x"',
        "",
    ):
        with RawCamera(guarded(challenge, lambda _: False)) as camera:
            with pytest.raises(CameraError, match="does not accept the user name or the password") as caught:
                HttpSource(camera.url.replace("//", "//me:geheim@"), open_s=3)
            assert "geheim" not in str(caught.value)
            assert len(camera.requests) == 2


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        ("Digest realm=x, nonce=n, algorithm=SHA-512-256", "Digest SHA-512-256"),
        ('Digest realm="x", nonce="n", qop="auth-conf"', "qop auth-conf"),
        ("NTLM", "ntlm"),
        ("Bearer realm=x", "bearer"),
        ("Bad\x1b[31m\x07\x9bname x=y", "wants a login by"),
    ],
)
def test_a_login_of_another_kind_is_named(challenge: str, words: str) -> None:
    """With what to set the camera to, and nothing that controls a terminal."""
    with RawCamera(guarded(f"WWW-Authenticate: {challenge}", lambda _: False)) as camera:
        with pytest.raises(CameraError) as caught:
            HttpSource(camera.url.replace("//", "//me:p@"), open_s=3)
        assert words in str(caught.value)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "place",
    [
        "http://localhost:{port}/x",
        "https://127.0.0.1:{port}/x",
        "rtsp://127.0.0.1/x",
        "ftp://me:p@127.0.0.1/",
    ],
)
def test_a_move_elsewhere_is_refused_and_named(place: str) -> None:
    """Neither a request nor a login goes to another host or another scheme."""
    camera: RawCamera

    def answer(request: Request) -> Answer:
        if request.authorization:
            return [head(f"Location: {place.format(port=camera.port)}", status="HTTP/1.1 302 Found")]
        return [head('WWW-Authenticate: Basic realm="x"', status="HTTP/1.1 401 Unauthorized")]

    with RawCamera(answer) as camera:
        with pytest.raises(CameraError, match="has moved to") as caught:
            HttpSource(camera.url.replace("//", "//me:geheim@"), open_s=3)
        assert place.format(port=camera.port).partition("@")[2] or place.format(port=camera.port) in str(
            caught.value
        )
        assert "geheim" not in str(caught.value)
        assert len(camera.requests) == 2


def test_another_port_of_the_host_gets_no_login() -> None:
    """It is followed, as a camera's program may serve two; the password is for the one that was named."""
    other = RawCamera(guarded('WWW-Authenticate: Basic realm="x"', lambda r: bool(r.authorization)))
    camera = RawCamera(lambda _: [head(f"Location: {other.url}", status="HTTP/1.1 302 Found")])
    told = pytest.raises(CameraError, match=f"has moved to {other.url}, which wants a password")
    with other, camera, told:
        HttpSource(camera.url.replace("//", "//me:p@"), open_s=3)
    assert [each.authorization for each in other.requests] == [""]


# What does not work, and is told.

REASONS = {
    "has closed the connection without an answer": [],
    "answers 404 Not Found": [head(status="HTTP/1.1 404 Not Found")],
    "answers 500 Oh [red] [2Jdear": [head(status="HTTP/1.1 500 Oh [red]\x1b[2Jdear")],
    "answers 204 No Content": [head(status="HTTP/1.1 204 No Content")],
    "answers 101 Switching": [head(status="HTTP/1.1 101 Switching")],
    "wants a password. Use http://user": [head('WWW-Authenticate: Digest realm="x", nonce="n"', status="HTTP/1.1 401 No")],
    "gives text/html, not pictures": [head("Content-Type: text/html") + b"<html>log in first</html>"],
    "gives a web page, not pictures": [head() + b"\r\n<!doctype html> and so on"],
    "gives PNG pictures, not": [head() + b"\x89PNG\r\n\x1a\n0123456789"],
    "gives video/mp4, not": [head("Content-Type: video/mp4") + b"\0\0\0\x20ftypisom01234567"],
    "gives application/json, not": [head("Content-Type: application/json") + b'{"error": "no such camera"}'],
    "without any content": [head("Content-Length: 0")],
    "compressed once more": [head("Content-Encoding: gzip") + gzip.compress(jpeg(0))],
    "has moved, and does not say": [head(status="HTTP/1.1 302 Found")],
    "moves in a circle": [head("Location: /video", status="HTTP/1.1 302 Found")],
    "which is no address": [head("Location: http://[::1/x", status="HTTP/1.1 302 Found")],
    "does not answer as a web server does": [b"RTSP/1.0 200 OK\r\n\r\n"],
    "does not answer as a web server": [b"\x15\x03\x01\0\x02\x02\x16"],
    "chunks that cannot be read": [head("Transfer-Encoding: chunked") + b"zzz\r\n" + jpeg(0)],
    "sends headers without end": itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X-More: of the same\r\n" * 99)),
    "sends interim answers without end": itertools.repeat(head(status="HTTP/1.1 102 Processing") * 9),
    "has begun to answer, and does not go on": itertools.chain([b"HTTP/1.1 "], itertools.repeat(0.1)),
    "does not answer in time": itertools.repeat(0.1),
    "answers, and sends no picture": itertools.chain([STREAM], itertools.repeat(0.1)),
    "no MJPEG stream": itertools.chain([head() + jpeg(0)[:-2]], itertools.repeat(bytes(1_000_000))),
    "without a whole picture": [STREAM, jpeg(0)[:500]],
    "sends too slowly: ": itertools.chain([STREAM], itertools.cycle([b"-", 0.05])),
    "sends too slowly": itertools.chain([head() + jpeg(0)[:20]], itertools.cycle([b"x", 0.05])),
}  # fmt: skip


@pytest.mark.parametrize("words", REASONS)
def test_what_cannot_work_is_told_with_its_true_reason(words: str) -> None:
    """In one sentence or two that fit a terminal's line or three, within the time for the opening."""
    begun = time.monotonic()
    said = refused(lambda _: REASONS[words])
    assert words in said
    assert said.startswith("URL") and said.isprintable() and len(said) < 300
    assert time.monotonic() - begun < 5


def test_a_servers_text_is_cleaned() -> None:
    """Neither long nor with anything that moves a cursor, turns a line round or colours it."""
    evil = "\x1b]0;title\x07\u202e\x9b31m" + "x" * 5000
    for answer in (
        [head(status=f"HTTP/1.1 500 {evil}")],
        [head(f"Location: http://other/{evil}", status="HTTP/1.1 302 Found")],
        [head(f"WWW-Authenticate: {evil} x=y", status="HTTP/1.1 401 No")],
        [head(f"Content-Type: {evil}") + b"<html></html>       "],
    ):
        said = refused(lambda _, answer=answer: answer)
        assert said.isprintable() and len(said) < 500


@pytest.mark.parametrize("kind", ["cut", "zeros", "other"])
def test_a_damaged_frame_is_one_refused_frame(kind: str) -> None:
    """The count goes on with the next; the frame is counted as unreadable."""
    bad = {"cut": jpeg(1)[:2000], "zeros": b"\xff\xd8\xff" + bytes(3000), "other": b"no picture at all" * 20}[
        kind
    ]
    pictures = [jpeg(0), bad, *(jpeg(n) for n in range(2, 500))]
    patience = Patience(stall=0.5, open=5.0)
    camera = RawCamera(lambda _: itertools.chain([STREAM], mjpeg(pictures=pictures, pace=0.05)))
    with camera, Capture(lambda: HttpSource(camera.url), patience=patience) as capture:
        assert all(capture.next(3) for _ in range(4))
        assert (capture.state().unreadable, capture.state().reopened, capture.state().word) == (
            1,
            0,
            "running",
        )


def test_a_stream_of_only_damaged_frames_pauses_with_the_reason() -> None:
    """It is opened again, with what was wrong with the last frame."""
    pictures = itertools.chain([jpeg(0)], (jpeg(n)[:1500] for n in itertools.count()))
    camera = RawCamera(lambda _: itertools.chain([STREAM], mjpeg(pictures=pictures)))
    patience = Patience(stall=0.3, open=5.0)
    with camera, Capture(lambda: HttpSource(camera.url, open_s=1), patience=patience) as capture:
        assert capture.next(3)
        assert wait_for(lambda: capture.state().word == "lost")
        assert "no picture of the stream can be read" in capture.state().text
        assert wait_for(lambda: "sends no picture that can be read" in capture.state().text)


# Slow cameras: times are a tenth of those of a camera with 0.1 frames a second and the usual patience.

TENTH = Patience(stall=0.5, unknown=3.0, open=12.0, reopen=4.5)


def slow_stream(_: Request) -> Answer:
    """A frame a second."""
    return itertools.chain([STREAM, 1.0], mjpeg(pace=1.0))


def slow_pictures(_: Request) -> Answer:
    """Each second's picture, when it is there."""
    return [1.0, head("Content-Type: image/jpeg") + jpeg(int(time.monotonic()))]


@pytest.mark.parametrize("answer", [slow_stream, slow_pictures])
def test_a_slow_camera_works(answer: Callable[[Request], Answer]) -> None:
    """It is neither said not to answer, nor opened again."""
    camera = RawCamera(answer)
    with camera, Capture(lambda: HttpSource(camera.url, open_s=1.2), patience=TENTH) as capture:
        assert all(capture.next(3) for _ in range(4))
        assert capture.reopened == 0
        assert capture.state().word == "running"


def test_a_camera_that_falls_silent_is_opened_again_after_its_own_pace() -> None:
    """A quick one soon, and with the true reason."""
    answers = iter([itertools.chain([STREAM], itertools.islice(mjpeg(), 20), itertools.repeat(0.1))])
    camera = RawCamera(lambda _: next(answers, None) or itertools.chain([STREAM], mjpeg()))
    with camera, Capture(lambda: HttpSource(camera.url), patience=TENTH) as capture:
        assert wait_for(lambda: capture.state().word == "lost")
        assert "is connected and sends nothing" in capture.state().text
        assert wait_for(lambda: capture.state().word == "running")


def test_a_read_that_was_late_is_gone_on_with() -> None:
    """What had come of the picture is not lost."""
    picture = jpeg(0)
    late = [
        STREAM,
        b"--frame\r\n\r\n" + jpeg(1) + b"\r\n--frame\r\n\r\n" + picture[:900],
        0.5,
        picture[900:],
        5.0,
    ]
    with RawCamera(lambda _: late) as camera, closing(HttpSource(camera.url)) as source:
        source.read(1)
        with pytest.raises(NoPictureYetError, match="sends too slowly"):
            source.read(0.1)
        np.testing.assert_array_equal(source.read(2).frame.pixels, decode_jpeg(picture))
        assert len(camera.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://h:99999/",
        "http://h:x/",
        "http://[::1/",
        "http://me:pa/geheim@h/",
        "http://\x1b[2J\u2028:0/",
    ],
)
def test_what_is_no_address_is_told_without_the_password(url: str) -> None:
    """UsageError, with how an address is written."""
    with pytest.raises(UsageError, match="is no address") as caught:
        HttpSource(url)
    assert "geheim" not in str(caught.value) and str(caught.value).isprintable()


def test_a_picture_that_is_cut_short_is_one_refused_frame() -> None:
    """Where the server closes too early, or its length is wrong; the next request gives the next."""
    numbers = itertools.count()

    def answer(_: Request) -> Answer:
        picture = jpeg(n := next(numbers))
        return [head(f"Content-Length: {len(picture)}") + (picture[:1000] if n == 1 else picture)]

    with RawCamera(answer) as camera, closing(HttpSource(camera.url)) as source:
        source.read(1)
        with pytest.raises(InputError):
            source.read(1)
        assert source.read(1).frame.width == 160
