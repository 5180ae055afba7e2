"""Answers from a stage instead of an upstream, encoded for the client, complete or as a stream."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from intellirouter.core import Call, LossReport, errors
from intellirouter.dialects import ChatClient, ChoiceFinished, Event, Response, StreamEnded, collect, events_of
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.exchange import Decoded, Exchange
from intellirouter.pipeline.stages import AnswerRescue, AnswerSource, Pieces, StageAnswer

_JSON: Final = b"application/json"


async def recall(sources: Sequence[AnswerSource], exchange: Exchange, request: Decoded) -> StageAnswer | None:
    """Return the first answer of these sources, or None."""
    for source in sources:
        answer = await source.answer(exchange, request)
        if answer is not None:
            exchange.answered_by = answer.source
            exchange.cost_microusd = 0
            return answer
    return None


def check_may_call(exchange: Exchange) -> None:
    """Raise `NotCached` if the client demands a cached answer, because there is none."""
    directives = exchange.cache_directives
    if directives is not None and directives.only_if_cached:
        raise errors.NotCached(
            "The request demands a cached answer (`Cache-Control: only-if-cached`), and there is none.",
            hint="Remove the directive to get an answer from a model.",
        )


async def rescue(
    rescues: Sequence[AnswerRescue],
    exchange: Exchange,
    request: Decoded,
    error: errors.GatewayError,
    stale_s: float | None,
) -> StageAnswer | None:
    """Return the first answer that one of these stages has in spite of the error, or None. See `AnswerRescue`."""
    for each in rescues:
        answer = await each.rescue(exchange, request, error, stale_s)
        if answer is not None:
            exchange.answered_by = answer.source
            if exchange.deployment is None:
                exchange.cost_microusd = 0
            return answer
    return None


async def deliver(answer: StageAnswer, call: Call, delivery: Delivery) -> None:
    """Send a stage's answer to the client. Raises `GatewayError` if the answer breaks off."""
    if answer.body is not None:
        await delivery.complete(answer.body, answer.content_type)
        return
    if answer.pieces is not None:
        await _relay(answer.pieces, call, delivery)
        return
    client = delivery.exchange.endpoint.chat
    if client is None:
        raise errors.InternalError(f"A stage answered a {call.operation} call in the intermediate form.")
    if call.is_stream:
        await _stream(client, call, _batches(answer), delivery)
    else:
        response = answer.response or collect(await _all_events(_batches(answer)))
        await _complete(client, call, response, delivery)


async def _relay(pieces: Pieces, call: Call, delivery: Delivery) -> None:
    """Send the bytes of a stream as they arrive. The source notes how it ended before the last ones."""
    async with aclosing(pieces):
        await delivery.reply.begin(delivery.exchange, call.stream_type)
        async for piece in pieces:
            if piece.is_last:
                await delivery.end(piece.data)
            else:
                await delivery.write(piece.data)


async def _complete(client: ChatClient, call: Call, response: Response, delivery: Delivery) -> None:
    losses = LossReport()
    body = client.encode(response, call, losses)
    delivery.exchange.losses = losses.taken()
    stop = next((choice.stop for choice in response.choices if choice.stop is not None), None)
    delivery.exchange.finish_reason = None if stop is None else stop.reason
    await delivery.complete(body, _JSON)


async def _stream(client: ChatClient, call: Call, batches: AsyncIterator[Sequence[Event]], delivery: Delivery) -> None:
    """Encode events as they arrive. The last bytes are sent after the settlement."""
    exchange, encoder = delivery.exchange, client.stream(call, LossReport())
    has_begun = False
    try:
        async for batch in batches:
            for event in batch:
                if isinstance(event, ChoiceFinished):
                    exchange.finish_reason = event.stop.reason
            out = encoder.encode([event for event in batch if not isinstance(event, StreamEnded)])
            if not has_begun:
                has_begun = True
                await delivery.reply.begin(exchange, call.stream_type)
            if out:
                await delivery.write(out)
    except errors.GatewayError as error:
        exchange.error_event = encoder.fail(error)
        raise
    if not has_begun:
        await delivery.reply.begin(exchange, call.stream_type)
    await delivery.end(encoder.end())


async def _batches(answer: StageAnswer) -> AsyncIterator[Sequence[Event]]:
    """Yield the events of a stage's answer as they arrive."""
    if answer.response is not None:
        yield list(events_of(answer.response))
    if answer.events is not None:
        async for batch in answer.events:
            yield batch


async def _all_events(batches: AsyncIterator[Sequence[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]
