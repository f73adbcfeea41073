"""`edgeleuk models install` and other commands that change models.

Models come on a stick, several versions side by side.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgeleuk.cli._console import print_json, results, tell, warn, write
from edgeleuk.errors import InputError, UsageError
from edgeleuk.system.sentences import said

Magnification = Annotated[str, typer.Argument(help="100x, 40x or 10x.", show_default=False)]
Version = Annotated[
    str, typer.Argument(help="As `edgeleuk models list` shows it; a whole name.", show_default=False)
]
Archive = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="An archive made by `models pack`; - for stdin.", show_default=False),
]


def install(
    file: Archive,
    unsigned: Annotated[
        bool,
        typer.Option("--unsigned", help="Also without a signature by a trusted key. Know who made the file."),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Install it beside the others, and go on with the one in use.")
    ] = False,
) -> None:
    """Install a model from an archive, and use it from now on.

    Every file in it is checked against its SHA-256, its signature against the keys you trust, and both networks are
    tried on the sample before anything changes. Versions stay side by side: `models use` and `models rollback`
    switch between them.
    """
    from edgeleuk.doctor.trial import tried
    from edgeleuk.models import updates

    done = updates.install(_content(file), tried, unsigned=unsigned, use_it=not keep)
    tell(
        f"the {done.magnification} model {done.version} {'was installed already' if done.was_there else 'is installed'}"
        f"{', beside the one in use' if keep else ', and is in use'}"
    )
    if done.key:
        tell(f"signed with the trusted key {done.key}")
    elif done.signed:
        warn("it is signed, and by no key that is trusted here. `edgeleuk models trust KEYFILE` trusts one.")
    else:
        warn("it is not signed: nobody vouches for where it comes from.")
    if os.environ.get("EDGELEUK_MODELS"):
        warn("EDGELEUK_MODELS is set, so that the models in that folder are used and no installed one.")


def use(magnification: Magnification, version: Version) -> None:
    """Use an installed version of a model from now on; `builtin` is the one that came with the program."""
    from edgeleuk.models import updates

    updates.use(magnification, version)
    tell(f"the {magnification} model {version} is in use")


def rollback(magnification: Magnification) -> None:
    """Use the version of a model again that was in use before."""
    from edgeleuk.models import updates

    version = updates.rollback(magnification)
    tell(f"the {magnification} model {version} is in use again")


def remove(magnification: Magnification, version: Version) -> None:
    """Remove an installed version for good. The one in use is not removed."""
    from edgeleuk.models import updates

    updates.remove(magnification, version)
    tell(f"the {magnification} model {version} is removed")


def pack(
    model: Annotated[
        str,
        typer.Argument(help="A model folder, or the magnification of the model in use.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The archive.", show_default="edgeleuk-MAGNIFICATION-VERSION.zip"),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="Private Ed25519 key to sign with, PEM: `openssl genpkey -algorithm ed25519 -out FILE`.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Pack a model into an archive that `models install` takes, for a stick."""
    from edgeleuk.models import registry, updates
    from edgeleuk.models.updates import signing
    from edgeleuk.system import file_io

    folder = Path(model)
    packed = registry.load_folder(folder) if file_io.is_folder(folder) else registry.load(model)
    sign = partial(signing.sign, signing.signer(key)) if key else None
    content = updates.pack(packed, sign)
    target = out or Path(f"edgeleuk-{packed.magnification}-{packed.version}.zip")
    write(target, content)
    signed = "signed" if sign else "not signed"
    tell(f"{target}: {len(content) / 1e6:.1f} MB, {signed}")


def trust(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[KEYFILE]",
            help="Public Ed25519 key, PEM: `openssl pkey -in PRIVATE -pubout`.",
            show_default="list the trusted keys",
        ),
    ] = None,
    forget: Annotated[
        str | None,
        typer.Option(metavar="FINGERPRINT", help="Do not trust this key any more.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trusted keys as JSON.")] = False,
) -> None:
    """Trust the signatures of a key. From the first trusted key on, unsigned models are refused."""
    from edgeleuk.models.updates import signing

    if file and forget:
        raise UsageError("a key is trusted or forgotten, not both at once. Give one of them.")
    if file:
        tell(f"key {signing.trust(file)} is trusted")
    elif forget:
        signing.forget(forget)
        tell(f"key {forget} is not trusted any more")
    keys = list(signing.trusted())
    if as_json:
        print_json({"folder": str(signing.folder()), "keys": keys})
    elif not file and not forget:
        none = f"No keys are trusted; any model can be installed. Their folder is {signing.folder()}."
        results().print("\n".join(keys) or said(none), soft_wrap=True)


def _content(file: Path) -> bytes:
    """Read an archive, up to the maximum size."""
    from edgeleuk.models.updates import MAX_ARCHIVE_BYTES
    from edgeleuk.system import file_io

    if str(file) == "-":
        return sys.stdin.buffer.read(MAX_ARCHIVE_BYTES + 1)
    try:
        return file_io.read_bytes(file, MAX_ARCHIVE_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}. Check the path and the stick.") from error
