"""Trial process of `doctor.trial`: `python -m edgeleuk.cli._trial FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the model within limits.

    An error of the model is printed, and the exit code is then 1.
    """
    from edgeleuk.doctor import trial

    trial.limit()
    try:
        from edgeleuk.cli._rules import standards
        from edgeleuk.models import registry

        trial.work(registry.read_manifest(Path(sys.argv[1])), *standards())
    except Exception as error:  # noqa: BLE001  # whatever it is, the model caused it
        print(trial.describe(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
