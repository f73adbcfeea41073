"""HTTP client for cameras, with login and redirection."""

from __future__ import annotations

from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from edgeleuk import __version__
from edgeleuk._text import tamed
from edgeleuk.sources.network.login import Challenge, Login, challenges
from edgeleuk.sources.network.picture_stream import PictureStream
from edgeleuk.sources.network.wire import Head, ServerError, Wire, read_head
from edgeleuk.system.addresses import shown_source, without_secrets

MOST_MOVES = 5
"""Maximum number of redirections that are followed."""
MOVED = (301, 302, 303, 307, 308)
AS_IT_IS = "/%:=&?~#+!$,;'@()*[]"
"""Characters of an address that are sent unescaped."""
DEFAULT_PORTS = {"http": 80, "https": 443}
WANTED = "wants a password. Use http://user:password@host/..., with %40 for @ and %2F for / in them."


class Client:
    """HTTP client for one camera address.

    It logs in, and follows redirections within the same host. Every step can be resumed after a timeout.
    """

    def __init__(self, url: SplitResult) -> None:
        self._home = self._url = url
        """Original address (`_home`) and current address (`_url`)."""
        self._login = login_of(url)
        self._wire: Wire | None = None
        self._link: PictureStream | None = None
        self._moves = self._refusals = 0
        """Redirections and login refusals of the current request."""

    @property
    def asking(self) -> bool:
        """Whether a request is in progress."""
        return self._wire is not None

    @property
    def progress(self) -> str:
        """Progress of the answer.

        The text is the rest of a sentence.
        """
        if self._link:
            return self._link.progress
        begun = self._wire is not None and self._wire.received > 0
        return "has begun to answer, and does not go on." if begun else "does not answer in time."

    def picture(self, until: float) -> bytes | None:
        """Return the newest picture.

        Returns None where the next picture needs another request.

        Raises:
            ServerError: If the server gives no usable answer.
            OSError: If the connection fails.
            TimeoutError: If nothing came before `until`; the call can be repeated to resume.
        """
        link = self.answered(until)
        data = link.picture(until)
        if link.over:
            self.close()
        return data

    def answered(self, until: float) -> PictureStream:
        """Return the link that delivers the pictures."""
        while self._link is None:
            wire = self._wire = self._wire or self._ask(until)
            head = read_head(wire, until)
            if self._goes_on(head):
                self.close(answered=False)
            else:
                refuse(head)
                self._link = PictureStream(wire, head)
                self._moves = self._refusals = 0
        return self._link

    def close(self, answered: bool = True) -> None:
        """Close the connection.

        The next request starts again at the original address. With `answered` false it continues the current
        redirection or login instead.
        """
        if self._wire:
            self._wire.close()
        self._wire = self._link = None
        if answered:
            self._url, self._moves, self._refusals = self._home, 0, 0

    def _ask(self, until: float) -> Wire:
        url = self._url
        host, port = url.hostname or "", url.port or DEFAULT_PORTS[url.scheme]
        wire = Wire(host, port, url.scheme == "https", until)
        target = (quote(url.path, AS_IT_IS) or "/") + (f"?{quote(url.query, AS_IT_IS)}" if url.query else "")
        name = f"[{host}]" if ":" in host else host.encode("idna").decode()
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {name}" + ("" if port == DEFAULT_PORTS[url.scheme] else f":{port}"),
            f"User-Agent: edgeleuk/{__version__}",
            "Accept: multipart/x-mixed-replace, image/jpeg, */*;q=0.1",
            "Accept-Encoding: identity",
            "Connection: close",
        ]
        if self._login and self._at_home and (answer := self._login.answer("GET", target)):
            lines.append(f"Authorization: {answer}")
        try:
            wire.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode(), until)
        except BaseException:
            wire.close()
            raise
        return wire

    @property
    def _at_home(self) -> bool:
        """Whether the current address is where the login is valid."""
        return origin(self._url) == origin(self._home)

    def _goes_on(self, head: Head) -> bool:
        """Return whether to send another request, redirected or with login.

        Raises:
            ServerError: If neither a redirection nor a login helps.
        """
        if head.status in MOVED:
            self._url = self._moved(head.first("location"))
            return True
        if head.status not in (401, 403):
            return False
        offered = challenges(head.all("www-authenticate"))
        if not self._at_home:
            raise ServerError(
                f"has moved to {shown(self._url)}, which wants a password. Use that address, with the password in it."
            )
        if self._login is None:
            raise ServerError(WANTED)
        self._log_in(head.status, self._login, offered)
        return True

    def _log_in(self, status: int, login: Login, offered: list[Challenge]) -> None:
        """Choose the login challenge to answer.

        A challenge is answered once, and once more if the first answer was only stale.
        """
        self._refusals += 1
        best = next((each for each in offered if each.usable), None)
        if best is None and offered:
            kinds = " or ".join(str(each) for each in offered)
            raise ServerError(
                f"wants a login by {kinds}, which this program does not know. Set the camera to Digest or Basic."
            )
        if self._refusals > 1 and not (best and best.stale and self._refusals == 2):
            what = (
                "does not accept the user name or the password"
                if status == 401
                else "does not let this user see it"
            )
            raise ServerError(
                f"{what}. Check both in the address; special characters are written as %40 for @."
            )
        login.take(best or Challenge("basic", {}))

    def _moved(self, location: str) -> SplitResult:
        self._moves += 1
        if not location:
            raise ServerError("has moved, and does not say where to. Check the address.")
        if self._moves > MOST_MOVES:
            raise ServerError(f"moves in a circle: it names {shown(self._url)} again. Check its settings.")
        try:
            new = urlsplit(urljoin(without_login(self._url).geturl(), location))
            near = new.scheme == self._url.scheme and new.hostname == self._url.hostname and new.port != 0
        except ValueError:
            raise ServerError(
                f"has moved to {tamed(without_secrets(location))}, which is no address. Check the camera."
            ) from None
        if not near:
            raise ServerError(f"has moved to {shown(new)}. Use that address, if you know it.")
        return without_login(new)


def refuse(head: Head) -> None:
    """Check that an answer can hold pictures.

    Raises:
        ServerError: If the status is not 200.
    """
    if head.status != 200:
        raise ServerError(f"answers {head.status} {tamed(head.reason, 60)}".rstrip() + ". Check the address.")


def origin(url: SplitResult) -> tuple[str, str | None, int]:
    """Return scheme, host and port: the scope of a login."""
    return url.scheme, url.hostname, url.port or DEFAULT_PORTS.get(url.scheme, 0)


def login_of(url: SplitResult) -> Login | None:
    return None if url.username is None else Login(unquote(url.username), unquote(url.password or ""))


def without_login(url: SplitResult) -> SplitResult:
    return url._replace(netloc=url.netloc.rpartition("@")[2])


def shown(url: SplitResult) -> str:
    """Return an address for a message.

    A server chose it, so characters that control a terminal are removed.
    """
    return tamed(shown_source(url.geturl()), 200)
