"""Serves a stream of a model that continues its streams: if it breaks off, another deployment writes the rest.

The client notices nothing but a delay. The attempt that has broken off ends as a failure, and its usage and cost are
added to those of the attempt that completes the answer. If no deployment can continue, the stream ends with one error
event, as for other models.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import Struct

from intellirouter.core import Call, Deployment, UpstreamResponse, Usage, errors, mask_credentials_in_bytes
from intellirouter.dialects import ContinuableRelay, Continuations, Route, StreamRelay
from intellirouter.pipeline.attempt_errors import is_stale
from intellirouter.pipeline.attempt_outcomes import AttemptContext, open_within
from intellirouter.pipeline.attempts import Attempts
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.exchange import Decided
from intellirouter.pipeline.stream import OpenStream, relay_stream
from intellirouter.pipeline.stream_usage import stream_usage
from intellirouter.resilience import MAX_CONTINUATIONS, Step, continuation_order, may_be_continued

logger = logging.getLogger(__name__)


RelayPair = tuple[StreamRelay, Callable[[], StreamRelay | None]]
"""The relay of an attempt, and a function that returns the one for a JSON document instead of a stream."""
Relays = Callable[[Route, Call, Deployment], RelayPair]


def plain_relays(route: Route, call: Call, deployment: Deployment) -> RelayPair:
    """Return the relays of streams that are not continued."""
    return route.relay(call, deployment), partial(route.relay_whole, call, deployment)


def recorded_relays(continuations: Continuations) -> Relays:
    """Return the relays of first attempts, which are recorded so that they can be continued."""

    def relays(route: Route, call: Call, deployment: Deployment) -> RelayPair:
        relay = continuations.record(route.relay(call, deployment), call, deployment)
        return relay, partial(route.relay_whole, call, deployment)

    return relays


class Continuation(Struct, kw_only=True):
    """Serves one stream."""

    attempts: Attempts
    continuations: Continuations
    request: Decided
    delivery: Delivery
    open_stream: Callable[[AttemptContext, Relays], Awaitable[OpenStream]]
    """Opens one attempt with these relays. Raises `GatewayError`."""
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
        last, failure = b"", None
        try:
            if not self.count:
                await delivery.reply.begin(exchange, context.call.stream_type)
            last = await relay_stream(stream, delivery)
        except errors.GatewayError as error:
            failure = error
            self.attempts.fail(context, error)
        finally:
            stream.close()
            exchange.usage = stream_usage(context, stream, relay.content_events)
            exchange.finish_reason = relay.finish_reason
        if failure is None and relay.error is None:
            self.attempts.succeed(context)
            await delivery.end(last)
            return None
        if failure is None and relay.error is not None:
            self.judge_credential(stream.response, relay.error)
            self.attempts.fail_in_stream(context, relay.error)
        if self._can_be_continued(relay, failure or relay.error):
            if last:
                await delivery.write(last)
                last = b""
            if (following := await self._continue(context, relay, exchange.usage)) is not None:
                return following
        if failure is not None:
            exchange.error_event = relay.fail(failure)
            raise failure
        exchange.error = relay.error
        event = relay.error_event() if isinstance(relay, ContinuableRelay) else b""
        await delivery.end(last + mask_credentials_in_bytes(event, stream.secrets))
        return None

    def _can_be_continued(self, relay: StreamRelay, failure: errors.GatewayError | None) -> bool:
        return (
            self.count < MAX_CONTINUATIONS
            and isinstance(relay, ContinuableRelay)
            and failure is not None
            and may_be_continued(failure)
        )

    async def _continue(
        self, context: AttemptContext, broken: StreamRelay, used: Usage
    ) -> tuple[AttemptContext, OpenStream] | None:
        """Open the stream with the rest; None if no deployment can write it."""
        exchange, request = context.exchange, self.request
        if not isinstance(broken, ContinuableRelay):
            return None
        before = used if exchange.earlier_usage is None else exchange.earlier_usage.plus(used)
        clock, board = self.attempts.clock, self.attempts.board
        deadline_s = exchange.started_s + request.resolved.request_timeout_s
        for name in continuation_order(request.decision.order, exchange.attempts, context.deployment.name):
            left_s = deadline_s - clock.monotonic_s()
            if left_s <= 0 or len(exchange.attempts) >= request.resolved.max_attempts:
                return None
            deployment = request.resolved.by_name[name]
            call = self.continuations.request(broken, request.call, deployment, before.total_output_tokens)
            if call is None or not board.of(name).breaker.is_available(clock.monotonic_s()):
                continue
            if (opened := await self._open(context, call, deployment, (broken, before), left_s)) is not None:
                self._count(context, used)
                return opened
        return None

    async def _open(
        self,
        failed: AttemptContext,
        call: Call,
        deployment: Deployment,
        state: tuple[ContinuableRelay, Usage],
        left_s: float,
    ) -> tuple[AttemptContext, OpenStream] | None:
        """Make one attempt, and a second one if the pooled connection was dead. None if it fails."""
        broken, before = state
        for _ in range(2):
            context = self.attempts.begin(failed.exchange, call, deployment, Step(deployment.name, "continuation", 0.0))

            def relays(_: Route, call: Call, deployment: Deployment) -> RelayPair:
                relay_of = partial(self.continuations.relay, broken, call, deployment, before)
                if (relay := relay_of()) is None:
                    raise errors.InternalError("The rest of a stream has no relay.")
                return relay, partial(relay_of, is_whole=True)

            def open_stream(attempt: AttemptContext) -> Awaitable[OpenStream]:
                return self.open_stream(attempt, relays)

            limit_s = min(left_s, deployment.timeouts.total_s)
            try:
                return context, await open_within(limit_s, left_s, context, self.request, open_stream)
            except errors.GatewayError as error:
                failed.exchange.deployment = failed.deployment
                can_rotate = self.attempts.can_rotate(context, error, failed.exchange.attempts)
                self.attempts.fail(context, error, is_neutral=can_rotate or is_stale(error))
                if not is_stale(error):
                    return None
            except BaseException as error:
                failed.exchange.deployment = failed.deployment
                self.attempts.abandon(context, error)
                raise
        return None

    def _count(self, broken: AttemptContext, used: Usage) -> None:
        """Count what the attempt has used that has broken off, and log who continues it."""
        self.count += 1
        exchange = broken.exchange
        exchange.add_earlier(broken.deployment, used)
        unlogged = self.attempts.recoveries.unlogged(broken.deployment.name, self.attempts.clock.monotonic_s())
        if unlogged is None:
            return
        name, code = exchange.attempts[-1].deployment, broken.attempt.outcome
        more = f" {unlogged} earlier failures of {broken.deployment.name} were not logged." if unlogged else ""
        logger.warning(
            "%s: %s continues the stream that %s has broken off (%s).%s",
            exchange.request_id,
            name,
            broken.deployment.name,
            code,
            more,
        )
