"""Entry point of `python -m edgeleuk`."""

from edgeleuk.cli import main

main()
