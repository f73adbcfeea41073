"""`python -m edgeleuk`."""

from edgeleuk.cli import main

main()
