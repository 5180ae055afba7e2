"""The execute stage for realtime sessions: connects the client's WebSocket with one of a deployment.

Attempts are made until an upstream has accepted the session. Then messages are relayed in both directions, as fast as
the slower side reads. When the session has ended, the exchange is settled, and then the client's socket is closed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Literal, Protocol

from msgspec import Struct

from intellirouter.core import (
    SMALL_BYTES,
    Clock,
    Deployment,
    FrameSocket,
    OffLoop,
    Secret,
    SocketClosed,
    SocketRefusal,
    SocketUpstream,
    TaskOwner,
    errors,
    mask_credentials,
)
from intellirouter.dialects import MessageRefused, SessionRelay, SessionRoute
from intellirouter.pipeline.attempt_outcomes import AttemptContext, elapsed_ms
from intellirouter.pipeline.attempts import Attempts
from intellirouter.pipeline.exchange import Decided, Exchange, Responder
from intellirouter.resilience import is_credential_at_fault, refusal_status

logger = logging.getLogger(__name__)

_FIRST_MESSAGE_S: Final = 2.0
"""How long to wait for an error as the first message. OpenAI rejects models and accounts after the handshake."""
_ERROR_TYPE: Final = '"error"'
_TYPE_CHARS: Final = 256
"""The type of a message is at its beginning."""
_STATUS_SWITCHING_PROTOCOLS: Final = 101
_NORMAL_CLOSE_CODES: Final = frozenset({1000, 1001, 1005})
_CLIENT_CLOSE_CODES: Final = {1005: 1000, 1006: 1011, 1015: 1011, 1004: 1000}
"""Close codes that must not be sent, and the codes sent to the client instead."""
_UPSTREAM_CLOSE_CODES: Final = {1005: 1000, 1006: 1001, 1015: 1001, 1004: 1000}
"""Close codes that must not be sent, and the codes sent to the upstream instead."""

Edit = Callable[[str | bytes], str | bytes]
Party = Literal["client", "upstream", "idle", "limit", "gateway"]
_FINISH_REASONS: Final[dict[Party, str]] = {
    "client": "client_closed",
    "upstream": "upstream_closed",
    "idle": "idle_timeout",
    "limit": "session_limit",
    "gateway": "gateway_stopping",
}


class Session(Responder, FrameSocket, Protocol):
    """The client's WebSocket, which has not been accepted yet."""

    is_stopping: asyncio.Event
    """Set when the gateway stops."""

    async def begin(self, exchange: Exchange) -> None:
        """Accept the WebSocket. Raises `SocketClosed`."""
        ...


class _SessionEnd(Struct, frozen=True):
    """Which party ended the session, and how."""

    by: Party
    code: int
    reason: str = ""


class _UpstreamSession(Struct, frozen=True):
    """A session that an upstream has accepted."""

    socket: FrameSocket
    relay: SessionRelay
    first: str | bytes | None
    """The upstream's first message, if it has sent one."""
    secrets: tuple[Secret, ...] = ()
    """Masked in the upstream's error messages."""


