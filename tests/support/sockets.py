"""WebSockets in memory: the client's session, sockets of upstreams, and the connections to them."""

import asyncio

from intellirouter.core import Deployment, FrameSocket, SocketRefusal, UpstreamRequest, errors
from intellirouter.pipeline import Exchange

CREATED = '{"type":"session.created","session":{"model":"up"}}'
DONE = '{"type":"response.done","response":{"usage":{"input_tokens":10,"output_tokens":5}}}'

Message = str | bytes | Exception


class MemorySocket:
    """Implements `core.FrameSocket`: receives these messages, then waits. An exception among them is raised."""

    def __init__(self, *incoming: Message) -> None:
        self.sent: list[str | bytes] = []
        self.closed: tuple[int, str] | None = None
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        for message in incoming:
            self._incoming.put_nowait(message)

    async def receive(self) -> str | bytes:
        message = await self._incoming.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message: str | bytes) -> None:
        self.sent.append(message)

    async def close(self, code: int, reason: str = "") -> None:
        self.closed = self.closed or (code, reason)


class MemorySession(MemorySocket):
    """Implements `pipeline.Session` and records events: `begin`, `close`, `fail:CODE`."""

    def __init__(self, events: list[str], *incoming: Message, error: Exception | None = None) -> None:
        """`error` is raised when the session is accepted."""
        super().__init__(*incoming)
        self.events = events
        self.has_begun = False
        self.is_stopping = asyncio.Event()
        self.error: errors.GatewayError | None = None
        self.request_id = ""
        self._error = error

    async def begin(self, exchange: Exchange) -> None:
        if self._error is not None:
            raise self._error
        self.request_id = exchange.request_id
        self.has_begun = True
        self.events.append("begin")

    async def close(self, code: int, reason: str = "") -> None:
        await super().close(code, reason)
        self.events.append("close")

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:
        self.error, self.request_id = error, exchange.request_id
        self.events.append(f"fail:{error.code}")


class Dialer:
    """Implements `core.SocketUpstream`: each connection is the next one of these."""

    def __init__(self, *answers: FrameSocket | SocketRefusal | Exception) -> None:
        self.requests: list[tuple[str, str]] = []
        self._answers = list(answers)

    async def connect(self, deployment: Deployment, request: UpstreamRequest) -> FrameSocket | SocketRefusal:
        self.requests.append((deployment.name, request.path))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer
