"""One client connection: parses requests and plays scripts on the raw socket, including cuts and resets.

It works on the transport because a web server would not allow most of the faults that tests need.
"""

import asyncio
import itertools
import socket
import struct
from collections import deque
from http import HTTPStatus
from typing import Final, cast

import httptools

from intellirouter.core import SYSTEM_CLOCK, TaskOwner
from intellirouter.fake.script import Cut, Ending, Hang, Script, Step, Wait
from intellirouter.testing.mock_vendor.registry import MAX_STORED_BODY_BYTES, Received
from intellirouter.testing.mock_vendor.vendor import Vendor

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_WAITING: Final = 16
"""Pipelined requests on one connection before reading pauses."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_numbers = itertools.count(1)


class Connection(asyncio.Protocol):
    def __init__(self, vendor: Vendor, tasks: TaskOwner) -> None:
        self._vendor = vendor
        self._tasks = tasks
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._number = next(_numbers)
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._waiting: deque[tuple[Received, bytes, bool]] = deque()
        self._work: asyncio.Task[None] | None = None
        self._playing: Received | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._closes_on_next = False
        self._socket_data: asyncio.Queue[bytes] | None = None

    # --- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        # Send every write separately, and wait until nothing is left in the buffer of this process: otherwise, a reset
        # could discard bytes that precede it.
        self._transport.set_write_buffer_limits(high=0)
        link: socket.socket | None = transport.get_extra_info("socket")
        if link is not None and link.family != socket.AF_UNIX:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._vendor.open_connections += 1

    def connection_lost(self, _exc: Exception | None) -> None:
        self._vendor.open_connections -= 1
        self._can_write.set()
        if self._playing is not None:
            self._playing.is_aborted, self._playing.aborted_us = True, SYSTEM_CLOCK.epoch_us()
        if self._work is not None:
            self._work.cancel()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        if self._socket_data is not None:
            self._socket_data.put_nowait(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if ("upgrade", "websocket") not in [(name, value.lower()) for name, value in self._headers]:
                self._transport.close()
                return
            # The request is already queued and will be answered as a handshake; what follows are frames.
            self._socket_data = asyncio.Queue()
            self._socket_data.put_nowait(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self._transport.close()

    # --- called by the parser

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body = b"", [], bytearray()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if ("expect", "100-continue") in self._headers and not self._closes_on_next:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            self._transport.write(b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self._transport.close()

    def on_message_complete(self) -> None:
        if self._closes_on_next:
            self._transport.close()
            return
        body = bytes(self._body)
        received = Received(
            number=0,
            connection=self._number,
            method=self._parser.get_method().decode("latin-1"),
            path=self._target.decode("latin-1"),
            headers=self._headers,
            body=body[:MAX_STORED_BODY_BYTES].decode(errors="replace"),
            size_bytes=len(body),
            arrived_us=SYSTEM_CLOCK.epoch_us(),
        )
        self._waiting.append((received, body, self._parser.should_keep_alive()))
        if len(self._waiting) >= MAX_WAITING:
            self._transport.pause_reading()
        if self._work is None:
            self._work = self._tasks.start(self._serve(), f"connection-{self._number}")

    # --- sending answers

    async def _serve(self) -> None:
        """Answer the queued requests in order."""
        try:
            await self._serve_waiting()
        except Exception:
            # The owner of the task logs the bug. The client must not wait for an answer that never comes.
            self._transport.abort()
            raise

    async def _serve_waiting(self) -> None:
        while self._waiting and not self._transport.is_closing():
            received, body, keeps_alive = self._waiting.popleft()
            self._transport.resume_reading()
            if self._socket_data is not None and not self._waiting:
                await self._serve_websocket(received, self._socket_data)
                return
            script = self._vendor.answer(received, body)
            if not keeps_alive and script.ending == "keep":
                script.ending = "announce"
            self._playing = received
            is_whole = await self._play(received, script)
            self._playing = None
            if not is_whole:
                return
            received.is_finished = True
            await self._end(script.ending, script.idle_s)
        self._work = None

    async def _serve_websocket(self, received: Received, incoming: asyncio.Queue[bytes]) -> None:
        """Answer a handshake, then exchange messages over the WebSocket until one side closes it."""
        script, conversation = self._vendor.connect(received)
        self._playing = received
        if not await self._play(received, script):
            return
        if conversation is None or script.status != 101:
            self._transport.close()
            return
        steps = conversation.opening()
        while True:
            for step in steps:
                if isinstance(step, bytes):
                    await self._write(step)
                    received.sent_bytes += len(step)
                elif not await self._perform(step):
                    return
            received.is_finished = True
            steps = conversation.feed(await incoming.get())
            texts = "\n".join([received.body, *conversation.received_texts])
            received.body = texts[-MAX_STORED_BODY_BYTES:].lstrip("\n")
            conversation.received_texts.clear()

    async def _play(self, received: Received, script: Script) -> bool:
        """Return False if the script cut the connection."""
        for step in script.before_head:
            if not await self._perform(step):
                return False
        received.status = script.status
        pending = _head(script)  # sent in one write with the first bytes of the body
        for step in script.steps:
            if isinstance(step, bytes):
                if not step:
                    continue
                framed = b"%x\r\n%b\r\n" % (len(step), step) if script.is_chunked else step
                await self._write(pending + framed)
                received.sent_bytes += len(step)
                pending = b""
                continue
            await self._write(pending)
            pending = b""
            if not await self._perform(step):
                return False
        await self._write(pending + (b"0\r\n\r\n" if script.is_chunked else b""))
        return True

    async def _perform(self, step: Step) -> bool:
        match step:
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Hang():
                await asyncio.Event().wait()
            case Cut(is_reset):
                self._cut(is_reset=is_reset)
                return False
        return True

    async def _write(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._transport.is_closing():
            # The client has disconnected: `connection_lost` follows and cancels this task.
            await asyncio.Event().wait()
        await self._can_write.wait()

    def _cut(self, *, is_reset: bool) -> None:
        self._playing = None  # this side closes the connection, so the request does not count as aborted
        if not is_reset:
            self._transport.close()
            return
        link: socket.socket | None = self._transport.get_extra_info("socket")
        if link is not None and link.family != socket.AF_UNIX:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    async def _end(self, ending: Ending, idle_s: float) -> None:
        match ending:
            case "announce":
                self._transport.close()
            case "idle":
                await asyncio.sleep(idle_s)
                self._transport.close()
            case "next_request":
                self._closes_on_next = True
            case "keep":
                return


def _head(script: Script) -> bytes:
    """Return the status line and the headers, including the framing headers of the script."""
    try:
        phrase = HTTPStatus(script.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {script.status} {phrase}", *(f"{name}: {value}" for name, value in script.headers)]
    if script.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if script.is_chunked:
        lines.append("transfer-encoding: chunked")
    else:
        lines.append(f"content-length: {script.content_length}")
    if script.ending == "announce":
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
