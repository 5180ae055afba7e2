"""Finds model servers on this machine: connects to their default ports and requests their list of models."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import urlsplit

import msgspec

from intellirouter.config import ProbeResult
from intellirouter.core import VendorRow

_CONNECT_TIMEOUT_S: Final = 0.15
_RESPONSE_TIMEOUT_S: Final = 1.0
_MAX_LIST_BYTES: Final = 1024 * 1024
_MAX_MODELS: Final = 100


class _Row(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[_Row]


def probe_local(rows: Iterable[VendorRow], *, ports: dict[str, int], own_port: int) -> list[ProbeResult]:
    """Probe the ports of all local vendors concurrently. Return those that respond with a list of models.

    `ports` overrides a vendor's default port. Takes at most about one second.
    """
    candidates = [(row, ports.get(row.name, row.local_port)) for row in rows if row.local_port]
    targets = [(row, port) for row, port in candidates if port and port != own_port]
    with ThreadPoolExecutor(max_workers=max(1, len(targets))) as pool:
        results = pool.map(lambda target: _probe(*target), targets)
        return [result for result in results if result is not None]


def _probe(row: VendorRow, port: int) -> ProbeResult | None:
    try:
        sock = socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_TIMEOUT_S)
    except OSError:
        return None
    # A socket's own timeout restarts with each byte, so a server that sends slowly could delay the start for minutes.
    watchdog = threading.Timer(_RESPONSE_TIMEOUT_S, _shut_down, [sock])
    watchdog.start()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = sock
    try:
        sock.settimeout(_RESPONSE_TIMEOUT_S)
        connection.request("GET", "/v1/models")
        response = connection.getresponse()
        body = response.read(_MAX_LIST_BYTES)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        watchdog.cancel()
        connection.close()
        sock.close()
    if response.status != 200:
        return None
    try:
        listed = msgspec.json.decode(body, type=_List)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # something else listens on this port
    models = tuple(each.id for each in listed.data[:_MAX_MODELS])
    return ProbeResult(
        vendor=row.name, base_url=f"http://127.0.0.1:{port}{urlsplit(row.base_url or '').path}", models=models
    )


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        sock.shutdown(socket.SHUT_RDWR)
