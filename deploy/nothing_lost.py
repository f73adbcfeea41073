"""Whether all that a service announced is kept: `journalctl -u edgeleuk-live -o cat | nothing_lost.py SESSIONS.db`.

For each session that the journal names: every field that was announced lies in the file, and the kept ones are 1, 2, 3 and
so on in the order in which they were counted. Prints one line; exit code 1 where that is not so. Runs in edgeleuk's
own environment.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from edgeleuk.sessions import open_store

STARTED = re.compile(r" started .* session (\S+)\. ")
FIELD = re.compile(r" field +field (\d+): ")


def announced(lines: Iterable[str]) -> dict[str, list[int]]:
    """The numbers of the fields that each session told of, in order."""
    session, told = "", defaultdict(list)
    for line in lines:
        if found := STARTED.search(line):
            session = found[1]
        elif found := FIELD.search(line):
            told[session].append(int(found[1]))
    return dict(told)


def main(path: Path) -> int:
    told = announced(sys.stdin)
    faults, kept_fields = [], 0
    with open_store(path, create=False) as store:
        for session, numbers in told.items():
            kept = [field.number for field in store.get(session).counted()]
            kept_fields += len(kept)
            if kept != list(range(1, len(kept) + 1)):
                faults.append(f"{session} keeps {kept}")
            if missing := sorted(set(numbers) - set(kept)):
                faults.append(f"{session} announced {missing} and does not keep them")
            if numbers != sorted(set(numbers)):
                faults.append(f"{session} announced {numbers}")
    fields = sum(map(len, told.values()))
    said = "; ".join(faults) or "none missing, all in order"
    print(f"{len(told)} sessions, {fields} fields announced, {kept_fields} kept: {said}")
    return 1 if faults or not fields else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
