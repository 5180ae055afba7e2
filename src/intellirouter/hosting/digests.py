"""Digests of artifacts, and the index that remembers them, so that an unchanged file is hashed once."""

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from intellirouter.hosting.errors import ArtifactUnavailable

CHUNK_BYTES: Final = 1024 * 1024


class IndexEntry(Struct, frozen=True):
    """A file when it was hashed. If all members are equal, it is unchanged.

    Any program can set the time of the last modification, but only the kernel that of the last change.
    """

    sha256: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def index_entry(sha256: str, status: os.stat_result) -> IndexEntry:
    return IndexEntry(sha256, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def read_index(path: Path) -> IndexEntry | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=IndexEntry)
    except (OSError, msgspec.DecodeError):
        return None  # without a valid index the content is hashed again


def write_index(path: Path, entry: IndexEntry) -> None:
    """Write the entry, so that it is complete or absent. Raises `OSError`."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as out:
        out.write(msgspec.json.encode(entry))
        out.flush()
        os.fsync(out.fileno())
    Path(temporary).replace(path)


def digest_of(path: Path, stop: threading.Event, on_bytes: Callable[[int], None]) -> str:
    """Return the SHA-256 of a file. Calls `on_bytes(bytes so far)`. Raises `ArtifactUnavailable` when stopped."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            check_stop(stop)
            digest.update(chunk)
            done += len(chunk)
            on_bytes(done)
    return digest.hexdigest()


def check_stop(stop: threading.Event) -> None:
    """Raise `ArtifactUnavailable` if the work has been canceled."""
    if stop.is_set():
        raise ArtifactUnavailable("The fetch was canceled.")
