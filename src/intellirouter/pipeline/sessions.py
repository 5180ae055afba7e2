"""The execute stage for sessions: one WebSocket to a deployment for one of the client's, until either side ends it.

Attempts are made until an upstream has accepted; from then on there is no other. Messages pass in both directions as
fast as the slower side takes them. The exchange is settled once, when the session is over, before the client is told.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from intellirouter.core import (
    Clock,
    Deployment,
    FrameSocket,
    SocketClosed,
    SocketRefusal,
    SocketUpstream,
    TaskOwner,
    errors,
)
from intellirouter.dialects import SessionRelay, SessionRoute
from intellirouter.pipeline.attempts import AttemptContext, Attempts, elapsed_ms
from intellirouter.pipeline.exchange import Decided, Exchange, Responder

logger = logging.getLogger(__name__)

_FIRST_MESSAGE_S: Final = 2.0
"""How long an upstream that has accepted may take to say no. OpenAI refuses models and accounts only then."""
_SWITCHING: Final = 101
_NORMAL: Final = frozenset({1000, 1001, 1005})
_UNSENDABLE: Final = {1005: 1000, 1006: 1011, 1015: 1011, 1004: 1000}
"""Codes that stand for the absence of one, and what the client is told instead."""
_LEAVING: Final = {1005: 1000, 1006: 1001, 1015: 1001, 1004: 1000}
"""What the upstream is told instead."""

Party = Literal["client", "upstream", "idle", "limit", "gateway"]
_FINISH: Final[dict[Party, str]] = {
    "client": "client_closed",
    "upstream": "upstream_closed",
    "idle": "idle_timeout",
    "limit": "session_limit",
    "gateway": "gateway_stopping",
}


class Session(Responder, FrameSocket, Protocol):
    """A client's side of a session. The gateway implements it for one WebSocket that has not been accepted yet."""

    is_stopping: asyncio.Event
    """Set when the gateway stops."""

    async def begin(self, exchange: Exchange) -> None:
        """Accept the client. Raises `SocketClosed`."""
        ...


class _End(Struct, frozen=True):
    """Who ended the session, and how."""

    by: Party
    code: int
    reason: str = ""


class _Link(Struct, frozen=True):
    """An upstream that has accepted."""

    socket: FrameSocket
    relay: SessionRelay
    first: str | bytes | None
    """Its first message, if there was one already."""


