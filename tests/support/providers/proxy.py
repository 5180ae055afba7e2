"""An HTTP proxy on loopback: CONNECT tunnels and forwarded requests, with a log of what it was asked."""

import asyncio
import base64
import contextlib
import re
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]


class LoopbackProxy:
    """Connects to loopback only, whatever host it is asked for."""

    def __init__(self, *, login: str | None = None, answer: bytes | Answer | None = None) -> None:
        """`login`: the required `USER:PASSWORD`. `answer` is sent instead of serving the request."""
        self._login = login
        self._answer = answer
        self.established = [b"HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n"]
        """The response to CONNECT, in the pieces in which it is sent."""
        self.url = ""
        self.heads: list[str] = []
        """The head of every request, in the order of arrival."""
        self.open_count = 0
        self.failures: list[BaseException] = []

    @property
    def targets(self) -> list[str]:
        return [" ".join(head.split(" ", 2)[:2]) for head in self.heads]

    def with_login(self, login: str) -> str:
        return self.url.replace("://", f"://{login}@")

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_count += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass  # one of the sides has closed its connection
        except Exception as error:  # noqa: BLE001 - reported at the end of the test
            self.failures.append(error)
        finally:
            self.open_count -= 1
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            if callable(self._answer):
                await self._answer(reader, writer)
                return
            if self._answer is not None:
                writer.write(self._answer)
                await writer.drain()
                await reader.read()
                return
            if self._login is not None and not self._is_allowed(head):
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 6\r\n\r\nno way")
                await writer.drain()
                await reader.read()
                return
            method, target = head.split(" ", 2)[:2]
            if method == "CONNECT":
                await self._tunnel(reader, writer, target)
                return
            await self._forward(reader, writer, head, target)

    def _is_allowed(self, head: str) -> bool:
        assert self._login is not None
        expected = base64.b64encode(self._login.encode()).decode()
        return re.search(rf"\r\nproxy-authorization: Basic {re.escape(expected)}\r\n", head, re.IGNORECASE) is not None

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            await writer.drain()
            return
        for number, piece in enumerate(self.established):
            if number:
                await asyncio.sleep(0.02)
            writer.write(piece)
        try:
            await asyncio.wait(
                [asyncio.create_task(_copy(reader, far_writer)), asyncio.create_task(_copy(far_reader, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            far_writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, target: str
    ) -> None:
        """Forward one request on a connection of its own. Its response must have a length or chunks."""
        url = urlsplit(target)
        assert url.scheme == "http", target
        length = int(found[1]) if (found := re.search(r"content-length: (\d+)", head, re.IGNORECASE)) else 0
        body = await reader.readexactly(length)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", url.port or 80)
        lines = [line for line in head.split("\r\n") if not line.lower().startswith("proxy-")]
        lines[0] = lines[0].replace(target, url.path)
        far_writer.write("\r\n".join(lines).encode("latin-1") + body)
        try:
            answer = await far_reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            if found := re.search(rb"content-length: (\d+)", answer, re.IGNORECASE):
                writer.write(await far_reader.readexactly(int(found[1])))
            else:
                while piece := await far_reader.read(65536):
                    writer.write(piece)
                    if piece.endswith(b"0\r\n\r\n"):
                        break
            await writer.drain()
        finally:
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def proxying(
    *, login: str | None = None, answer: bytes | Answer | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[LoopbackProxy]:
    """Run a proxy on a port of 127.0.0.1."""
    proxy = LoopbackProxy(login=login, answer=answer)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.connected(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    proxy.url = f"{'https' if tls else 'http'}://localhost:{listener.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert proxy.failures == []


@contextlib.contextmanager
def proxy_in_thread(*, login: str | None = None) -> Iterator[LoopbackProxy]:
    """Run a proxy on an event loop of its own, for tests without one."""
    loop, is_ready, running = asyncio.new_event_loop(), threading.Event(), []
    stop = asyncio.Event()

    async def serve() -> None:
        async with proxying(login=login) as proxy:
            running.append(proxy)
            is_ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert is_ready.wait(5)
        yield running[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
