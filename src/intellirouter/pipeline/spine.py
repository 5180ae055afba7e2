"""THE SPINE: the stages every request walks, in order, readable from top to bottom.

    identify → decode → decide → execute → settle → emit

Stages that come with later rooms stand between these: admit (limits, budgets) and prepare (context), recall (cache)
before decide, finish (guardrails, cache) after execute. `identify` comes first so that nobody's body is read for free.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from msgspec import Struct

from intellirouter.catalog import Catalog, HealthBoard
from intellirouter.config import Runtime
from intellirouter.core import (
    EMPTY_CONTEXT,
    Clock,
    Decision,
    ExchangeRecord,
    Fetcher,
    Journal,
    RequestContext,
    SocketUpstream,
    Upstream,
    errors,
    new_id,
)
from intellirouter.dialects import Endpoint, check_depth
from intellirouter.governance import Identity, KeyRing, cost_of
from intellirouter.pipeline.exchange import STATUS_CLIENT_GONE, Exchange, Listener, Reply
from intellirouter.pipeline.execute import Executor
from intellirouter.pipeline.sessions import Session, SessionExecutor
from intellirouter.resilience import Backoff
from intellirouter.routing import Router

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Listener)
Execute = Callable[[Exchange, R], Awaitable[None]]
"""The execute stage, for answers or for sessions."""


class Parts(Struct, frozen=True, kw_only=True):
    """What outlives a reload of the configuration and is handed to each new spine."""

    upstream: Upstream
    journal: Journal
    board: HealthBoard
    router: Router
    emit: Callable[[ExchangeRecord, str], None]
    """Telemetry: takes the record and the configured name of the model (empty when unknown)."""
    clock: Clock
    rng: random.Random
    fetcher: Fetcher | None = None
    """None: nothing is fetched on behalf of clients."""
    sockets: SocketUpstream | None = None
    """None: no realtime sessions."""


class Spine:
    """One compiled configuration at work. A reload builds another; exchanges under way keep theirs."""

    def __init__(self, runtime: Runtime, catalog: Catalog, parts: Parts) -> None:
        self.runtime = runtime
        self.catalog = catalog
        self.board = parts.board
        self._keys = KeyRing(runtime.keys, is_required=runtime.is_auth_required)
        self._parts = parts
        self._clock = parts.clock
        self._executor = Executor(
            upstream=parts.upstream,
            fetcher=parts.fetcher,
            board=parts.board,
            backoff=Backoff(runtime.backoff.base_s, runtime.backoff.max_s),
            clock=parts.clock,
            rng=parts.rng,
            settle=self.settle,
            keeps_bodies=runtime.logs_bodies,
        )
        self._sessions = SessionExecutor(
            upstream=parts.sockets,
            board=parts.board,
            backoff=self._executor.backoff,
            clock=parts.clock,
            rng=parts.rng,
            settle=self.settle,
            idle_s=runtime.server.socket_idle_s,
            max_s=runtime.server.socket_max_s,
        )

    def open(self, path: str, endpoint: Endpoint, identity: Identity) -> Exchange:
        clock = self._clock
        return Exchange(
            new_id("req_"), path, endpoint, identity, started_s=clock.monotonic_s(), started_us=clock.epoch_us()
        )

    def now_s(self) -> float:
        """Monotonic time, as the health board counts it."""
        return self._clock.monotonic_s()

    def identify(self, key: bytes | None) -> Identity:
        """Return who presents this key. Raises `Unauthenticated`."""
        return self._keys.identify(key, self._clock.epoch_us())

    def identity_of(self, tenant: str, key_name: str | None) -> Identity:
        """Return who this key name stands for now. Raises `Unauthenticated` where its key is gone or has expired."""
        return self._keys.by_name(tenant, key_name, self._clock.epoch_us())

    def walk(
        self, exchange: Exchange, body: bytes, reply: Reply, context: RequestContext = EMPTY_CONTEXT
    ) -> Coroutine[Any, Any, None]:
        """Take one request from its body to the client's last byte. Never raises a `GatewayError`."""
        return self._walk(exchange, body, context, reply, self._executor.run)

    def hold(self, exchange: Exchange, session: Session, context: RequestContext) -> Coroutine[Any, Any, None]:
        """Take one session from its handshake to its end: the same walk. Never raises a `GatewayError`."""
        return self._walk(exchange, b"", context, session, self._sessions.run)

    async def _walk(
        self, exchange: Exchange, body: bytes, context: RequestContext, reply: R, execute: Execute[R]
    ) -> None:
        try:
            self.decode(exchange, body, context)
            self.decide(exchange)
            await execute(exchange, reply)
        except errors.GatewayError as error:
            await self.refuse(exchange, error, reply)
        except asyncio.CancelledError:
            exchange.status = STATUS_CLIENT_GONE if exchange.is_client_gone else 503
            exchange.error = errors.ClientGone("The client closed the connection before the answer was complete.")
            if not exchange.is_client_gone:
                exchange.error = errors.Overloaded("The gateway was stopped before the answer was complete.")
            raise
        except Exception as error:  # the edge: a bug of ours must not take the connection or the ledger with it
            logger.exception("internal error in %s", exchange.request_id)
            hint = f"Report it with the request id {exchange.request_id}."
            internal = errors.InternalError("The gateway failed to handle this request.", hint=hint)
            internal.__cause__ = error
            await self.refuse(exchange, internal, reply)
        finally:
            self.settle(exchange)
            self.emit(exchange)

    async def refuse(self, exchange: Exchange, error: errors.GatewayError, reply: Listener) -> None:
        """Settle a failed exchange and tell the client, in that order."""
        exchange.error = error
        if not reply.has_begun:
            exchange.status = exchange.endpoint.errors.status(error)
        logger.log(error.log_level, "%s %s: %s", exchange.request_id, error.code, error.message)
        self.settle(exchange)
        await reply.fail(error, exchange.headers(), exchange.last_words)

    def decode(self, exchange: Exchange, body: bytes, context: RequestContext = EMPTY_CONTEXT) -> None:
        """Bytes of the client's dialect become a call, and its model a target the caller may use."""
        if exchange.endpoint.is_json:
            check_depth(body, self.runtime.server.max_json_depth)
        call = exchange.call = exchange.endpoint.decode_request(body, context)
        target = self.catalog.resolve(call.model)
        if target is None or not exchange.identity.may_use(call.model):
            raise errors.ModelNotFound(
                f"The model '{call.model[:200]}' does not exist or you do not have access to it.", param="model"
            )
        exchange.target, exchange.model = target, target.model

    def decide(self, exchange: Exchange) -> Decision:
        """Every deployment that might serve the call gets a verdict, a score and a reason."""
        call, target = exchange.asked()
        decision = exchange.decision = self._parts.router.decide(call, target, self._clock.monotonic_s())
        return decision

    def settle(self, exchange: Exchange) -> None:
        """Price the usage and write the record, once; after this it survives kill -9."""
        if exchange.record is not None:
            return
        if exchange.deployment is not None:
            exchange.cost_microusd, exchange.price_version = cost_of(exchange.deployment, exchange.usage)
        record = exchange.to_record(self._clock.monotonic_s())
        if self.runtime.logs_bodies:
            _add_bodies(record, exchange)
        self._parts.journal.append(record)
        exchange.record = record

    def emit(self, exchange: Exchange) -> None:
        """Tell telemetry, after the last byte."""
        if exchange.record is not None:
            self._parts.emit(exchange.record, exchange.model or "")


def _add_bodies(record: ExchangeRecord, exchange: Exchange) -> None:
    if exchange.call is not None:
        record.request_body = exchange.call.body.decode("utf-8", "replace")
    if exchange.answer_body is not None:
        record.response_body = exchange.answer_body.decode("utf-8", "replace")