class SessionExecutor(Struct, frozen=True, kw_only=True):
    """Holds sessions. `settle` is called once the session is over, before the client's last byte."""

    upstream: SocketUpstream | None
    attempts: Attempts
    settle: Callable[[Exchange], None]
    idle_s: float
    max_s: float

    async def run(self, exchange: Exchange, request: Decided, session: Session) -> None:
        """Hold the session to its end, or raise the error that stands while there is none."""
        context, link = await self.attempts.open(exchange, request, self._open)
        exchange.first_token_ms = context.attempt.first_byte_ms
        exchange.status = _SWITCHING
        try:
            end = await self._talk(exchange, link, session)
        except BaseException as error:
            self.attempts.abandon(context, error)
            raise
        exchange.finish_reason = _FINISH[end.by]
        if end.by == "upstream" and end.code not in _NORMAL:
            exchange.error = _broken(exchange, end)
            self.attempts.fail(context, exchange.error)
        else:
            self.attempts.succeed(context, is_session=True)
        self.settle(exchange)
        await _tell(end, exchange.error, link.relay, session)

    async def _open(self, context: AttemptContext) -> _Link:
        """Shake hands and wait for the upstream's first message. Raises what a refusal means."""
        call, deployment, attempt = context.call, context.deployment, context.attempt
        route = context.exchange.endpoint.session_route(call, deployment)
        if self.upstream is None:
            raise errors.UnsupportedFeature("This gateway does not open sessions to upstreams.")
        answer = await self.upstream.connect(deployment, route.encode_request(call, deployment))
        attempt.first_byte_ms = elapsed_ms(context.exchange, self.attempts.clock)
        if isinstance(answer, SocketRefusal):
            attempt.status = answer.status
            raise route.decode_error(
                answer.status, answer.headers, answer.body, deployment=deployment.name, clock=self.attempts.clock
            )
        attempt.status = _SWITCHING
        relay = route.session(call, deployment)
        try:
            return _Link(answer, relay, await self._first_message(answer, route, relay, deployment))
        except BaseException:
            await _leave(answer, 1000)
            raise

    async def _first_message(
        self, socket: FrameSocket, route: SessionRoute, relay: SessionRelay, deployment: Deployment
    ) -> str | bytes | None:
        try:
            async with asyncio.timeout(_FIRST_MESSAGE_S):
                first = await socket.receive()
        except TimeoutError:
            return None  # it waits for the client to speak first
        except SocketClosed as closed:
            raise errors.UpstreamDisconnected(
                f"{deployment.name} closed the session at once: {_words(closed.code, closed.reason)}."
            ) from None
        refusal = relay.refusal(first)
        if refusal is not None:
            status, body = refusal
            raise route.decode_error(status, (), body, deployment=deployment.name, clock=self.attempts.clock)
        return first

    async def _talk(self, exchange: Exchange, link: _Link, session: Session) -> _End:
        """Relay until one side ends the session, and let go of the upstream."""
        code = 1001
        try:
            end = await self._greet(link, session, exchange) or await self._relay(link, session)
            code = end.code if end.by != "upstream" else 1000
        finally:
            exchange.usage = link.relay.usage
            await _leave(link.socket, code)
        return end

    async def _greet(self, link: _Link, session: Session, exchange: Exchange) -> _End | None:
        """Accept the client and pass on the upstream's first message."""
        try:
            await session.begin(exchange)
            if link.first is not None:
                await session.send(link.relay.from_upstream(link.first))
        except SocketClosed as closed:
            return _End("client", closed.code, closed.reason)
        return None

    async def _relay(self, link: _Link, session: Session) -> _End:
        """Pass messages on until somebody ends it, or has to."""
        owner = TaskOwner("session")
        relay, active = link.relay, _Activity(self.attempts.clock)
        up = owner.start(_pump("client", session, link.socket, relay.from_client, active), "up", is_awaited=True)
        down = owner.start(
            _pump("upstream", link.socket, session, relay.from_upstream, active), "down", is_awaited=True
        )
        stop = owner.start(session.is_stopping.wait(), "stop", is_awaited=True)
        ends_s = self.attempts.clock.monotonic_s() + self.max_s
        try:
            while True:
                now_s = self.attempts.clock.monotonic_s()
                idle_left_s = active.last_s + self.idle_s - now_s
                if ends_s <= now_s:
                    return _End("limit", 1000, f"The session has lasted {self.max_s:g} s, which is as long as it may.")
                if idle_left_s <= 0:
                    return _End("idle", 1000, f"Nothing has happened for {self.idle_s:g} s.")
                await asyncio.wait(
                    {up, down, stop},
                    timeout=min(idle_left_s, ends_s - now_s),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for pump in (up, down):
                    if pump.done():
                        end: _End = pump.result()
                        return end
                if stop.done():
                    return _End("gateway", 1001, "The gateway is stopping.")
        finally:
            await owner.stop()


class _Activity:
    """When a message last passed."""

    def __init__(self, clock: Clock) -> None:
        self._now_s = clock.monotonic_s
        self.last_s = clock.monotonic_s()

    def note(self) -> None:
        self.last_s = self._now_s()


async def _pump(
    source_is: Party,
    source: FrameSocket,
    sink: FrameSocket,
    edit: Callable[[str | bytes], Any],
    active: _Activity,
) -> _End:
    """Pass messages on until one of the sockets closes."""
    sink_is: Party = "upstream" if source_is == "client" else "client"
    while True:
        try:
            message = await source.receive()
        except SocketClosed as closed:
            return _End(source_is, closed.code, closed.reason)
        active.note()
        try:
            await sink.send(edit(message))
        except SocketClosed as closed:
            return _End(sink_is, closed.code, closed.reason)
        active.note()


async def _tell(end: _End, error: errors.GatewayError | None, relay: SessionRelay, session: Session) -> None:
    """Tell the client why its session is over, unless it has ended the session itself."""
    if end.by == "client":
        return
    if end.by in {"idle", "limit"}:
        error = errors.RequestTimeout(end.reason, code="session_expired")
    if error is not None:
        with contextlib.suppress(SocketClosed):
            await session.send(relay.error_event(error))
    await session.close(_UNSENDABLE.get(end.code, end.code), end.reason)


async def _leave(socket: FrameSocket, code: int) -> None:
    """Close an upstream's socket the way a client does."""
    await socket.close(_LEAVING.get(code, code))


def _broken(exchange: Exchange, end: _End) -> errors.UpstreamError:
    name = "" if exchange.deployment is None else exchange.deployment.name
    error = errors.UpstreamDisconnected(f"{name} ended the session: {_words(end.code, end.reason)}.")
    logger.log(error.log_level, "%s %s: %s", exchange.request_id, error.code, error.message)
    return error


def _words(code: int, reason: str) -> str:
    if code == 1006:
        return reason or "the connection broke"
    return f"close code {code}, {reason}" if reason else f"close code {code}"
