"""The process in which `doctor.trial` puts a model to work: `python -m edgeleuk.cli._trial FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Work with the model, within limits; what is wrong with it is printed, and the exit code is then 1."""
    from edgeleuk.doctor import trial

    trial.limit()
    try:
        from edgeleuk import zoo
        from edgeleuk.cli._rules import standards

        trial.work(zoo.read_manifest(Path(sys.argv[1])), *standards())
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the model's doing
        print(trial.told(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
