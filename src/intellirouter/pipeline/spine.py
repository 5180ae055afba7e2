"""The spine: the steps of every request, in order.

    identify → (capacity, body) → decode → prepare → recall → decide → execute → settle → emit

`entry.py` performs the steps before decode. Stages (`stages.py`) run at prepare, at recall and on the answer. Only
execute is repeated when an attempt fails.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any, Final, TypeVar

from msgspec import Struct, field

from intellirouter.catalog import Catalog, model_not_found, restricted
from intellirouter.config import Runtime
from intellirouter.core import (
    PRIORITY_HEADER,
    SMALL_BYTES,
    AnswerBudget,
    AttemptControl,
    Call,
    Clock,
    Decision,
    ExchangeRecord,
    Fetcher,
    Journal,
    Loss,
    OffLoop,
    Priority,
    ReasoningMemory,
    RequestContext,
    SocketUpstream,
    Upstream,
    errors,
    is_large,
    lower_priority,
    new_id,
)
from intellirouter.dialects import Endpoint, check_depth, check_json
from intellirouter.pipeline.affinity import SessionPlaces
from intellirouter.pipeline.attempts import Attempts
from intellirouter.pipeline.costs import note_cost
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.exchange import Decided, Decoded, Exchange, Reply, Responder, note_disconnection
from intellirouter.pipeline.execute import Executor
from intellirouter.pipeline.ladder import Ladder
from intellirouter.pipeline.pinning import Pinning
from intellirouter.pipeline.recall import check_may_call, deliver, recall
from intellirouter.pipeline.recent_calls import RecentCalls
from intellirouter.pipeline.sessions import Session, SessionExecutor
from intellirouter.pipeline.stages import NO_STAGES, AnswerTap, Stages
from intellirouter.routing import Placements, Router

logger = logging.getLogger(__name__)

_MAX_RESTRICTED: Final = 256
"""How many models with limits of requests are remembered. A decision for the same one need not be made again."""

R = TypeVar("R", bound=Responder)
Serve = Callable[[Exchange, Decoded, R, Stages], Awaitable[None]]
"""Serves a request after the request stages: with an answer, or with a session."""


class Parts(Struct, frozen=True, kw_only=True):
    """The dependencies of a spine. A reload replaces `attempts`, `router` and `fetcher`."""

    upstream: Upstream
    journal: Journal
    attempts: Attempts
    router: Router
    emit: Callable[[ExchangeRecord, str], None]
    """Passes a record to telemetry, with the configured name of the model (empty if unknown)."""
    clock: Clock
    fetcher: Fetcher | None = None
    """None disables fetching URLs for clients."""
    sockets: SocketUpstream | None = None
    """None disables realtime sessions."""
    off_loop: OffLoop = field(default_factory=OffLoop)
    """Decodes and encodes large bodies."""
    placements: Placements = field(default_factory=Placements)
    """Where sessions were served last. Pass the same one again after a reload."""
    answers: AnswerBudget | None = None
    """Counts large answers until their requests have been removed. None: they are not counted."""
    memory_of: Callable[[str], ReasoningMemory] | None = None
    """Returns the memory of a tenant for reasoning that clients do not send back. None disables it."""


class Spine:
    """Processes requests with one compiled configuration. A reload builds a new spine for new requests."""

    def __init__(self, runtime: Runtime, catalog: Catalog, parts: Parts, stages: Stages = NO_STAGES) -> None:
        self._limits = runtime.server.request_limits()
        self._limits_are_low = self._limits.are_low
        self._names_requested_model = runtime.answers.names_requested_model
        self._catalog = catalog
        self._parts = parts
        self._memory_of = parts.memory_of
        self._pinning = Pinning()
        self._places = SessionPlaces(parts.placements, parts.off_loop)
        self._stages = stages
        self._recent = RecentCalls() if runtime.cache.is_used else None
        self._stages_by_dialect: dict[str, Stages] = {}
        self._restricted = lru_cache(maxsize=_MAX_RESTRICTED)(restricted)
        self._executor = Executor(
            upstream=parts.upstream,
            attempts=parts.attempts,
            off_loop=parts.off_loop,
            fetcher=parts.fetcher,
            answers=parts.answers,
        )
        self._ladder = Ladder(executor=self._executor, decide=self.decide, clock=parts.clock, off_loop=parts.off_loop)
        self._sessions = SessionExecutor(
            upstream=parts.sockets,
            attempts=parts.attempts,
            settle=self.settle,
            off_loop=parts.off_loop,
            idle_s=runtime.server.socket_idle_s,
            max_s=runtime.server.socket_max_s,
        )

    @property
    def off_loop(self) -> OffLoop:
        """Decodes large messages before they enter the pipeline."""
        return self._parts.off_loop

    def open(self, path: str, endpoint: Endpoint, request_id: str | None = None) -> Exchange:
        """Return a new exchange. `request_id` is the id of the exchange that it continues, if any."""
        clock = self._parts.clock
        return Exchange(
            request_id or new_id("req_"), path, endpoint, started_s=clock.monotonic_s(), started_us=clock.epoch_us()
        )

    def run(self, exchange: Exchange, body: bytes, context: RequestContext, reply: Reply) -> Coroutine[Any, Any, None]:
        """Process one request, from its body to the last byte for the client. Never raises a `GatewayError`."""
        return self._run(exchange, body, context, reply, self._answer)

    def run_session(
        self, exchange: Exchange, body: bytes, context: RequestContext, session: Session
    ) -> Coroutine[Any, Any, None]:
        """Process one session, from its handshake to its end. `body` is empty. Never raises a `GatewayError`."""
        return self._run(exchange, body, context, session, self._serve_session)

    async def _run(
        self, exchange: Exchange, body: bytes, context: RequestContext, responder: R, serve: Serve[R]
    ) -> None:
        try:
            endpoint, recent = exchange.endpoint, self._recent
            call = None if recent is None else recent.copy_of(endpoint, body, context)
            if call is None:
                if self._is_large(endpoint, body):
                    call = await self._decode_large(endpoint, body, context)
                else:
                    call = endpoint.decode_request(body, context)
                    if recent is not None:
                        recent.offer(endpoint, body, context, call)
            request = self._resolve(exchange, call, context.control)
            dialect = request.call.dialect
            stages = self._stages_by_dialect.get(dialect) or self._stages_for(dialect)
            for stage in stages.request:
                request = await stage.prepare(exchange, request)
                exchange.call = request.call
            if request.resolved.affinity is not None:
                await self._find_place(exchange, request, context)
            await serve(exchange, request, responder, stages)
            if recent is not None and exchange.cache is not None and exchange.cache.status == "hit":
                recent.expect(endpoint, body, context)
        except errors.GatewayError as error:
            await self.refuse(exchange, error, responder)
        except asyncio.CancelledError:
            _note_cancellation(exchange)
            raise
        except Exception as error:  # a bug in the gateway must not break the connection or the ledger
            logger.exception("Internal error in %s.", exchange.request_id)
            await self.refuse(exchange, _internal_error(exchange, error), responder)
        finally:
            self.settle(exchange)
            self.emit(exchange)

    async def _answer(self, exchange: Exchange, request: Decoded, reply: Reply, stages: Stages) -> None:
        """Answer from a stage, or if none has an answer, from an upstream."""
        if request.call.is_stream:
            reply.await_stream(exchange)
        if stages.sources or stages.answer:
            await self._answer_with_stages(exchange, request, reply, stages)
            return
        if exchange.cache_directives is not None:
            check_may_call(exchange)
        delivery = Delivery(exchange, reply, (), self.settle)
        try:
            await self._executor.run(self.decide(exchange, request), delivery)
        except errors.GatewayError as error:
            if not request.resolved.degradation or reply.has_content:
                raise
            failure = error
        else:
            return
        await self._ladder.recover(request, delivery, (), failure)

    async def _answer_with_stages(self, exchange: Exchange, request: Decoded, reply: Reply, stages: Stages) -> None:
        taps: tuple[AnswerTap, ...] = ()
        try:
            try:
                answer = await recall(stages.sources, exchange, request)
            finally:
                taps = stages.taps(exchange, request)
            delivery = Delivery(exchange, reply, taps, self.settle)
            if answer is not None:
                await deliver(answer, request.call, delivery)
                return
            check_may_call(exchange)
            await self._executor.run(self.decide(exchange, request), delivery)
        except BaseException as error:
            for tap in taps:
                tap.fail(exchange, error)
            if not isinstance(error, errors.GatewayError) or reply.has_content:
                raise
            failure = error
        else:
            return
        await self._ladder.recover(request, Delivery(exchange, reply, taps, self.settle), stages.rescues, failure)

    async def _serve_session(self, exchange: Exchange, request: Decoded, session: Session, _: Stages) -> None:
        await self._sessions.run(exchange, self.decide(exchange, request), session)

    async def refuse(self, exchange: Exchange, error: errors.GatewayError, responder: Responder) -> None:
        """Settle a failed exchange, then report the error to the client."""
        exchange.error = errors.without_frames(error)
        if not responder.has_begun:
            exchange.status = exchange.endpoint.errors.status(error)
        logger.log(error.log_level, "%s %s: %s", exchange.request_id, error.code, error.log_message)
        self.settle(exchange)
        await responder.fail(error, exchange)

    async def decode(self, exchange: Exchange, body: bytes, context: RequestContext) -> Decoded:
        """Decode a request of any size and resolve its model. Raises `InvalidRequest`, `ModelNotFound`."""
        call = await self._decode_large(exchange.endpoint, body, context)
        request = self._resolve(exchange, call, context.control)
        if request.resolved.affinity is not None:
            await self._find_place(exchange, request, context)
        return request

    async def _find_place(self, exchange: Exchange, request: Decoded, context: RequestContext) -> None:
        """Find out to which session the request belongs, and where it was served last."""
        exchange.session = context.session
        now_s = self._parts.clock.monotonic_s()
        if request.call.is_large:
            await self._places.find_large(exchange, request, now_s)
        else:
            self._places.find(exchange, request, now_s)

    def _is_large(self, endpoint: Endpoint, body: bytes) -> bool:
        """Return whether a body must be decoded off the event loop. Checks the limits of one that need not.

        With the default limits, only its depth can exceed one.
        """
        if len(body) > SMALL_BYTES and is_large(body):
            return True
        if endpoint.is_json:
            if self._limits_are_low:
                check_json(body, self._limits)
            else:
                check_depth(body, self._limits.json_depth)
        return False

    async def _decode_large(self, endpoint: Endpoint, body: bytes, context: RequestContext) -> Call:
        """Check and decode a request off the event loop."""
        limits = self._limits

        def decode() -> Call:
            if endpoint.is_json:
                check_json(body, limits)
            return endpoint.decode_request(body, context)

        call = await self._parts.off_loop.run(len(body), decode)
        call.is_large = True
        return call

    def _resolve(self, exchange: Exchange, call: Call, control: AttemptControl | None) -> Decoded:
        """Resolve the model of a decoded request. Raises `ModelNotFound`."""
        exchange.call = call
        resolved = self._catalog.resolve(call.model)
        if resolved is None or not exchange.identity.may_use(call.model):
            exchange.unknown_model = call.model
            models_path = exchange.endpoint.errors.models_path
            raise model_not_found(self._catalog, call.model, exchange.identity.may_use, models_path)
        exchange.model = resolved.model
        if control is not None:
            resolved, losses = self._restricted(resolved, control)
            exchange.ignored += losses
            if control.priority is not None:
                _set_priority(exchange, control.priority)
        if self._memory_of is not None and call.operation == "chat":
            call.memory = self._memory_of(exchange.identity.tenant)
        return Decoded(call, resolved)

    def decide(self, exchange: Exchange, request: Decoded) -> Decided:
        """Decide which deployments are tried, in which order. Raises `NoEligibleDeployment`."""
        affinity = None if exchange.place is None else exchange.place.affinity
        resolved, reference = request.resolved, exchange.reference
        if reference is not None and (only := self._pinning.apply(resolved, reference)) is not resolved:
            resolved, affinity = only, None
        decision: Decision = self._parts.router.decide(
            exchange.endpoint, request.call, resolved, self._parts.clock.monotonic_s(), affinity
        )
        exchange.decision = decision
        if self._names_requested_model:
            request.call.names_requested_model = True
        return Decided(request.call, resolved, decision)

    def settle(self, exchange: Exchange) -> None:
        """Compute the cost and write the record, once. After that the record survives `kill -9`."""
        if exchange.record is not None or exchange.is_handed_over or exchange.is_unrecorded:
            return
        note_cost(exchange)
        now_s = self._parts.clock.monotonic_s()
        if exchange.place is not None:
            exchange.affinity = self._places.note(exchange, exchange.place, now_s)
        record = exchange.to_record(now_s)
        self._parts.journal.append(record)
        exchange.record = record

    def emit(self, exchange: Exchange) -> None:
        """Pass the record to telemetry, after the last byte has been sent."""
        if exchange.record is not None:
            self._parts.emit(exchange.record, exchange.model or "")

    def _stages_for(self, dialect: str) -> Stages:
        stages = self._stages_by_dialect[dialect] = self._stages.for_dialect(dialect)
        return stages


def _set_priority(exchange: Exchange, demanded: Priority) -> None:
    """Lower the priority of a request. A higher one than that of the caller has no effect, which is reported."""
    exchange.priority = lower_priority(exchange.identity.priority, demanded)
    if exchange.priority != demanded:
        exchange.ignored += (Loss(PRIORITY_HEADER, "clamped", exchange.priority),)


def _note_cancellation(exchange: Exchange) -> None:
    if exchange.is_client_disconnected:
        note_disconnection(exchange)
    else:
        exchange.status = 503
        exchange.error = errors.Overloaded("The gateway was stopped before the response was complete.")


def _internal_error(exchange: Exchange, cause: Exception) -> errors.InternalError:
    hint = f"See the gateway's log, and report the problem with the request id {exchange.request_id}."
    error = errors.InternalError("The gateway failed to handle the request.", hint=hint)
    error.__cause__ = cause
    return error