class SessionExecutor(Struct, frozen=True, kw_only=True):
    """Runs sessions. `settle` is called when a session has ended, before the client's socket is closed."""

    upstream: SocketUpstream | None
    attempts: Attempts
    settle: Callable[[Exchange], None]
    off_loop: OffLoop
    """Edits large messages."""
    idle_s: float
    max_s: float

    async def run(self, exchange: Exchange, request: Decided, session: Session) -> None:
        """Run the session to its end. Raises the error for the client if no upstream accepts."""

        async def serve(context: AttemptContext, accepted: _UpstreamSession) -> None:
            await self._serve(context, accepted, session)

        await self.attempts.run(exchange, request, self._open, serve)

    async def _serve(self, context: AttemptContext, accepted: _UpstreamSession, session: Session) -> None:
        exchange = context.exchange
        exchange.first_token_ms = context.attempt.first_byte_ms
        exchange.status = _STATUS_SWITCHING_PROTOCOLS
        end = await self._run(exchange, accepted, session)
        exchange.finish_reason = _FINISH_REASONS[end.by]
        if end.by == "upstream" and end.code not in _NORMAL_CLOSE_CODES:
            exchange.error = _disconnect_error(context, end)
            self.attempts.fail(context, exchange.error)
        else:
            self.attempts.succeed(context, is_session=True)
        self.settle(exchange)
        await _close_client(end, exchange.error, accepted, session)

    async def _open(self, context: AttemptContext) -> _UpstreamSession:
        """Connect and wait for the upstream's first message. Raises the error if the upstream refuses the session."""
        call, deployment, attempt = context.call, context.deployment, context.attempt
        route = context.exchange.endpoint.session_route(call, deployment)
        if self.upstream is None:
            raise errors.UnsupportedFeature("This gateway does not support realtime sessions.", hint="")
        response = await self.upstream.connect(deployment, route.encode_request(call, deployment))
        attempt.first_byte_ms = elapsed_ms(context.exchange, self.attempts.clock)
        if isinstance(response, SocketRefusal):
            attempt.status = response.status
            raise self._refused(response, route, deployment)
        attempt.status = _STATUS_SWITCHING_PROTOCOLS
        relay = route.session(call, deployment, context.exchange.identity.may_use)
        try:
            first = await self._first_message(response, route, relay, deployment)
            return _UpstreamSession(response, relay, first, deployment.credentials)
        except BaseException:
            await _close_upstream(response, 1000)
            raise

    def _refused(self, response: SocketRefusal, route: SessionRoute, deployment: Deployment) -> errors.UpstreamError:
        """Return the error for a refused handshake. If the request has caused it, the credential is spared."""
        error = route.decode_error(
            response.status, response.headers, response.body, deployment=deployment.name, clock=self.attempts.clock
        )
        if response.spare_credential is not None and not is_credential_at_fault(error):
            response.spare_credential()
        if response.refuse_credential is not None and (status := refusal_status(error)) is not None:
            response.refuse_credential(status)
        return error

    async def _first_message(
        self, socket: FrameSocket, route: SessionRoute, relay: SessionRelay, deployment: Deployment
    ) -> str | bytes | None:
        try:
            async with asyncio.timeout(_FIRST_MESSAGE_S):
                first = await socket.receive()
        except TimeoutError:
            return None  # the upstream waits for a message of the client
        except SocketClosed as closed:
            raise errors.UpstreamDisconnected(
                f"{deployment.name} closed the session at once: {_close_description(closed.code, closed.reason)}."
            ) from None
        refusal = relay.refusal(first)
        if refusal is not None:
            status, body = refusal
            raise route.decode_error(status, (), body, deployment=deployment.name, clock=self.attempts.clock)
        return first

    async def _run(self, exchange: Exchange, accepted: _UpstreamSession, session: Session) -> _SessionEnd:
        """Accept the client, relay messages until the session ends, and close the upstream's socket."""
        code = 1001
        try:
            end = await self._accept(accepted, session, exchange) or await self._relay(accepted, session)
            code = end.code if end.by != "upstream" else 1000
        finally:
            exchange.usage = accepted.relay.usage
            await _close_upstream(accepted.socket, code)
        return end

    async def _accept(self, accepted: _UpstreamSession, session: Session, exchange: Exchange) -> _SessionEnd | None:
        """Accept the client and send it the upstream's first message."""
        try:
            await session.begin(exchange)
            if accepted.first is not None:
                await session.send(accepted.relay.from_upstream(accepted.first))
        except SocketClosed as closed:
            return _SessionEnd("client", closed.code)
        return None

    async def _relay(self, accepted: _UpstreamSession, session: Session) -> _SessionEnd:
        """Relay messages until a party closes its socket, a time limit is reached, or the gateway stops."""
        owner = TaskOwner("session")
        socket, relay, activity = accepted.socket, accepted.relay, _Activity(self.attempts.clock)
        client, upstream = _Direction("client", session, socket), _Direction("upstream", socket, session)
        secrets = accepted.secrets

        def from_upstream(message: str | bytes) -> str | bytes:
            edited = relay.from_upstream(message)
            is_error = isinstance(edited, str) and _ERROR_TYPE in edited[:_TYPE_CHARS]
            return mask_credentials(edited, secrets) if is_error and isinstance(edited, str) else edited

        up = owner.start(self._forward(client, relay.from_client, activity), "up", is_awaited=True)
        down = owner.start(self._forward(upstream, from_upstream, activity), "down", is_awaited=True)
        stop = owner.start(session.is_stopping.wait(), "stop", is_awaited=True)
        ends_s = self.attempts.clock.monotonic_s() + self.max_s
        try:
            while True:
                now_s = self.attempts.clock.monotonic_s()
                idle_left_s = activity.last_s + self.idle_s - now_s
                if ends_s <= now_s:
                    return _SessionEnd("limit", 1000, f"The session has reached the limit of {self.max_s:g} s.")
                if idle_left_s <= 0:
                    return _SessionEnd("idle", 1000, f"The session was idle for {self.idle_s:g} s.")
                await asyncio.wait(
                    {up, down, stop},
                    timeout=min(idle_left_s, ends_s - now_s),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for direction in (up, down):
                    if direction.done():
                        end: _SessionEnd = direction.result()
                        return end
                if stop.done():
                    return _SessionEnd("gateway", 1001, "The gateway is stopping.")
        finally:
            await owner.stop()

    async def _forward(self, way: "_Direction", edit: Edit, activity: "_Activity") -> _SessionEnd:
        """Forward messages until one of the sockets is closed."""
        receiver: Party = "upstream" if way.sender == "client" else "client"
        while True:
            try:
                message = await way.source.receive()
            except SocketClosed as closed:
                return _SessionEnd(way.sender, closed.code, closed.reason)
            activity.note()
            to, target = receiver, way.target
            try:
                edited = await self._edited(message, edit) if len(message) > SMALL_BYTES else edit(message)
            except MessageRefused as refused:
                edited, to, target = refused.reply, way.sender, way.source
            try:
                await target.send(edited)
            except SocketClosed as closed:
                return _SessionEnd(to, closed.code, closed.reason)
            message = edited = ""  # a large message must not stay alive until the next one arrives
            activity.note()

    async def _edited(self, message: str | bytes, edit: Edit) -> str | bytes:
        """Edit a large message off the event loop."""
        return await self.off_loop.run(len(message), lambda: edit(message))


class _Direction(Struct, frozen=True):
    """Forwards messages from the socket of `sender` to the other one."""

    sender: Party
    source: FrameSocket
    target: FrameSocket


class _Activity:
    """The time of the last message in either direction."""

    def __init__(self, clock: Clock) -> None:
        self._now_s = clock.monotonic_s
        self.last_s = clock.monotonic_s()

    def note(self) -> None:
        self.last_s = self._now_s()


async def _close_client(
    end: _SessionEnd, error: errors.GatewayError | None, accepted: _UpstreamSession, session: Session
) -> None:
    """Report to the client why the session has ended, and close its socket. Does nothing if the client has ended it."""
    if end.by == "client":
        return
    if end.by in {"idle", "limit"}:
        error = errors.RequestTimeout(end.reason, code="session_expired")
    if error is not None:
        with contextlib.suppress(SocketClosed):
            await session.send(accepted.relay.error_event(error))
    await session.close(_CLIENT_CLOSE_CODES.get(end.code, end.code), mask_credentials(end.reason, accepted.secrets))


async def _close_upstream(socket: FrameSocket, code: int) -> None:
    """Close an upstream's socket as a client would."""
    await socket.close(_UPSTREAM_CLOSE_CODES.get(code, code))


def _disconnect_error(context: AttemptContext, end: _SessionEnd) -> errors.UpstreamError:
    description = _close_description(end.code, end.reason)
    error = errors.UpstreamDisconnected(f"{context.deployment.name} ended the session: {description}.")
    logger.log(error.log_level, "%s %s: %s", context.exchange.request_id, error.code, error.log_message)
    return error


def _close_description(code: int, reason: str) -> str:
    reason = reason.rstrip(".")
    if code == 1006:
        return reason or "the connection broke"
    return f"close code {code}, {reason}" if reason else f"close code {code}"
