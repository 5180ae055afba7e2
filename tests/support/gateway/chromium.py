"""Real browser pages: Chromium without a window. `scripts/system_packages.sh` installs it where it can."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PROGRAM = next(filter(None, map(shutil.which, _NAMES)), None)
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server")

needs_chromium = pytest.mark.skipif(
    _PROGRAM is None, reason="Chromium is not installed. On Debian, `make setup` installs it if you are root."
)


@contextmanager
def chromium(url: str, profile: Path, *options: str) -> Iterator[None]:
    """Open a page in a browser of its own, which ends with the block. `profile`: an empty directory."""
    command = [str(_PROGRAM), *_OPTIONS, *options, f"--user-data-dir={profile}", url]
    with (profile / "log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(profile), start_new_session=True)
    try:
        yield
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


def dump_page(url: str, profile: Path, *options: str) -> str:
    """Return the elements of a page after its scripts have run."""
    command = [str(_PROGRAM), *_OPTIONS, *options, f"--user-data-dir={profile}"]
    command += ["--virtual-time-budget=10000", "--dump-dom", url]
    return subprocess.run(
        command, capture_output=True, text=True, env=_environment(profile), timeout=60, check=True
    ).stdout


def _environment(home: Path) -> dict[str, str]:
    """Chromium fails if the path of its temporary directory is long, because it creates a socket there."""
    return {**os.environ, "HOME": str(home), "TMPDIR": "/tmp"}
