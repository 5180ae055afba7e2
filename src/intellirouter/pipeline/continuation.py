"""Serves a stream of a model that continues its streams: if it breaks off, another deployment writes the rest.

The client notices nothing but a delay. The attempt that has broken off ends as a failure, and its usage and cost are
added to those of the attempt that completes the answer. If no deployment can continue, the stream ends with one error
event, as for other models.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from msgspec import Struct

from intellirouter.core import (
    Call,
    Deployment,
    OffLoop,
    UpstreamResponse,
    Usage,
    errors,
    mask_credentials_in_bytes,
)
from intellirouter.dialects import ContinuableRelay, Route, StreamContinuer, StreamRelay
from intellirouter.pipeline.attempt_errors import is_stale
from intellirouter.pipeline.attempt_outcomes import AttemptContext, open_within
from intellirouter.pipeline.attempts import Attempts
from intellirouter.pipeline.costs import add_continued, spent
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.exchange import Decided
from intellirouter.pipeline.stream import OpenStream, relay_stream
from intellirouter.pipeline.stream_usage import stream_usage
from intellirouter.resilience import (
    MAX_CONTINUATIONS,
    Step,
    continuation_order,
    fallback_cause,
    may_be_continued,
)

logger = logging.getLogger(__name__)

RelayPair = tuple[StreamRelay, Callable[[], StreamRelay | None]]
"""The relay of an attempt, and a function that returns the one for a JSON document instead of a stream."""
Relays = Callable[[Route, Call, Deployment], RelayPair]
_TRIES: Final = 2
"""A pooled connection that was dead costs one."""


def plain_relays(route: Route, call: Call, deployment: Deployment) -> RelayPair:
    """Return the relays of streams that are not continued."""
    return route.relay(call, deployment), partial(route.relay_whole, call, deployment)


def recorded_relays(continuations: StreamContinuer) -> Relays:
    """Return the relays of first attempts, which are recorded so that they can be continued."""

    def relays(route: Route, call: Call, deployment: Deployment) -> RelayPair:
        relay = continuations.record(route.relay(call, deployment), call, deployment)
        return relay, partial(route.relay_whole, call, deployment)

    return relays


class _Rest(Struct):
    """What is known when a stream has broken off."""

    context: AttemptContext
    relay: ContinuableRelay
    failure: errors.GatewayError
    used: Usage
    """What its attempt has used."""
    earlier: Usage
    """What all attempts so far have used, this one included."""
    deadline_s: float
    following: ContinuableRelay | None = None
    """The relay of the last attempt to continue it."""


class Continuation(Struct, kw_only=True):
    """Serves one stream."""

    attempts: Attempts
    continuations: StreamContinuer
    request: Decided
    delivery: Delivery
    open_stream: Callable[[AttemptContext, Relays], Awaitable[OpenStream]]
    """Opens one attempt with these relays. Raises `GatewayError`."""
    off_loop: OffLoop
    """Encodes large requests."""
    judge_credential: Callable[[UpstreamResponse, errors.UpstreamError], None]
    count: int = 0
    """How many times the stream has been continued."""

    async def send(self, context: AttemptContext, stream: OpenStream) -> None:
        """Relay the stream, and others after it. Raises the error for the client."""
        context.exchange.first_token_ms = context.attempt.first_byte_ms
        following: tuple[AttemptContext, OpenStream] | None = (context, stream)
        while following is not None:
            context, stream = following
            try:
                following = await self._send(context, stream)
            except BaseException as error:
                self.attempts.abandon(context, error)
                raise

    async def _send(self, context: AttemptContext, stream: OpenStream) -> tuple[AttemptContext, OpenStream] | None:
        """Relay one stream, and end its attempt. Return the one that continues it; None if the client's has ended."""
        exchange, relay, delivery = context.exchange, stream.relay, self.delivery
        last, raised = b"", None
        try:
            if not self.count:
                await delivery.reply.begin(exchange, context.call.stream_type)
            last = await relay_stream(stream, delivery)
        except errors.GatewayError as error:
            raised = error
            self.attempts.fail(context, error)
        finally:
            stream.close()
            used = exchange.usage = stream_usage(context, stream, relay.content_events)
            exchange.finish_reason = relay.finish_reason
        failure = raised or relay.error
        if failure is None:
            self.attempts.succeed(context)
            await delivery.end(last)
            return None
        if raised is None and relay.error is not None:
            self.judge_credential(stream.response, relay.error)
            self.attempts.fail_in_stream(context, relay.error)
        if isinstance(relay, ContinuableRelay) and self.count < MAX_CONTINUATIONS and may_be_continued(failure):
            if last:
                await delivery.write(last)
                last = b""
            if (following := await self._continue(self._rest(context, relay, failure, used))) is not None:
                return following
        if raised is not None:
            exchange.error_event = relay.fail(raised)
            raise raised
        exchange.error = relay.error
        event = relay.error_event() if isinstance(relay, ContinuableRelay) else b""
        await delivery.end(last + mask_credentials_in_bytes(event, stream.secrets))
        return None

    def _rest(
        self, context: AttemptContext, relay: ContinuableRelay, failure: errors.GatewayError, used: Usage
    ) -> _Rest:
        exchange = context.exchange
        earlier = used if exchange.continued_usage is None else exchange.continued_usage.plus(used)
        deadline_s = exchange.started_s + self.request.resolved.request_timeout_s
        return _Rest(context, relay, failure, used, earlier, deadline_s)

    async def _continue(self, rest: _Rest) -> tuple[AttemptContext, OpenStream] | None:
        """Open the stream with the rest; None if no deployment can write it."""
        request, exchange, board = self.request, rest.context.exchange, self.attempts.board
        order = continuation_order(
            request.decision.order,
            exchange.attempts,
            rest.context.deployment.name,
            fallback_cause(rest.failure),
            request.resolved.fallback_causes,
        )
        for name in order:
            now_s, deployment = self.attempts.clock.monotonic_s(), request.resolved.by_name[name]
            if spent(exchange, request.resolved, now_s).obstacle is not None:
                return None
            if not board.of(name).breaker.is_available(now_s):
                continue
            if (call := await self._call(rest, deployment)) is None:
                continue
            if (opened := await self._open(rest, call, deployment)) is not None:
                self._count(rest, opened[0])
                return opened
            if rest.following is not None and rest.following.has_content:
                return None  # it has ended in the middle of its first content, which was not sent
        return None

    async def _call(self, rest: _Rest, deployment: Deployment) -> Call | None:
        """Return the call for the rest of the answer; None if this deployment cannot be asked for it."""
        call, sent_tokens = self.request.call, rest.earlier.total_output_tokens
        if call.is_large:
            make = partial(self.continuations.request, rest.relay, call, deployment, sent_tokens)
            return await self.off_loop.run(len(call.body), make)
        return self.continuations.request(rest.relay, call, deployment, sent_tokens)

    async def _open(self, rest: _Rest, call: Call, deployment: Deployment) -> tuple[AttemptContext, OpenStream] | None:
        """Make one attempt, and a second one if the pooled connection was dead. Return None if it fails."""
        exchange, attempts = rest.context.exchange, self.attempts
        for _ in range(_TRIES):
            now_s = attempts.clock.monotonic_s()
            left_s = rest.deadline_s - now_s
            if (slots := attempts.board.of(deployment.name).slots) is not None:
                if slots.is_full:
                    return None  # the client is reading, so there is no time to wait for a slot
                slots.take(exchange.identity.tenant, now_s)
            context = attempts.begin(exchange, call, deployment, Step(deployment.name, "continuation", 0.0))
            opening = open_within(
                min(left_s, deployment.timeouts.total_s),
                left_s,
                context,
                self.request,
                partial(self._open_rest, rest),
            )
            try:
                return context, await opening
            except errors.GatewayError as error:
                exchange.deployment = rest.context.deployment
                can_rotate = attempts.can_rotate(context, error, exchange.attempts)
                attempts.fail(context, error, is_neutral=can_rotate or is_stale(error))
                if not is_stale(error):
                    return None
            except BaseException as error:
                exchange.deployment = rest.context.deployment
                attempts.abandon(context, error)
                raise
        return None

    def _open_rest(self, rest: _Rest, context: AttemptContext) -> Awaitable[OpenStream]:
        def relays(_: Route, call: Call, deployment: Deployment) -> RelayPair:
            relay_of = partial(self.continuations.relay, rest.relay, call, deployment, rest.earlier)
            if (relay := relay_of()) is None:
                raise errors.InternalError("The rest of a stream has no relay.")
            rest.following = relay
            return relay, partial(relay_of, is_whole=True)

        return self.open_stream(context, relays)

    def _count(self, rest: _Rest, following: AttemptContext) -> None:
        """Count what the attempt has used that has broken off, and log who continues it."""
        self.count += 1
        exchange, broken = following.exchange, rest.context
        add_continued(exchange, broken.deployment, rest.used)
        unlogged = self.attempts.recoveries.unlogged(broken.deployment.name, self.attempts.clock.monotonic_s())
        if unlogged is None:
            return
        logger.warning(
            "%s: %s continues the stream that %s has broken off (%s).%s",
            exchange.request_id,
            following.deployment.name,
            broken.deployment.name,
            broken.attempt.outcome,
            f" {unlogged} earlier failures of {broken.deployment.name} were not logged." if unlogged else "",
        )
