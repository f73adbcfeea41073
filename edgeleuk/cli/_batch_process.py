"""Process of `programme.batch_process`: `python -m edgeleuk.cli._batch_process DESCRIPTOR`."""

from __future__ import annotations

import resource
import signal
import socket
import sys


def main() -> None:
    """Count slides for the program at the other end of a socket."""
    from edgeleuk.cli._console import json_text
    from edgeleuk.programme.batch_serving import serve
    from edgeleuk.system import machine

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then gives no more slides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    machine.share_heap()
    with socket.socket(fileno=int(sys.argv[1])) as server:
        serve(server, json_text)


if __name__ == "__main__":
    main()
