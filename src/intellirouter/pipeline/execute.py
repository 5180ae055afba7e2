"""The execute stage: attempts on the decision's deployments until one answers. Only this stage repeats on fallback."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from intellirouter.catalog import DeploymentHealth, HealthBoard
from intellirouter.core import Attempt, Call, Clock, Deployment, Fetcher, Upstream, UpstreamResponse, errors
from intellirouter.dialects import Answer, Route
from intellirouter.governance import estimated_usage
from intellirouter.pipeline.exchange import Exchange, Headers, Reply
from intellirouter.pipeline.fan_out import send_copies
from intellirouter.pipeline.media import fetch_media
from intellirouter.pipeline.stream import relay_stream
from intellirouter.resilience import AttemptPlanner, Backoff, Step

_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_MAX_ERROR_BYTES: Final = 256 * 1024


class _Way(Struct, frozen=True):
    """One attempt's way through the dialects."""

    route: Route
    call: Call
    deployment: Deployment
    attempt: Attempt


class Executor(Struct, frozen=True, kw_only=True):
    """Makes the plan's attempts. `settle` is called once the outcome is known, before the client's last byte."""

    upstream: Upstream
    board: HealthBoard
    backoff: Backoff
    clock: Clock
    rng: random.Random
    settle: Callable[[Exchange], None]
    keeps_bodies: bool = False
    fetcher: Fetcher | None = None

    async def run(self, exchange: Exchange, reply: Reply) -> None:
        """Answer the client, or raise the error that stands. Every attempt is recorded on the exchange."""
        call, target, decision = exchange.decided()
        by_name = target.by_name
        step = Step(decision.order[0], "first", 0.0)
        planner: AttemptPlanner | None = None
        deadline_s = exchange.started_s + by_name[step.deployment].timeouts.total_s
        while True:
            error = await self._attempt(exchange, call, by_name[step.deployment], step, reply)
            if error is None:
                return
            if reply.has_begun:
                raise error
            planner = planner or AttemptPlanner(
                decision.order,
                pool_size=decision.pool_size,
                retries=target.retries,
                backoff=self.backoff,
                rng=self.rng,
            )
            following = planner.after(step.deployment, error, self.clock.monotonic_s(), deadline_s)
            if following is None:
                raise summed_up(error, exchange.attempts)
            if following.wait_s:
                await asyncio.sleep(following.wait_s)
            step = following

    async def _attempt(
        self, exchange: Exchange, call: Call, deployment: Deployment, step: Step, reply: Reply
    ) -> errors.GatewayError | None:
        """Try one deployment. Return None when the client has its answer, otherwise the error."""
        attempt = Attempt(
            deployment=deployment.name,
            kind=step.kind,
            started_ms=self._ms(exchange),
            waited_ms=int(step.wait_s * 1e6) / 1e3,
        )
        exchange.attempts.append(attempt)
        exchange.deployment = deployment
        health = self.board.of(deployment.name)
        health.begin()
        try:
            route = exchange.endpoint.route(call, deployment)
            if route.is_local:
                await self._answered(exchange, attempt, route.decode_response(b"", call, deployment), b"", reply)
                return None
            response = await self._open(route, exchange, call, deployment, attempt)
            way = _Way(route, call, deployment, attempt)
            if call.is_stream:
                await self._stream(exchange, way, response, reply)
            else:
                await self._whole(exchange, way, response, reply)
        except (errors.UpstreamError, errors.HostError, errors.Overloaded) as error:
            self._failed(exchange, attempt, health, error)
            return error
        except errors.ClientError as error:  # no other deployment would fare better with this request
            self._failed(exchange, attempt, health, error)
            raise
        except BaseException as error:
            # The client left, or a bug of ours: neither says anything about the deployment.
            health.end_neutrally()
            attempt.outcome = "client_gone" if isinstance(error, asyncio.CancelledError) else "internal_error"
            attempt.ended_ms = self._ms(exchange)
            raise
        if exchange.error is None:
            started_ms = attempt.started_ms
            health.succeed((attempt.first_byte_ms or 0.0) - started_ms, (attempt.ended_ms or 0.0) - started_ms)
        else:
            health.fail(exchange.error.code, self.clock.monotonic_s())
        return None

    def _failed(
        self, exchange: Exchange, attempt: Attempt, health: DeploymentHealth, error: errors.GatewayError
    ) -> None:
        attempt.outcome, attempt.message = error.code, error.message[:500]
        attempt.ended_ms = self._ms(exchange)
        if error.blame == "client":
            health.end_neutrally()
        else:
            health.fail(error.code, self.clock.monotonic_s())

    async def _open(
        self, route: Route, exchange: Exchange, call: Call, deployment: Deployment, attempt: Attempt
    ) -> UpstreamResponse:
        """Send one attempt's request, encoded from the original; raise what a status other than 2xx means."""
        if urls := route.media_urls(call, deployment):
            await fetch_media(self.fetcher, call, urls)
        request = route.encode_request(call, deployment)
        exchange.losses = request.losses
        if request.copies == 1:
            response = await self.upstream.send(deployment, request)
        else:
            response = await send_copies(self.upstream, deployment, request)
        attempt.status = status = response.status
        attempt.first_byte_ms = self._ms(exchange)
        if status == 200:
            return response
        try:
            text = await response.read(_MAX_ERROR_BYTES)
        except errors.UpstreamError:
            text = b""  # the status alone says enough
        finally:
            response.abort()
        raise route.decode_error(status, response.headers, text, deployment=deployment.name, clock=self.clock)

    async def _whole(self, exchange: Exchange, way: _Way, response: UpstreamResponse, reply: Reply) -> None:
        try:
            body = await response.read(_MAX_ANSWER_BYTES)
            answer = way.route.decode_response(body, way.call, way.deployment)
        finally:
            response.abort()
        if answer.usage is None:
            exchange.usage = estimated_usage(way.call, len(body) // 4)
        await self._answered(exchange, way.attempt, answer, body, reply)

    async def _answered(
        self, exchange: Exchange, attempt: Attempt, answer: Answer, upstream_body: bytes, reply: Reply
    ) -> None:
        """Settle a whole answer and send it."""
        if answer.usage is not None:
            exchange.usage = answer.usage
        exchange.finish_reason = answer.finish_reason
        if answer.losses:
            exchange.losses += answer.losses
        body = upstream_body if answer.body is None else answer.body
        exchange.answer_body = body if self.keeps_bodies else None
        self._succeeded(exchange, attempt)
        await reply.complete(200, exchange.headers(), body, answer.content_type)

    async def _stream(self, exchange: Exchange, way: _Way, response: UpstreamResponse, reply: Reply) -> None:
        relay = way.route.relay(way.call, way.deployment)
        attempt = way.attempt
        kept: list[bytes] | None = [] if self.keeps_bodies else None

        def on_first_content() -> Headers:
            attempt.first_byte_ms = exchange.first_token_ms = self._ms(exchange)
            return exchange.headers()

        try:
            last = await relay_stream(
                response,
                relay,
                reply,
                stream_type=way.call.stream_type,
                on_first_content=on_first_content,
                kept=kept,
            )
        except errors.GatewayError as error:
            if reply.has_begun:
                exchange.last_words = relay.fail(error)
            raise
        finally:
            if relay.is_finished:
                response.release()
            else:
                response.abort()
            if relay.has_content:  # a model worked, so it costs, whether or not the stream came to a good end
                exchange.usage = relay.usage or estimated_usage(way.call, relay.content_events)
                exchange.finish_reason = relay.finish_reason
            exchange.answer_body = None if kept is None else b"".join(kept)
        exchange.usage = exchange.usage or relay.usage or estimated_usage(way.call, 0)
        exchange.error = relay.error
        self._succeeded(exchange, attempt)
        await reply.end(last)

    def _succeeded(self, exchange: Exchange, attempt: Attempt) -> None:
        attempt.outcome = "ok" if exchange.error is None else exchange.error.code
        attempt.ended_ms = self._ms(exchange)
        self.settle(exchange)

    def _ms(self, exchange: Exchange) -> float:
        return int((self.clock.monotonic_s() - exchange.started_s) * 1e6) / 1e3


def summed_up(error: errors.GatewayError, attempts: Sequence[Attempt]) -> errors.GatewayError:
    """Return the error to show: the last one, or `AllAttemptsFailed` where different attempts failed differently."""
    if len(attempts) == 1 or isinstance(error, errors.UpstreamRejected):
        return error
    if len({attempt.outcome for attempt in attempts}) == 1:
        return error
    # That the last one lacks a feature is not why the request failed.
    status = 502 if isinstance(error, errors.UnsupportedFeature) else error.status
    said = "; ".join(f"{attempt.deployment}: {attempt.message}" for attempt in attempts[-4:])
    return errors.AllAttemptsFailed(
        f"All {len(attempts)} attempts failed. {said}", status=status, retry_after_s=error.retry_after_s
    )
