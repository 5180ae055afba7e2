"""Listening sockets: TCP and unix, with errors that say what to do."""

import errno
import os
import socket
from pathlib import Path
from typing import Final

from intellirouter.config.runtime import ServerSpec

BACKLOG: Final = 2048
_UNIX_MODE: Final = 0o660


class CannotListen(Exception):
    """The gateway cannot listen on its address."""

    def __init__(self, message: str, hint: str) -> None:
        """Both are whole sentences; the hint says how to fix the cause."""
        super().__init__(message)
        self.message = message
        self.hint = hint


def open_listener(limits: ServerSpec) -> socket.socket:
    """Return the listening socket of this configuration. Raises `CannotListen`."""
    return bind(limits.host, limits.port) if limits.unix_socket is None else bind_unix(limits.unix_socket)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket. Raises `CannotListen`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason, hint = _listen_problem(error, host)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise CannotListen(f"Cannot listen on {address}: {reason}.", hint) from error
    sock.setblocking(False)
    return sock


def bind_unix(path: str) -> socket.socket:
    """Return a listening unix socket, readable and writable for its owner and group. Raises `CannotListen`.

    A socket file that no process listens on any more is replaced.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        umask = os.umask(0o777 & ~_UNIX_MODE)
        try:
            sock.bind(path)
        finally:
            os.umask(umask)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason, hint = _unix_problem(error, path)
        raise CannotListen(f"Cannot listen on the unix socket {path}: {reason}.", hint) from error
    sock.setblocking(False)
    return sock


def remove_socket_file(sock: socket.socket) -> None:
    """Remove the file of a unix socket. Does nothing for TCP."""
    if sock.family == socket.AF_UNIX:
        Path(sock.getsockname()).unlink(missing_ok=True)


def _unix_problem(error: OSError, path: str) -> tuple[str, str]:
    """Return why `bind` failed, and a hint."""
    if error.errno != errno.EADDRINUSE:
        hint = "Set server.unix_socket to a path of at most 100 bytes in an existing directory that is writable."
        return (error.strerror or str(error)).lower(), hint
    if Path(path).is_socket():
        return "another program listens on it", "Stop that program, or set server.unix_socket to another path."
    return "a file that is not a socket is there", "Set server.unix_socket to another path."


def _remove_stale(path: str) -> None:
    """Remove a socket file that no process listens on."""
    file = Path(path)
    try:
        if not file.is_socket():
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            file.unlink(missing_ok=True)


def _listen_problem(error: OSError, host: str) -> tuple[str, str]:
    """Return why `bind` failed, and a hint."""
    own_address = "Set --host to an address of this machine, such as 127.0.0.1, or to 0.0.0.0 for all of them."
    if isinstance(error, socket.gaierror):
        return f"{host} is not an IP address or a known host name", own_address
    match error.errno:
        case errno.EADDRINUSE:
            return "another program uses this address", "Stop that program, or choose another port with --port."
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return f"this machine does not have the address {host}", own_address
        case errno.EACCES | errno.EPERM:
            return "permission denied", "Choose a port above 1023 with --port, or run the gateway as a permitted user."
    return error.strerror or str(error), "Choose another address with --host, or another port with --port."
