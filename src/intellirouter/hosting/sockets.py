"""The directory of worker sockets: private, free of leftovers, with a fresh name for every start."""

import os
import re
import secrets
import socket
import stat
from pathlib import Path
from typing import Final

from intellirouter.core.errors import HostError

MAX_SOCKET_PATH_BYTES: Final = 107
"""What fits `sockaddr_un.sun_path` with its terminating zero."""
MAX_SLUG_CHARS: Final = 20


def prepare_run_dir(run_dir: Path) -> None:
    """Create `run_dir` for this user alone and remove sockets that nobody listens on any more.

    Raises `HostError` when it belongs to somebody else, cannot be made, or is too long to hold a socket.
    """
    longest = socket_path(run_dir, "x" * MAX_SLUG_CHARS, 9999)
    if (length := len(os.fsencode(longest))) > MAX_SOCKET_PATH_BYTES:
        raise HostError(
            f"{run_dir} is too long for unix sockets: a path in it has {length} bytes, {MAX_SOCKET_PATH_BYTES} fit",
            code="run_dir_unusable",
            hint="Choose a shorter directory.",
        )
    try:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if run_dir.stat().st_uid != os.geteuid():
            raise HostError(
                f"{run_dir} belongs to another user", code="run_dir_unusable", hint="Choose another directory."
            )
        run_dir.chmod(0o700)
        for entry in run_dir.glob("*.sock"):
            if stat.S_ISSOCK(entry.lstat().st_mode) and not _is_served(entry):
                entry.unlink(missing_ok=True)
    except OSError as error:
        raise HostError(f"{run_dir} cannot be used for sockets: {error}", code="run_dir_unusable") from error


def socket_path(run_dir: Path, name: str, generation: int) -> Path:
    """A path never used before: an engine cannot bind to one that exists, and a client must not meet an old one."""
    slug = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:MAX_SLUG_CHARS]
    return run_dir / f"{slug}-{generation}-{secrets.token_hex(3)}.sock"


def _is_served(path: Path) -> bool:
    """Whether somebody listens: another gateway may share the directory."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # its queue is full, so there is one
    return True
