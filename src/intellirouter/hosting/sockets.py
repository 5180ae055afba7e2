"""The directory of worker sockets: private, without stale sockets, and with a new path for every start."""

import os
import re
import secrets
import socket
import stat
from pathlib import Path
from typing import Final

from intellirouter.core.errors import HostError

MAX_SOCKET_PATH_BYTES: Final = 107
"""Size of `sockaddr_un.sun_path` without the terminating zero."""
MAX_SLUG_CHARS: Final = 20


def prepare_run_dir(run_dir: Path) -> None:
    """Create `run_dir` for this user only, and remove sockets that no process listens on.

    Raises `HostError` when it belongs to another user, cannot be created, or is too long for socket paths.
    """
    longest = socket_path(run_dir, "x" * MAX_SLUG_CHARS, 9999)
    if (length := len(os.fsencode(longest))) > MAX_SOCKET_PATH_BYTES:
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
