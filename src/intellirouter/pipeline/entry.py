"""The only way into the pipeline: for HTTP requests, realtime sessions, WebSocket frames, batch lines, background work.

    open → identify → check capacity → read the body → run the spine → remove

It does what every request needs before and after the spine: authentication, the limit of requests in flight, the limits
of the body, a record of every refused request, and the meaning of a cancellation.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import Current, PeerAddress, RequestContext, errors
from intellirouter.dialects import Endpoint
from intellirouter.governance import Identity
from intellirouter.pipeline.exchange import Exchange, Reply, Responder
from intellirouter.pipeline.generation import Generation
from intellirouter.pipeline.in_flight import InFlight
from intellirouter.pipeline.refusals import Refusals
from intellirouter.pipeline.sessions import Session
from intellirouter.pipeline.spine import Spine

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where a request comes from."""

    @property
    def path(self) -> str:
        """The path that the record shows."""
        ...

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def context(self) -> RequestContext:
        """The parts of the request outside its body."""
        ...

    @property
    def peer(self) -> PeerAddress | None:
        """The address of the client, for the log. None if there is no client, or if it uses a unix socket."""
        ...

    @property
    def request_id(self) -> str | None:
        """The id of the exchange that this one continues; None for a new exchange."""
        ...

    @property
    def is_task_owner(self) -> bool:
        """True if the current task serves only this request, so that canceling the task cancels the request."""
        ...

    def identify(self, generation: Generation) -> Identity:
        """Return the caller. Raises `Unauthenticated`, or another error if the source refuses the request."""
        ...

    def read(self, limits: ServerSpec) -> bytes | Awaitable[bytes]:
        """Return the body. Raises `ClientDisconnected`, or an error if the body exceeds the limits."""
        ...

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Call `on_disconnect` if the client disconnects from now on. Does nothing if the source itself cancels the
        request.
        """
        ...


R = TypeVar("R", bound=Responder)
OnOpen = Callable[[Exchange], None]
Work = Callable[[Spine, Exchange, bytes, RequestContext, R], Awaitable[None]]


_MAX_PATH_CHARS: Final = 200
_STOPPED: Final = "The gateway was stopped before the request was complete."


class Entry:
    """One per gateway. `serve` and `serve_session` never raise a `GatewayError`."""

    def __init__(self, current: Current[Generation], in_flight: InFlight) -> None:
        self._current = current
        self._in_flight = in_flight
        self.refusals = Refusals()
        self.answers = in_flight.answers
        """Counts large answers, also those without an exchange."""

    def serve(self, source: Source, reply: Reply, on_open: OnOpen | None = None) -> Coroutine[Any, Any, Exchange]:
        """Answer one request and return its exchange. `on_open` receives the exchange before anything else is done."""
        return self._enter(source, reply, Spine.run, on_open)

    def serve_session(
        self, source: Source, session: Session, on_open: OnOpen | None = None
    ) -> Coroutine[Any, Any, Exchange]:
        """Serve one realtime session, from its handshake to its end."""
        return self._enter(source, session, Spine.run_session, on_open)

    async def _enter(self, source: Source, responder: R, work: Work[R], on_open: OnOpen | None) -> Exchange:
        generation = self._current.value
        spine, limits = generation.spine, generation.runtime.server
        exchange = spine.open(source.path, source.endpoint, source.request_id)
        if on_open is not None:
            on_open(exchange)
        try:
            exchange.identity = self._identify(source, generation, exchange)
            self._in_flight.add(exchange, limits.max_in_flight)
            body = source.read(limits)
            if not isinstance(body, bytes):
                body = await body
            self._in_flight.add_body(exchange, len(body), limits.max_in_flight_bytes)
            source.watch(partial(self._in_flight.disconnect, exchange))
            await work(spine, exchange, body, source.context, responder)
        except errors.ClientDisconnected:
            pass  # the request was never complete, so there is nothing to answer and nothing to record
        except errors.GatewayError as error:
            await spine.refuse(exchange, error, responder)
            spine.emit(exchange)
        except asyncio.CancelledError:
            if not source.is_task_owner:
                raise
            _uncancel()
            if exchange.error is None:  # the gateway is stopping while the body arrives
                await spine.refuse(exchange, errors.Overloaded(_STOPPED), responder)
                spine.emit(exchange)
            elif not exchange.is_client_disconnected:  # the gateway is stopping
                await responder.fail(exchange.error, exchange)
        finally:
            self._in_flight.remove(exchange)
        return exchange

    def count_refusal(self, path: str, peer: PeerAddress | None, error: errors.GatewayError) -> None:
        """Count the refusal of an unidentified caller that has no exchange, and log it if it may be recorded."""
        if self.refusals.is_recorded(self._current.value.clock.monotonic_s()):
            self._log_refusal(path, peer, error)

    def _identify(self, source: Source, generation: Generation, exchange: Exchange) -> Identity:
        try:
            return source.identify(generation)
        except errors.GatewayError as error:
            exchange.is_unrecorded = not self.refusals.is_recorded(exchange.started_s)
            if not exchange.is_unrecorded:
                self._log_refusal(source.path, source.peer, error)
            raise

    def _log_refusal(self, path: str, peer: PeerAddress | None, error: errors.GatewayError) -> None:
        """Log one refusal and the number of those before it that were not logged. The key is not in the message."""
        shown_path, unlogged = path[:_MAX_PATH_CHARS], self.refusals.take_unlogged()
        logger.info(
            "Refused an unidentified caller of %s%s. %s%s",
            shown_path,
            f" from {peer[0]}" if peer else "",
            error.message,
            f" (Not logged since the last such line: {unlogged}.)" if unlogged else "",
            extra={
                "endpoint": shown_path,
                "client_address": peer[0] if peer else None,
                "error_code": error.code,
                "unlogged_refusals": unlogged,
            },
        )


def _uncancel() -> None:
    """Clear a cancellation that was meant for this request only."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
