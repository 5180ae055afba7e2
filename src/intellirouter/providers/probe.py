"""Looking for model servers on this machine: their usual ports, a short connect, their list of models."""

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

_CONNECT_S: Final = 0.15
_ANSWER_S: Final = 1.0
_MAX_LIST_BYTES: Final = 1024 * 1024
_MAX_MODELS: Final = 100


class _Row(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[_Row]


def probe_local(rows: Iterable[VendorRow], *, ports: dict[str, int], own_port: int) -> list[ProbeResult]:
    """Ask every local vendor's port at once; return those that answered with a list of models.

    `ports` overrides a vendor's usual port. Takes at most about a second, a sixth of one when nothing listens.
    """
    places = [(row, ports.get(row.name, row.local_port)) for row in rows if row.local_port]
    asked = [(row, port) for row, port in places if port and port != own_port]
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        found = pool.map(lambda place: _ask(*place), asked)
        return [result for result in found if result is not None]


def _ask(row: VendorRow, port: int) -> ProbeResult | None:
    try:
        sock = socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_S)
    except OSError:
        return None
    # A socket's own timeout starts anew with each byte: a server that drips would hold up our start for minutes.
    watchdog = threading.Timer(_ANSWER_S, _hang_up, [sock])
    watchdog.start()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = sock
    try:
        sock.settimeout(_ANSWER_S)
        connection.request("GET", "/v1/models")
        answer = connection.getresponse()
        body = answer.read(_MAX_LIST_BYTES)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        watchdog.cancel()
        connection.close()
        sock.close()
    if answer.status != 200:
        return None
    try:
        listed = msgspec.json.decode(body, type=_List)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # something else lives on this port
    models = tuple(each.id for each in listed.data[:_MAX_MODELS])
    return ProbeResult(
        vendor=row.name, base_url=f"http://127.0.0.1:{port}{urlsplit(row.base_url or '').path}", models=models
    )


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be over
        sock.shutdown(socket.SHUT_RDWR)
