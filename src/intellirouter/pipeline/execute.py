"""The execute stage for requests: gets an answer, complete or streamed, from one of the deployments."""

from collections.abc import Awaitable
from functools import partial
from typing import Final

from msgspec import Struct

from intellirouter.core import (
    FREE_ANSWER_BYTES,
    AnswerBudget,
    Call,
    Deployment,
    Fetcher,
    Loss,
    OffLoop,
    Upstream,
    UpstreamRequest,
    UpstreamResponse,
    Usage,
    errors,
    is_large,
    read_retry_after_s,
)
from intellirouter.dialects import Answer, Route, StreamRelay, estimate_answer_tokens
from intellirouter.governance import estimated_usage, plausible_usage
from intellirouter.pipeline.affinity import with_credential_choice
from intellirouter.pipeline.answer_bytes import (
    compressed_error_note,
    content_encoding,
    decompress,
    without_byte_order_mark,
)
from intellirouter.pipeline.attempt_outcomes import AttemptContext, elapsed_ms
from intellirouter.pipeline.attempts import Attempts
from intellirouter.pipeline.continuation import Continuation, Relays, plain_relays, recorded_relays
from intellirouter.pipeline.costs import add_unused
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.exchange import Decided
from intellirouter.pipeline.fan_out import send_copies
from intellirouter.pipeline.large_answers import run_large
from intellirouter.pipeline.media import fetch_media
from intellirouter.pipeline.stream import OpenStream, open_stream, relay_stream
from intellirouter.pipeline.stream_usage import stream_usage
from intellirouter.resilience import is_credential_at_fault, refusal_status

_MAX_ERROR_BYTES: Final = 64 * 1024
_TEMPORARY: Final = (errors.UpstreamRateLimited, errors.UpstreamUnavailable)
"""Errors for which an upstream may ask to wait."""


class WholeAnswer(Struct, frozen=True):
    """A complete answer, translated to the client's dialect."""

    answer: Answer
    upstream_body: bytes
    losses: tuple[Loss, ...]
    """Fields that the request did not pass on as requested."""


