"""Pictures from addresses: fetched for one slide, and removed after it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from edgeleuk._text import file_name
from edgeleuk.errors import ClusterError, InputError
from edgeleuk.programme.batch_slides import is_address
from edgeleuk.sources.pictures.suffixes import SUFFIXES
from edgeleuk.system.addresses import shown_source

MOST_PICTURES = 10_000
"""Maximum number of pictures in a folder of an address."""


@dataclass
class Fetched:
    """Pictures of a slide as files."""

    paths: list[str] = field(default_factory=list)
    """The slide's paths, with files in place of addresses."""
    failed: list[InputError] = field(default_factory=list)
    """Addresses that could not be fetched."""
    size: int = 0
    """Bytes that were fetched."""
    addresses: dict[str, str] = field(default_factory=dict)
    """Addresses by the path of their files, without logins."""

    def named(self, value: Any) -> Any:
        """Return plain values with addresses in place of the files' paths."""
        if not self.addresses:
            return value
        if isinstance(value, dict):
            return {name: self.named(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.named(each) for each in value]
        if isinstance(value, str):
            for path, address in self.addresses.items():
                value = value.replace(path, address)
        return value


@contextmanager
def fetched(paths: Sequence[str]) -> Iterator[Fetched]:
    """Fetch the pictures at the addresses among a slide's paths.

    An address that ends with a slash is a folder: the pictures in it are fetched. The files are removed after the
    block.

    Raises:
        ClusterError: This worker lacks a library for an address.
    """
    found = Fetched()
    if not any(is_address(each) for each in paths):
        found.paths = list(paths)
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="edgeleuk-batch-") as folder:
        for path in paths:
            if not is_address(path):
                found.paths.append(path)
                continue
            try:
                _fetch(path, Path(folder), found)
            except ImportError as error:
                raise ClusterError(f"lacks a library for {shown_source(path)} ({error})") from error
            except Exception as error:  # noqa: BLE001  # each file system of fsspec has errors of its own
                found.failed.append(
                    InputError(f"{shown_source(path)} cannot be fetched: {error or type(error).__name__}.")
                )
        yield found


def _fetch(address: str, folder: Path, found: Fetched) -> None:
    """Fetch one address into a folder."""
    import fsspec

    files, place = fsspec.core.url_to_fs(address)
    names = [place]
    if address.endswith("/"):
        listed = sorted(str(each) for each in files.ls(place, detail=False))
        names = [each for each in listed if PurePosixPath(each).suffix.lower() in SUFFIXES][:MOST_PICTURES]
        if not names:
            found.failed.append(InputError(f"{shown_source(address)} holds no pictures."))
    for name in names:
        whole = address if name == place else f"{address}{PurePosixPath(name).name}"
        plain = PurePosixPath(name)
        target = folder / file_name(plain.stem, plain.suffix, lambda each: (folder / each).exists())
        files.get_file(name, str(target))
        found.paths.append(str(target))
        found.addresses[str(target)] = shown_source(whole)
        found.size += target.stat().st_size
