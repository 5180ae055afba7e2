"""What the system knows about a TCP connection beyond its transport."""

import array
import asyncio
import fcntl
import socket
import termios
from typing import Final

from intellirouter.core import PeerAddress

_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
CLOSE: Final = 7
"""The state of a connection that was reset (`tcp_states.h` of Linux)."""
CLOSE_WAIT: Final = 8
"""The state of a connection whose peer has closed it, or half of it."""


def peer(transport: asyncio.Transport) -> PeerAddress | None:
    """Return the address of the client; None if it is unknown, or if the connection is not TCP."""
    name = transport.get_extra_info("peername")
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None


def state(transport: asyncio.Transport) -> int | None:
    """Return the state of the TCP connection; None where the system does not show it."""
    sock = transport.get_extra_info("socket")
    if _TCP_INFO is None or sock is None or sock.family == socket.AF_UNIX:
        return None
    try:
        found: int = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]
    except OSError:
        return CLOSE
    return found


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Return how much the client has not received yet of what was written: 0 unless the transport has a backlog.

    It includes the buffer of the system, because a client that reads slowly empties only that for a long time.
    """
    unsent = transport.get_write_buffer_size()
    return unsent + queued_bytes(transport) if unsent else 0


def queued_bytes(transport: asyncio.Transport) -> int:
    """Return the size of the system's buffer of what the client has not received yet."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return 0
    queued = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, queued)
    except OSError:
        return 0
    return queued[0]