class Executor(Struct, frozen=True, kw_only=True):
    """Gets answers from upstreams."""

    upstream: Upstream
    attempts: Attempts
    off_loop: OffLoop
    """Encodes large requests and decodes large answers."""
    fetcher: Fetcher | None = None
    """None disables fetching URLs for clients."""
    answers: AnswerBudget | None = None
    """Counts large answers."""

    def run(self, request: Decided, delivery: Delivery) -> Awaitable[None]:
        """Answer the client, or raise the error for the client."""
        if request.resolved.continues_streams and request.call.is_stream:
            return self._run_continuable(request, delivery)

        def serve(context: AttemptContext, opened: WholeAnswer | OpenStream) -> Awaitable[None]:
            delivery.exchange.losses = opened.losses
            if isinstance(opened, WholeAnswer):
                return self._send_whole(context, opened, delivery)
            return self._send_stream(context, opened, delivery)

        return self.attempts.run(delivery.exchange, request, self._open, serve, _discard)

    def _run_continuable(self, request: Decided, delivery: Delivery) -> Awaitable[None]:
        """Do the same for a stream that is continued if it breaks off."""
        exchange = delivery.exchange
        continuations = exchange.endpoint.continuations
        relays = plain_relays if continuations is None else recorded_relays(continuations)

        def open_attempt(context: AttemptContext) -> Awaitable[WholeAnswer | OpenStream]:
            return self._open(context, relays)

        def serve(context: AttemptContext, opened: WholeAnswer | OpenStream) -> Awaitable[None]:
            exchange.losses = opened.losses
            if isinstance(opened, WholeAnswer):
                return self._send_whole(context, opened, delivery)
            if continuations is None:
                return self._send_stream(context, opened, delivery)
            stream = Continuation(
                attempts=self.attempts,
                continuations=continuations,
                request=request,
                delivery=delivery,
                open_stream=self._open_rest,
                off_loop=self.off_loop,
                judge_credential=self._judge_credential,
            )
            return stream.send(context, opened)

        return self.attempts.run(exchange, request, open_attempt, serve, _discard)

    async def _open_rest(self, context: AttemptContext, relays: Relays) -> OpenStream:
        opened = await self._open(context, relays)
        if isinstance(opened, WholeAnswer):
            raise errors.InternalError("The rest of a stream must be a stream.")
        return opened

    async def _open(self, context: AttemptContext, relays: Relays = plain_relays) -> WholeAnswer | OpenStream:
        """Open one attempt until its first content. The upstream request is encoded from the client's request."""
        call, deployment, attempt = context.call, context.deployment, context.attempt
        route = context.exchange.endpoint.route(call, deployment)
        if route.is_local:
            return WholeAnswer(await self._answer_locally(route, call, deployment), b"", ())
        if call.is_large:
            request = await self._encode_large(route, call, deployment)
        elif urls := route.media_urls(call, deployment):
            await fetch_media(self.fetcher, call, urls, self.off_loop)
            request = await self.off_loop.run(len(call.body), lambda: route.encode_request(call, deployment))
        else:
            request = route.encode_request(call, deployment)
        if request.cache_marks:
            attempt.cache_marks = request.cache_marks
        response = await self._send(context, request)
        attempt.status = response.status
        attempt.first_byte_ms = elapsed_ms(context.exchange, self.attempts.clock)
        if not 200 <= response.status < 300:
            raise await self._read_error(response, route, deployment)
        try:
            if call.is_stream:
                relay, relay_whole = relays(route, call, deployment)
                secrets = deployment.credentials
                try:
                    stream = await open_stream(response, relay, request.losses, self.off_loop, relay_whole, secrets)
                except errors.UpstreamError:
                    _count_unused_stream(context, relay)
                    raise
                attempt.first_byte_ms = elapsed_ms(context.exchange, self.attempts.clock)
                return stream
            return await self._read_whole(context, response, route, request)
        except errors.UpstreamMalformed as error:
            if (unusable := _unusable(response, error)) is None:
                raise
            raise unusable from None
        except errors.UpstreamError as error:  # an error document or event with a 2xx status
            self._judge_credential(response, error)
            raise

    def _send(self, context: AttemptContext, request: UpstreamRequest) -> Awaitable[UpstreamResponse]:
        deployment = context.deployment
        if len(deployment.credentials) > 1:
            return self._send_with_choice(context, request)
        return self._transmit(deployment, request)

    def _transmit(self, deployment: Deployment, request: UpstreamRequest) -> Awaitable[UpstreamResponse]:
        if request.copies == 1:
            return self.upstream.send(deployment, request)
        return send_copies(self.upstream, deployment, request)

    async def _send_with_choice(self, context: AttemptContext, request: UpstreamRequest) -> UpstreamResponse:
        """Send the request with the credential of its session, if it belongs to one, or else with the next one."""
        deployment, place = context.deployment, context.exchange.place
        if place is not None:
            request = with_credential_choice(request, place, deployment)
        response = await self._transmit(deployment, request)
        context.attempt.credential = response.credential_fingerprint
        return response

    async def _read_whole(
        self, context: AttemptContext, response: UpstreamResponse, route: Route, request: UpstreamRequest
    ) -> WholeAnswer:
        call, deployment, body = context.call, context.deployment, b""
        limit = deployment.limits.bytes
        try:
            body = await response.read(limit, context.exchange.identity.tenant)
            if not body.startswith(b"{"):
                body = await self._plain_text(body, response, limit)
            if call.is_large or is_large(body):
                answer = await self._decode_large(route, body, call, deployment)
            else:
                answer = route.decode_response(body, call, deployment)
            size = len(body) if answer.body is None else len(body) + len(answer.body)
            if size > FREE_ANSWER_BYTES and self.answers is not None:
                self.answers.hold(context.exchange, size, context.exchange.identity.tenant)
            return WholeAnswer(answer, body, request.losses)
        except errors.UpstreamMalformed as error:
            await self._count_unused(context, error, body)
            raise
        finally:
            response.abort()

    async def _count_unused(self, context: AttemptContext, error: errors.UpstreamMalformed, body: bytes) -> None:
        """Count what a complete answer has cost that the client cannot be sent, if a model has written something."""
        usage = error.usage
        if usage is None and body.startswith(b"{"):
            usage = await self._estimated_usage(context, body)
        if usage is not None and usage.total_output_tokens:
            add_unused(context.exchange, context.deployment, usage)

    async def _plain_text(self, body: bytes, response: UpstreamResponse, limit: int) -> bytes:
        """Return an answer without a byte order mark, and decompressed if it is compressed."""
        body = without_byte_order_mark(body)
        if body.startswith(b"{") or not (encoding := content_encoding(response.headers)):
            return body
        # A small body can become as large as the limit.
        plain = await self.off_loop.run(limit, partial(decompress, body, encoding, limit))
        if plain is None:
            raise errors.UpstreamMalformed("The upstream's answer cannot be decompressed.")
        return plain

    async def _answer_locally(self, route: Route, call: Call, deployment: Deployment) -> Answer:
        if call.is_large:
            return await self._decode_large(route, b"", call, deployment)
        return route.decode_response(b"", call, deployment)

    async def _encode_large(self, route: Route, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the upstream request of a large call. Its media are fetched first."""
        run, size = self.off_loop.run, len(call.body)
        if urls := await run(size, lambda: route.media_urls(call, deployment)):
            await fetch_media(self.fetcher, call, urls, self.off_loop)
        return await run(size, lambda: route.encode_request(call, deployment))

    async def _decode_large(self, route: Route, body: bytes, call: Call, deployment: Deployment) -> Answer:
        """Return the answer for the client, if it is large, or if the request is, with which it is compared."""
        size = max(len(body), len(call.body))
        return await run_large(self.off_loop, size, partial(route.decode_response, body, call, deployment))

    async def _read_error(
        self, response: UpstreamResponse, route: Route, deployment: Deployment
    ) -> errors.UpstreamError:
        """Return the error that a response without a 2xx status reports."""
        encoding, is_readable = content_encoding(response.headers), True
        try:
            text = await response.read(_MAX_ERROR_BYTES)
            if text and encoding and not text.startswith(b"{"):
                text = decompress(text, encoding, _MAX_ERROR_BYTES) or b""
                is_readable = bool(text)
        except errors.UpstreamError:
            text = b""  # the status is enough to choose the error
        finally:
            response.abort()
        clock = self.attempts.clock
        error = route.decode_error(response.status, response.headers, text, deployment=deployment.name, clock=clock)
        if not is_readable:
            error.message = f"{errors.as_sentence(error.message)} {compressed_error_note(encoding)}"
        self._judge_credential(response, error)
        return error

    def _judge_credential(self, response: UpstreamResponse, error: errors.UpstreamError) -> None:
        """Start or end the cooldown of the credential. The class of the error decides, not where it was reported."""
        is_success = response.status < 300
        if is_success and error.retry_after_s is None and isinstance(error, _TEMPORARY):
            error.retry_after_s = read_retry_after_s(response.headers, self.attempts.clock.epoch_us())
        if not is_credential_at_fault(error):
            response.spare_credential()
        elif (status := refusal_status(error)) is not None:
            response.refuse_credential(status, error.retry_after_s)
        elif is_success:
            response.refuse_credential(403)

    async def _send_whole(self, context: AttemptContext, whole: WholeAnswer, delivery: Delivery) -> None:
        exchange, answer = context.exchange, whole.answer
        if (usage := answer.usage) is None:
            exchange.usage = await self._estimated_usage(context, whole.upstream_body)
        elif body := whole.upstream_body:
            exchange.usage = plausible_usage(usage, context.call, context.deployment, len(body))
        else:
            exchange.usage = usage
        exchange.finish_reason = answer.finish_reason
        if answer.losses:
            exchange.losses += answer.losses
        self.attempts.succeed(context)
        await delivery.complete(whole.upstream_body if answer.body is None else answer.body, answer.content_type)

    async def _estimated_usage(self, context: AttemptContext, body: bytes) -> Usage | None:
        """Estimate the usage of an answer that does not report it. An answer without a body used nothing."""
        if not body:
            return None
        if is_large(body):
            tokens = await run_large(self.off_loop, len(body), partial(estimate_answer_tokens, body))
        else:
            tokens = estimate_answer_tokens(body)
        return estimated_usage(context.call, tokens)

    async def _send_stream(self, context: AttemptContext, stream: OpenStream, delivery: Delivery) -> None:
        exchange, relay = context.exchange, stream.relay
        exchange.first_token_ms = context.attempt.first_byte_ms
        try:
            await delivery.reply.begin(exchange, context.call.stream_type)
            last = await relay_stream(stream, delivery)
        except errors.GatewayError as error:
            self.attempts.fail(context, error)  # first, because it completes the message
            exchange.error_event = relay.fail(error)
            raise
        finally:
            stream.close()
            if relay.has_content:  # the upstream charges for what the model produced, even if the stream failed
                exchange.usage = stream_usage(context, stream, relay.content_events)
                exchange.finish_reason = relay.finish_reason
        exchange.usage = exchange.usage or stream_usage(context, stream, 0)
        exchange.error = relay.error
        if relay.error is None:
            self.attempts.succeed(context)
        else:
            self._judge_credential(stream.response, relay.error)
            self.attempts.fail_in_stream(context, relay.error)
        await delivery.end(last)


def _discard(context: AttemptContext, opened: WholeAnswer | OpenStream) -> None:
    """Close what an attempt has opened whose answer is not used, and count its cost."""
    usage: Usage | None
    if isinstance(opened, WholeAnswer):
        usage = opened.answer.usage
    else:
        opened.close()
        usage = stream_usage(context, opened, opened.relay.content_events)
    if usage is not None:
        add_unused(context.exchange, context.deployment, usage)


def _count_unused_stream(context: AttemptContext, relay: StreamRelay) -> None:
    """Count what a stream has cost that has failed before its first content, if the model has written something."""
    if relay.content_events:
        usage = relay.usage or estimated_usage(context.call, relay.content_events)
        add_unused(context.exchange, context.deployment, usage)


def _unusable(response: UpstreamResponse, error: errors.UpstreamMalformed) -> errors.UpstreamError | None:
    """Return the error for an answer that was paid for and would be as useless a second time; None for all others."""
    if isinstance(error, errors.UpstreamAnswerTooLarge):
        return None
    if encoding := content_encoding(response.headers):
        return errors.UpstreamAnswerUnusable(
            f"The upstream compressed its answer with `{encoding[:40]}`, although it was asked not to."
        )
    if response.status == 200:
        return None
    return errors.UpstreamAnswerUnusable(f"The upstream returned HTTP {response.status} without a usable answer.")
