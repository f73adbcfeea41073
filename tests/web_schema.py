"""schemathesis over the API of a running server: no request that its description allows, or forbids, is a fault of the server.

    pip install schemathesis
    python tests/web_schema.py [EXAMPLES]

Makes a store with the demo as a slide, serves it, and runs so many examples of each operation.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from web_server import serving, slide_of_demo

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.cli.analyze import demo_picture
from edgeleuk.models import registry

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> int:
    examples = sys.argv[1] if len(sys.argv) > 1 else "50"
    tool = shutil.which("schemathesis")
    if tool is None:
        raise SystemExit("schemathesis is not installed: pip install schemathesis")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "sessions.db"
        slide_of_demo(store, Analyser(registry.load("100x")), Path(demo_picture()))
        with serving(store) as served, served.browser() as client:
            cookie = f"{served.cookie}={client.cookies[served.cookie]}"
            command = [
                tool,
                "run",
                f"{served.address}/openapi.json",
                "--checks",
                CHECKS,
                "--max-examples",
                examples,
            ]
            command += [
                "--header",
                f"Cookie: {cookie}",
                "--header",
                f"X-CSRF-Token: {client.headers['x-csrf-token']}",
            ]
            return subprocess.run([*command, "--seed", "1"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
