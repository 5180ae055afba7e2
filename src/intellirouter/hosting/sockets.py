"""The directory of worker sockets: private, without stale sockets, and with a new path for every start."""

import contextlib
import os
import re
import secrets
import socket
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from intellirouter.core.errors import HostError

MAX_SOCKET_PATH_BYTES: Final = 107
"""Size of `sockaddr_un.sun_path` without the terminating zero."""
MAX_SLUG_CHARS: Final = 20
_PREFIX: Final = "ir-"
_USUAL_TEMPORARY_DIRS: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - mkdtemp creates a private directory


def create_run_dir(parents: Sequence[str] | None = None) -> Path:
    """Create a private directory whose socket paths are short enough. Raises `HostError` if there is no place for one.

    It is below the temporary directory of this process (TMPDIR), or else, if that is too long or cannot be written,
    below a usual one. `parents` replaces both.
    """
    for parent in _temporary_dirs() if parents is None else parents:
        if _longest_socket_bytes(Path(parent) / f"{_PREFIX}12345678") > MAX_SOCKET_PATH_BYTES:
            continue
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    raise _unusable(
        "No temporary directory can be written that is short enough for unix sockets.",
        "Set host.run_dir to a short path that can be written.",
    )


def _temporary_dirs() -> list[str]:
    with contextlib.suppress(OSError):  # there is none
        return [tempfile.gettempdir(), *_USUAL_TEMPORARY_DIRS]
    return [*_USUAL_TEMPORARY_DIRS]


def _longest_socket_bytes(run_dir: Path) -> int:
    return len(os.fsencode(socket_path(run_dir, "x" * MAX_SLUG_CHARS, 9999)))


def prepare_run_dir(run_dir: Path) -> None:
    """Create `run_dir` for this user only, and remove sockets that no process listens on.

    Raises `HostError` when it belongs to another user, cannot be created, or is too long for socket paths.
    """
    if (length := _longest_socket_bytes(run_dir)) > MAX_SOCKET_PATH_BYTES:
        raise _unusable(
            f"The socket directory {run_dir} is too long: paths in it have up to {length} bytes,"
            f" but unix sockets allow {MAX_SOCKET_PATH_BYTES}.",
            "Set host.run_dir to a shorter path.",
        )
    try:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if run_dir.stat().st_uid != os.geteuid():
            raise _unusable(
                f"The socket directory {run_dir} belongs to another user.", "Set host.run_dir to another directory."
            )
        run_dir.chmod(0o700)
        for entry in run_dir.glob("*.sock"):
            if stat.S_ISSOCK(entry.lstat().st_mode) and not _is_listening(entry):
                entry.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise _unusable(
            f"The socket directory {run_dir} cannot be used: {reason}.", "Set host.run_dir to a writable directory."
        ) from error


def socket_path(run_dir: Path, name: str, generation: int) -> Path:
    """Return a path that was never used before: an engine cannot bind to an existing socket."""
    slug = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:MAX_SLUG_CHARS]
    return run_dir / f"{slug}-{generation}-{secrets.token_hex(3)}.sock"


def _unusable(message: str, hint: str) -> HostError:
    return HostError(message, code="run_dir_unusable", hint=hint)


def _is_listening(path: Path) -> bool:
    """Return whether a process listens on the socket: another gateway may share the directory."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # its accept queue is full
    return True
