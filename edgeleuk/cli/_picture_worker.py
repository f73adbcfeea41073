"""Process of `web.worker`: `python -m edgeleuk.cli._picture_worker DESCRIPTOR BYTES RULES REFERENCE`."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path


def main() -> None:
    """Analyse pictures for the server at the other end of a socket."""
    from edgeleuk.web import worker

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes the socket
    worker.limit(int(sys.argv[2]))
    from edgeleuk.cli._model import in_use
    from edgeleuk.cli._rules import standards
    from edgeleuk.system import machine

    machine.share_heap()
    rules, reference = (Path(each) if each else None for each in (sys.argv[3], sys.argv[4]))
    with socket.socket(fileno=int(sys.argv[1])) as server:
        worker.Worker(*standards(rules, reference), in_use).serve(server)


if __name__ == "__main__":
    main()
