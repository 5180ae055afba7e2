"""The one way into the pipeline: HTTP requests, WebSocket sessions and frames, batch lines, background work.

    open → identify → capacity → read → run → leave

What every request needs before and after the spine is here, once: who asks, whether there is room, the body within its
bounds, a record of every refusal, and what a cancellation means.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import Current, RequestContext, errors
from intellirouter.dialects import Endpoint
from intellirouter.governance import Identity
from intellirouter.pipeline.exchange import Exchange, Reply, Responder
from intellirouter.pipeline.generation import Generation
from intellirouter.pipeline.in_flight import InFlight, WaitUntilGone
from intellirouter.pipeline.sessions import Session
from intellirouter.pipeline.spine import Spine


class Source(Protocol):
    """Where a request comes from."""

    @property
    def path(self) -> str:
        """Return the path that records show."""
        ...

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def context(self) -> RequestContext:
        """Return what the request says outside its body."""
        ...

    @property
    def request_id(self) -> str | None:
        """Return the id of the exchange whose work this one goes on with; None for a new one."""
        ...

    @property
    def is_task_owner(self) -> bool:
        """True when the task serves this request only, so that cancelling the task means cancelling the request."""
        ...

    @property
    def wait_until_gone(self) -> WaitUntilGone | None:
        """Return what waits for the client to leave; None where the source itself cancels the request."""
        ...

    def identify(self, generation: Generation) -> Identity:
        """Return who asks. Raises `Unauthenticated`, or whatever else makes the source refuse the request."""
        ...

    def read(self, limits: ServerSpec) -> Awaitable[bytes]:
        """Return the body, within its bounds. Raises `ClientGone` when nobody is there any more."""
        ...


R = TypeVar("R", bound=Responder)
OnOpen = Callable[[Exchange], None]
Work = Callable[[Spine, Exchange, bytes, RequestContext, R], Awaitable[None]]


class Entry:
    """One per gateway. `serve` and `hold` never raise a `GatewayError`."""

    def __init__(self, current: Current[Generation], in_flight: InFlight) -> None:
        self._current = current
        self._in_flight = in_flight

    def serve(self, source: Source, reply: Reply, on_open: OnOpen | None = None) -> Coroutine[Any, Any, Exchange]:
        """Answer one request. `on_open` is handed the exchange before anything else is done. Returns the exchange."""
        return self._enter(source, reply, Spine.run, on_open)

    def hold(self, source: Source, session: Session, on_open: OnOpen | None = None) -> Coroutine[Any, Any, Exchange]:
        """Hold one session, from its handshake to its end."""
        return self._enter(source, session, Spine.hold, on_open)

    async def _enter(self, source: Source, responder: R, work: Work[R], on_open: OnOpen | None) -> Exchange:
        generation = self._current.value
        spine, limits = generation.spine, generation.runtime.server
        exchange = spine.open(source.path, source.endpoint, source.request_id)
        if on_open is not None:
            on_open(exchange)
        try:
            exchange.identity = source.identify(generation)
            self._in_flight.add(exchange, limits.max_in_flight, source.wait_until_gone)
            body = await source.read(limits)
            exchange.is_received = True
            await work(spine, exchange, body, source.context, responder)
        except errors.ClientGone:
            pass  # it left before the request was complete: there is nothing to answer, and nothing to record
        except errors.GatewayError as error:
            await spine.refuse(exchange, error, responder)
            spine.emit(exchange)
        except asyncio.CancelledError:
            if not source.is_task_owner or exchange.error is None:
                raise
            _uncancel()
            if not exchange.is_client_gone:  # the gateway is stopping
                await responder.fail(exchange.error, exchange)
        finally:
            self._in_flight.remove(exchange)
        return exchange


def _uncancel() -> None:
    """The cancellation was for this request only, and ends here."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
