"""The three kinds of stages: before the decision, instead of the upstream, and on the answer."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import errors
from intellirouter.dialects import Event, Response, events_of
from intellirouter.dialects.ir import Choice, Stop, Text
from intellirouter.pipeline import BodyLog, Decoded, Exchange, StageAnswer, Stages
from tests.support.pipeline import ANSWER, EVENTS, STREAM_BODY, World
from tests.support.pipeline import Response as UpstreamAnswer

CACHED = Response(id="c1", model="m", choices=[Choice(parts=[Text(text="from the cache")], stop=Stop(reason="stop"))])
BODIES = {
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "openai_responses": {"model": "m", "input": "hi", "store": False},
    "anthropic_messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "ollama_chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
}


class Refusing:
    dialects = None

    async def prepare(self, exchange: Exchange, request: Decoded) -> Decoded:
        del exchange, request
        raise errors.Forbidden("Not that.")


class Renaming:
    """A request stage that replaces the request."""

    dialects = frozenset({"openai_chat"})

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def prepare(self, exchange: Exchange, request: Decoded) -> Decoded:
        self.seen.append(exchange.endpoint.__class__.__name__)
        return Decoded(structs.replace(request.call, max_output_tokens=7), request.resolved)


class Cached:
    """An answer source: returns a complete answer, or events one by one."""

    dialects: frozenset[str] | None = None

    def __init__(self, *, is_streaming: bool = False, error: errors.GatewayError | None = None) -> None:
        self._is_streaming = is_streaming
        self._error = error

    async def answer(self, exchange: Exchange, request: Decoded) -> StageAnswer | None:
        del exchange
        if request.call.max_output_tokens == 1:
            return None
        if self._is_streaming or self._error is not None:
            return StageAnswer(source="hit", events=self._events())
        return StageAnswer(source="hit", response=CACHED)

    async def _events(self) -> AsyncIterator[Sequence[Event]]:
        for event in events_of(CACHED):
            yield [event]
            if self._error is not None and type(event).__name__ == "TextDelta":
                raise self._error


class Tapping:
    dialects: frozenset[str] | None = None

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.taken: list[bytes] = []

    def tap(self, exchange: Exchange, request: Decoded) -> "Tapping | None":
        del exchange
        return None if request.call.max_output_tokens == 1 else self

    def take(self, data: bytes) -> None:
        self.events.append("take")
        self.taken.append(data)

    async def finish(self, exchange: Exchange) -> None:
        assert exchange.record is not None
        self.events.append("finish")

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        del exchange, error
        self.events.append("failed")


async def test_request_stage_can_reject_the_request() -> None:
    world = World(stages=Stages(request=(Refusing(),)))
    await world.serve()
    assert world.events == ["settle", "fail:forbidden"]
    assert (world.record.status, world.record.model) == (403, "m")
    assert world.upstream.sent == []


async def test_request_stage_can_replace_the_request() -> None:
    stage = Renaming()
    world = World(stages=Stages(request=(stage,)), a=UpstreamAnswer(ANSWER))
    exchange = await world.serve()
    assert len(stage.seen) == 1
    assert exchange.call is not None
    assert exchange.call.max_output_tokens == 7


async def test_stages_of_other_dialects_are_not_run() -> None:
    stage = Renaming()
    world = World(stages=Stages(request=(stage,)), a=UpstreamAnswer(ANSWER))
    await world.serve(json.dumps(BODIES["anthropic_messages"]).encode(), endpoint="anthropic_messages")
    assert stage.seen == []


@pytest.mark.parametrize(
    ("dialects", "answered_by"),
    [
        (None, ["hit", "hit", "hit"]),
        (frozenset({"openai_chat", "ollama"}), ["hit", None, "hit"]),
        (frozenset({"anthropic_messages"}), [None, "hit", None]),
    ],
)
async def test_sources_and_answer_stages_run_for_their_dialects_only(
    dialects: frozenset[str] | None, answered_by: list[str | None]
) -> None:
    source, tapping = Cached(), Tapping([])
    source.dialects = tapping.dialects = dialects
    world = World(stages=Stages(sources=(source,), answer=(tapping,)), a=[UpstreamAnswer(ANSWER) for _ in range(3)])
    found: list[str | None] = []
    is_tapped: list[bool] = []
    for endpoint in ("openai_chat", "anthropic_messages", "openai_chat"):
        tapping.taken.clear()
        exchange = await world.serve(json.dumps(BODIES[endpoint]).encode(), endpoint=endpoint)
        found.append(exchange.answered_by)
        is_tapped.append(bool(tapping.taken))
    assert found == answered_by
    assert is_tapped == [name is not None for name in answered_by]


@pytest.mark.parametrize("is_streaming", [False, True])
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("endpoint", BODIES)
async def test_answer_of_a_source_is_encoded_for_every_client(
    endpoint: str, is_stream: bool, is_streaming: bool
) -> None:
    world = World(stages=Stages(sources=(Cached(is_streaming=is_streaming),)))
    await world.serve(json.dumps(BODIES[endpoint] | {"stream": is_stream}).encode(), endpoint=endpoint)
    assert world.reply.error is None
    assert b"from the cache" in world.reply.body
    assert world.events[-2:] == ["settle", "end" if is_stream else "complete:200"]
    assert ("begin" in world.events) == is_stream
    record = world.record
    assert (record.attempts, record.deployment, record.decision, record.usage) == ((), None, None, None)
    assert (record.cost_microusd, record.finish_reason, record.status) == (0, "stop", 200)


async def test_upstream_answers_if_no_source_does() -> None:
    world = World(stages=Stages(sources=(Cached(),)), a=UpstreamAnswer(ANSWER))
    await world.serve(b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}')
    assert world.upstream.order == "a"
    assert world.reply.body == ANSWER


@pytest.mark.parametrize("is_stream", [False, True])
async def test_answer_of_a_source_that_breaks_off_is_an_error(is_stream: bool) -> None:
    world = World(stages=Stages(sources=(Cached(error=errors.UpstreamDisconnected("broke")),)))
    await world.serve(json.dumps(BODIES["openai_chat"] | {"stream": is_stream}).encode())
    assert world.events[-1] == "fail:upstream_disconnected"
    assert (world.reply.error_event is not None) == is_stream
    assert world.record.error_code == "upstream_disconnected"


async def test_taps_receive_the_answer_and_finish_after_settlement() -> None:
    world = World(a=UpstreamAnswer(*EVENTS))
    tapping = Tapping(world.events)
    stages = Stages(answer=(tapping,))
    world = World(stages=stages, a=UpstreamAnswer(*EVENTS))
    tapping.events = world.events
    await world.serve(STREAM_BODY)
    assert b"".join(tapping.taken) == world.reply.body
    assert world.events[:3] == ["begin", "take", "write"]
    assert world.events[-4:] == ["take", "settle", "finish", "end"]


async def test_stage_can_return_no_tap() -> None:
    tapping = Tapping([])
    world = World(stages=Stages(answer=(tapping,)), a=UpstreamAnswer(ANSWER))
    await world.serve(b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}')
    assert tapping.taken == []


@pytest.mark.parametrize("body", [None, STREAM_BODY])
async def test_body_log_records_request_and_response(body: bytes | None) -> None:
    chunks = EVENTS if body else (ANSWER,)
    world = World(stages=Stages(answer=(BodyLog(),)), a=UpstreamAnswer(*chunks))
    await (world.serve(body) if body else world.serve())
    assert world.record.request_body is not None
    assert '"hello"' in world.record.request_body
    assert world.record.response_body == world.reply.body.decode()


async def test_bodies_are_not_recorded_without_the_body_log() -> None:
    world = World(a=UpstreamAnswer(ANSWER))
    await world.serve()
    assert (world.record.request_body, world.record.response_body) == (None, None)


async def test_body_log_records_what_was_sent_of_a_broken_stream() -> None:
    broken: Any = UpstreamAnswer(*EVENTS[:2], error=errors.UpstreamDisconnected("x"))
    world = World(stages=Stages(answer=(BodyLog(),)), a=broken)
    await world.serve(STREAM_BODY)
    assert world.record.response_body is not None
    assert '"h"' in world.record.response_body
