"""Answers from a stage instead of an upstream: what the client is sent, in which order, and what is recorded."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest

from intellirouter.core import Usage, errors
from intellirouter.dialects import ChoiceFinished, Event, Response, StreamEnded, events_of
from intellirouter.dialects.ir import Choice, Stop, StreamStarted, Text, TextDelta
from intellirouter.pipeline import Decoded, Exchange, StageAnswer, Stages
from tests.support.pipeline import ANSWER, BODY, STREAM_BODY, World
from tests.support.pipeline import Response as UpstreamAnswer

JSON = b"application/json"
BROKEN = errors.UpstreamDisconnected("The connection broke.")
ANTHROPIC = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
OLLAMA = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def choice(text: str, stop: Stop | None) -> Choice:
    return Choice(parts=[Text(text=text)], stop=stop)


STOP = Stop(reason="stop")
PIECES: tuple[list[Event], ...] = (
    [StreamStarted(id="c1", model="m"), TextDelta(text="one ")],
    [],
    [TextDelta(text="two")],
    [ChoiceFinished(stop=Stop(reason="length")), StreamEnded()],
)


class Source:
    """Returns one answer, and records the request ids of the exchanges that it is called for."""

    dialects = None

    def __init__(self, answer: StageAnswer | None) -> None:
        self.calls: list[str] = []
        self._answer = answer

    async def answer(self, exchange: Exchange, request: Decoded) -> StageAnswer | None:
        assert request.call is exchange.call
        self.calls.append(exchange.request_id)
        return self._answer


async def pieces(*batches: Sequence[Event], error: errors.GatewayError | None = None) -> AsyncIterator[Sequence[Event]]:
    for batch in batches:
        yield batch
    if error is not None:
        raise error


def world_of(
    *choices: Choice,
    events: AsyncIterator[Sequence[Event]] | None = None,
    body: bytes | None = None,
    usage: Usage | None = None,
) -> World:
    """Return a world whose only source answers with these choices, events or this body."""
    response = Response(id="c1", model="m", choices=list(choices), usage=usage) if choices else None
    return World(
        stages=Stages(sources=(Source(StageAnswer(source="cache", response=response, events=events, body=body)),))
    )


async def test_first_source_with_an_answer_is_used() -> None:
    silent, first = Source(None), Source(StageAnswer(source="first", body=b"1"))
    second = Source(StageAnswer(source="second", body=b"2"))
    world = World(stages=Stages(sources=(silent, first, second)))
    exchange = await world.serve()
    assert (world.reply.body, exchange.answered_by) == (b"1", "first")
    assert silent.calls == first.calls == [exchange.request_id]
    assert second.calls == []
    assert (world.record.cost_microusd, world.record.attempts, world.record.deployment) == (0, (), None)


async def test_exchange_that_no_source_answers_is_not_free() -> None:
    world = World(stages=Stages(sources=(Source(None),)), a=UpstreamAnswer(ANSWER))
    exchange = await world.serve()
    assert (exchange.answered_by, world.record.cost_microusd) == (None, None)
    assert world.outcomes == ["ok"]


async def test_complete_answer_of_a_source_is_sent_after_settlement() -> None:
    world = world_of(choice("hello", STOP), usage=Usage(input_tokens=3, output_tokens=2))
    exchange = await world.serve()
    assert world.events == ["settle", "complete:200"]
    assert (world.reply.request_id, world.reply.content_type) == (exchange.request_id, JSON)
    body = json.loads(world.reply.body)
    assert body["choices"][0]["message"]["content"] == "hello"
    assert body["usage"]["total_tokens"] == 5, "the client sees the usage of the original answer"
    record = world.record
    assert (record.usage, record.cost_microusd) == (None, 0), "this exchange has used nothing"
    assert (record.finish_reason, record.dropped, record.error_code) == ("stop", (), None)


async def test_body_of_a_source_is_sent_unchanged() -> None:
    world = world_of(body=b'{"status":"queued"}')
    exchange = await world.serve()
    assert world.events == ["settle", "complete:200"]
    assert (world.reply.body, world.reply.content_type) == (b'{"status":"queued"}', JSON)
    assert (exchange.answered_by, world.record.status, world.record.cost_microusd) == ("cache", 200, 0)


async def test_events_of_a_source_are_streamed_as_they_arrive() -> None:
    world = world_of(events=pieces(*PIECES))
    exchange = await world.serve(STREAM_BODY)
    assert world.events == ["begin", "write", "write", "write", "settle", "end"]
    assert (world.reply.request_id, world.reply.content_type) == (
        exchange.request_id,
        b"text/event-stream; charset=utf-8",
    )
    lines = world.reply.body.decode().split("\n\n")
    deltas = [json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content") for line in lines[:4]]
    assert "".join(filter(None, deltas)) == "one two"
    assert world.reply.body.endswith(b"data: [DONE]\n\n")
    record = world.record
    assert (record.finish_reason, record.usage, record.cost_microusd, record.is_stream) == ("length", None, 0, True)


async def test_stream_has_the_content_type_of_the_dialect() -> None:
    world = world_of(choice("hello", STOP))
    await world.serve(json.dumps(OLLAMA).encode(), endpoint="ollama_chat")
    assert world.reply.content_type == b"application/x-ndjson"
    assert world.events == ["begin", "write", "settle", "end"]


async def test_stream_without_events_is_a_complete_empty_stream() -> None:
    world = world_of(events=pieces())
    exchange = await world.serve(STREAM_BODY)
    assert world.events == ["begin", "settle", "end"]
    assert (world.reply.request_id, world.reply.content_type) == (
        exchange.request_id,
        b"text/event-stream; charset=utf-8",
    )
    assert (world.record.status, world.record.finish_reason) == (200, None)


async def test_events_are_collected_for_a_client_without_a_stream() -> None:
    world = world_of(events=pieces(*PIECES))
    await world.serve()
    assert world.events == ["settle", "complete:200"]
    assert json.loads(world.reply.body)["choices"][0]["message"]["content"] == "one two"
    assert (world.record.finish_reason, world.record.is_stream) == ("length", False)


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_source_that_fails_before_its_first_event_leads_to_a_plain_error(body: bytes) -> None:
    world = world_of(events=pieces(error=BROKEN))
    await world.serve(body)
    assert world.events == ["settle", "fail:upstream_disconnected"]
    assert (world.record.status, world.record.error_code) == (502, "upstream_disconnected")


async def test_stream_that_breaks_off_ends_with_an_error_event() -> None:
    world = world_of(events=pieces(*PIECES[:3], error=BROKEN))
    await world.serve(STREAM_BODY)
    assert world.events == ["begin", "write", "write", "settle", "fail:upstream_disconnected"]
    assert world.reply.error is BROKEN
    assert world.reply.error_event is not None
    assert b"The connection broke." in world.reply.error_event
    record = world.record
    assert (record.status, record.error_code, record.finish_reason) == (200, "upstream_disconnected", None)


async def test_losses_of_the_answer_are_recorded() -> None:
    world = world_of(choice("first", STOP), choice("second", STOP))
    exchange = await world.serve(json.dumps(ANTHROPIC).encode(), endpoint="anthropic_messages")
    assert json.loads(world.reply.body)["content"] == [{"type": "text", "text": "first"}]
    fields = [loss.field for loss in exchange.losses]
    assert fields == ["n", "usage"], "Anthropic's dialect has only one choice, and requires the usage"
    assert world.record.dropped == tuple(str(loss) for loss in exchange.losses)


async def test_lossy_answer_can_be_streamed() -> None:
    world = world_of(choice("first", STOP), choice("second", STOP))
    await world.serve(json.dumps(ANTHROPIC | {"stream": True}).encode(), endpoint="anthropic_messages")
    assert (world.reply.error, world.record.error_code) == (None, None)
    assert b"first" in world.reply.body
    assert b"second" not in world.reply.body


@pytest.mark.parametrize(
    ("stops", "finish_reason"),
    [((None,), None), ((None, Stop(reason="length")), "length"), ((STOP, Stop(reason="length")), "stop")],
)
async def test_finish_reason_is_the_first_one_of_the_choices(
    stops: tuple[Stop | None, ...], finish_reason: str | None
) -> None:
    world = world_of(*(choice("hello", stop) for stop in stops))
    await world.serve()
    assert (world.reply.error, world.record.finish_reason) == (None, finish_reason)


async def test_conversation_as_the_answer_to_another_operation_is_a_gateway_bug() -> None:
    world = world_of(choice("hello", STOP))
    await world.serve(b'{"model":"m","input":"hello"}', endpoint="openai_embeddings")
    assert isinstance(world.reply.error, errors.InternalError)
    assert "embeddings" in world.reply.error.message
    assert (world.events, world.record.status) == (["settle", "fail:internal_error"], 500)


async def test_events_of_a_response_are_all_that_a_client_needs() -> None:
    """A complete answer and its events give the client the same answer."""
    response = Response(id="c1", model="m", choices=[choice("hello", STOP)])
    whole, streamed = world_of(*response.choices), world_of(events=pieces(list(events_of(response))))
    await whole.serve()
    await streamed.serve()
    assert whole.reply.body == streamed.reply.body
