"""Upstreams on loopback that run a script, which controls every byte and its time."""

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from intellirouter.core import Deployment, Secret, Timeouts, UpstreamAddress, UpstreamRequest, UpstreamResponse
from intellirouter.providers import UpstreamPool

_ADDRESS = ("uds", "headers", "ca_file", "client_certificate", "proxies")
PATIENCE_S = 5.0
"""The timeout for events that should happen immediately."""


def answer(body: bytes = b"{}", *headers: str, status: int = 200, version: str = "1.1") -> bytes:
    """Return a complete response with `content-length`."""
    lines = [f"HTTP/{version} {status} Some Reason", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Peer:
    """The upstream side of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        """Starts at 1, in the order of the connections."""
        self.reader = reader
        self.writer = writer
        self.is_gone = asyncio.Event()
        """Set when the pool has closed the connection, or the script has ended."""

    async def request(self) -> bytes:
        """Read one request and return its body. Raises `IncompleteReadError` at the end of the connection."""
        await self.head()
        return await self.reader.readexactly(self.length)

    async def head(self) -> str:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        found = re.search(r"content-length: (\d+)", head)
        assert found is not None, head
        self.length = int(found[1])
        return head

    async def send(self, data: bytes) -> None:
        """Send `data`. Raises `ConnectionError` if the connection is closed, under both event loops."""
        if self.writer.is_closing():  # uvloop raises RuntimeError when such a connection is written to
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()

    async def serve(self, data: bytes = answer()) -> None:
        """Send the same response to every request until the pool closes the connection."""
        while True:
            await self.request()
            await self.send(data)

    async def wait_gone(self) -> None:
        """Wait until the pool has closed this connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.is_gone.set()

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[Any]]


class Server:
    """Runs a script for each connection, and closes the connection at its end."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self.failures: list[BaseException] = []
        self.peers: list[Peer] = []
        self.base_url = ""
        self.uds: str | None = None

    @property
    def open_count(self) -> int:
        return len(self._tasks)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        peer = Peer(len(self.peers) + 1, reader, writer)
        self.peers.append(peer)
        try:
            await self._script(peer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the pool closed the connection, or the test is over
        except Exception as error:  # noqa: BLE001 - reported at the end of the test
            self.failures.append(error)
        finally:
            peer.is_gone.set()
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()
            del self._tasks[task]

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            self._tasks[task].transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def deployment(self, *, headers: tuple[tuple[str, str], ...] = (), **settings: Any) -> Deployment:
        """Return a deployment at this server; `settings` are timeouts, or fields of the address or the deployment."""
        return deployment(self.base_url, uds=self.uds, headers=headers, **settings)


def deployment(base_url: str, **settings: Any) -> Deployment:
    timeouts = {name: settings.pop(name) for name in list(settings) if name.endswith("_s")}
    endpoint = {name: settings.pop(name) for name in _ADDRESS if name in settings}
    credentials = tuple(Secret(value) for value in settings.pop("credentials", ()))
    return Deployment(
        name="test/model",
        provider="test",
        vendor="openai-compatible",
        upstream_model="model",
        address=UpstreamAddress(base_url=base_url, **endpoint),
        credentials=credentials,
        timeouts=Timeouts(**timeouts),
        **settings,
    )


@contextlib.asynccontextmanager
async def serving(
    script: Script, *, tls: ssl.SSLContext | None = None, uds: str | None = None, host: str = "localhost"
) -> AsyncIterator[Server]:
    """Run `script` on a port of 127.0.0.1 or on a unix socket. `host` is the host name in `base_url`."""
    server = Server(script)
    if uds is not None:
        listener = await asyncio.start_unix_server(server.connected, uds)
        server.uds, server.base_url = uds, "http://worker/v1"
    else:
        listener = await asyncio.start_server(server.connected, "127.0.0.1", 0, ssl=tls)
        port = listener.sockets[0].getsockname()[1]
        server.base_url = f"{'https' if tls else 'http'}://{host}:{port}/v1"
    try:
        yield server
    finally:
        listener.close()
        await server.stop()
    assert server.failures == []


async def call(pool: UpstreamPool, to: Deployment, body: bytes = b'{"ask": 1}') -> bytes:
    """Send one request and return the whole body of the response."""
    response = await pool.send(to, UpstreamRequest(path="/chat/completions", body=body))
    return await response.read(1 << 30)


async def stream(pool: UpstreamPool, to: Deployment, body: bytes = b'{"ask": 1}') -> bytes:
    """Send one request and read the response in chunks, as the relay of a stream does."""
    response = await pool.send(to, UpstreamRequest(path="/chat/completions", body=body))
    response.content_began()
    return await rest(response)


async def rest(response: UpstreamResponse) -> bytes:
    """Read the remaining chunks."""
    pieces = []
    while piece := await response.next_chunk():
        pieces.append(piece)
    return b"".join(pieces)


async def eventually(is_true: Callable[[], object], what: str = "it") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline, f"This did not happen within {PATIENCE_S} s: {what}."
        await asyncio.sleep(0.002)


def open_counts(pool: UpstreamPool) -> list[int]:
    """Return the number of open connections, including granted slots, of each address."""
    return [peers.open_count for peers in pool._address_pools.values()]


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer, for example because a longer timeout has ended it."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert took < seconds, f"The block took {took:.2f} s."


class Authority:
    """A certificate authority for the test run."""

    def __init__(self, folder: Path, name: str = "Throw-away CA") -> None:
        self._folder = folder
        self.ca_file = str(folder / "ca.pem")
        self._make("ca", f"/CN={name}", ["-x509", "-addext", "keyUsage=critical,keyCertSign,cRLSign"])

    def _make(self, name: str, subject: str, more: list[str]) -> None:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
        command = ["openssl", "req", *key, "-subj", subject, "-out", f"{name}.pem", "-days", "2", *more]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True)

    def server_context(self, names: str, **window: str) -> ssl.SSLContext:
        name = "server-" + "".join(char if char.isalnum() else "-" for char in names + "".join(window.values()))
        self._make(name, "/CN=server", [])
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        sign = ["openssl", "x509", "-req", "-in", f"{name}.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-out"]
        days = ["-days", window.get("days", "2"), "-extfile", f"{name}.ext"]
        subprocess.run([*sign, f"{name}.crt", *days], cwd=self._folder, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def client_certificate(self, name: str = "client", *, cipher: str = "") -> tuple[Path, Path]:
        """Return the files of a new client certificate and its key. `cipher` encrypts it with the password `pw`."""
        self._make(name, f"/CN={name}", [])
        cert, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        sign = ["openssl", "x509", "-req", "-in", f"{name}.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"]
        subprocess.run([*sign, "-out", cert], cwd=self._folder, check=True, capture_output=True)
        if cipher:
            encrypt = ["openssl", "pkcs8", "-topk8", "-in", key, "-out", f"{key}.enc", "-passout", "pass:pw"]
            subprocess.run([*encrypt, "-v2", cipher], cwd=self._folder, check=True, capture_output=True)
            return cert, Path(f"{key}.enc")
        return cert, key

    def requiring(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Make a server's context require a client certificate of this authority."""
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.ca_file)
        return context
