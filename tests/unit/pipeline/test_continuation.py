"""Streams of models that continue them: who writes the rest, what is recorded and billed, and where it ends."""

import asyncio
import json
import logging
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import HedgingPolicy, Price, Usage, errors
from intellirouter.pipeline import Exchange
from intellirouter.pipeline.exchange import Decoded
from intellirouter.pipeline.stages import Stages
from tests.support.pipeline import STREAM_BODY, Response, World, resolved

BROKEN = errors.UpstreamDisconnected("The upstream closed the connection before its response was complete.")
TEXT = "Once upon a time there was a fox."
PRICE = Price(input=1_000_000, output=2_000_000, version="test")
"""One micro-USD per token of input, two per token of output."""


def event(text: str, **members: Any) -> bytes:
    chunk = {"id": "c1", "created": 7, "model": "up", "choices": [{"index": 0, "delta": {"content": text}, **members}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def begun(*pieces: str, error: BaseException | None = BROKEN, **members: Any) -> Response:
    return Response(*map(event, pieces), error=error, **members)


def rest(*pieces: str) -> Response:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":5}}\n\n'
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    return Response(*map(event, pieces), end, usage, b"data: [DONE]\n\n")


def continued(pool: str = "a b", fallbacks: str = "", **members: Any) -> ResolvedModel:
    return structs.replace(resolved(pool, fallbacks, **members), continues_streams=True)


def text_of(body: bytes) -> str:
    chunks = [json.loads(each[6:]) for each in body.decode().split("\n\n") if each.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def kinds(world: World) -> list[tuple[str, str, str]]:
    return [(each.deployment, each.kind, each.outcome) for each in world.record.attempts]


def in_flight(world: World, names: str = "ab") -> list[int]:
    return [world.board.of(name).in_flight for name in names]


async def test_another_deployment_writes_the_rest() -> None:
    first, second = begun("Once upon", " a time"), rest(" there was", " a fox.")
    world = World(continued(), a=first, b=second)
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert world.reply.body.count(b'"finish_reason":"stop"') == 1
    assert world.reply.body.endswith(b"data: [DONE]\n\n")
    assert (world.reply.error, world.events[0], world.events[-2:]) == (None, "begin", ["settle", "end"])
    assert world.events.count("begin") == 1
    assert kinds(world) == [("a", "first", "upstream_disconnected"), ("b", "continuation", "ok")]
    assert (first.outcome, second.outcome) == ("aborted", "released")
    assert in_flight(world) == [0, 0]
    assert (world.board.of("a").failures, world.board.of("b").failures) == (1, 0)
    record = world.record
    assert (record.status, record.error_code, record.deployment, record.finish_reason) == (200, None, "b", "stop")
    assert record.decision is not None
    assert record.decision.reason == "continuation on b after a failed (upstream_disconnected)"


async def test_request_for_the_rest_contains_the_text_so_far() -> None:
    world = World(continued(), a=begun("Once upon", " a time "), b=rest("there was a fox."))
    await world.serve(STREAM_BODY)
    (_, first), (_, second) = world.upstream.sent
    messages = json.loads(second)["messages"]
    assert messages[:-2] == json.loads(first)["messages"]
    assert messages[-2] == {"role": "assistant", "content": "Once upon a time"}
    assert messages[-1]["role"] == "user"


async def test_usage_and_cost_are_those_of_both_attempts() -> None:
    world = World(continued(price=PRICE), a=begun("Once upon", " a time"), b=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    usage = world.record.usage
    assert usage is not None
    estimated = Usage(input_tokens=usage.input_tokens - 30, output_tokens=2)
    assert estimated.input_tokens > 0
    assert (usage.output_tokens, usage.is_estimated) == (2 + 5, True)
    assert world.record.cost_microusd == usage.input_tokens + 2 * usage.output_tokens


async def test_usage_for_the_client_is_that_of_both_attempts() -> None:
    body = STREAM_BODY.replace(b'"stream":true', b'"stream":true,"stream_options":{"include_usage":true}')
    world = World(continued(), a=begun("Once upon", " a time"), b=rest(" there was a fox."))
    await world.serve(body)
    chunks = [json.loads(each[6:]) for each in world.reply.body.decode().split("\n\n") if each.startswith("data: {")]
    (usage,) = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert world.record.usage is not None
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (world.record.usage.input_tokens, 7)


@pytest.mark.parametrize(
    "error",
    [
        errors.UpstreamTimeout("The upstream sent nothing for 60 s (timeouts.idle_s)."),
        errors.UpstreamUnavailable("no"),
        None,
    ],
    ids=["timeout", "unavailable", "cut off"],
)
async def test_every_failure_of_the_upstream_is_continued(error: BaseException | None) -> None:
    world = World(continued(), a=begun("Once upon", " a time", error=error), b=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert world.reply.error is None


async def test_error_event_is_not_sent_if_the_stream_is_continued() -> None:
    failed = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
    first = Response(event("Once upon"), event(" a time"), failed)
    world = World(continued(), a=first, b=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    assert b"overloaded" not in world.reply.body
    assert text_of(world.reply.body) == TEXT


async def test_text_that_arrives_with_the_error_is_kept() -> None:
    failed = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
    first = Response(event("Once upon") + event(" a time") + failed)
    world = World(continued(), a=first, b=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT


async def test_deployment_that_fails_to_continue_is_followed_by_the_next_one() -> None:
    down = errors.UpstreamUnavailable("no")
    world = World(continued("a b c"), a=begun("Once upon a time"), b=down, c=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert kinds(world) == [
        ("a", "first", "upstream_disconnected"),
        ("b", "continuation", "upstream_unavailable"),
        ("c", "continuation", "ok"),
    ]


async def test_rest_that_breaks_off_before_its_first_content_is_requested_from_the_next_one() -> None:
    world = World(continued("a b c"), a=begun("Once upon a time"), b=begun(), c=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert [outcome for *_, outcome in kinds(world)] == ["upstream_disconnected", "upstream_disconnected", "ok"]


async def test_stream_is_continued_twice_and_not_more() -> None:
    parts = [begun("Once upon"), begun(" a time"), begun(" there was"), rest(" a fox.")]
    world = World(continued("a b c d"), a=parts[0], b=parts[1], c=parts[2], d=parts[3])
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == "Once upon a time there was"
    assert world.upstream.order == "a b c"
    assert isinstance(world.reply.error, errors.UpstreamDisconnected)
    assert world.reply.error_event is not None
    assert world.record.usage is not None
    assert world.record.usage.output_tokens == 3
    assert world.record.deployment == "c"


async def test_dead_connection_costs_one_more_attempt() -> None:
    dead = errors.UpstreamDisconnected("gone")
    dead.is_stale_connection = True
    world = World(continued(), a=begun("Once upon a time"), b=[dead, rest(" there was a fox.")])
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert world.board.of("b").failures == 0


async def test_lone_deployment_is_asked_again() -> None:
    world = World(continued("a"), a=[begun("Once upon a time"), rest(" there was a fox.")])
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT


async def test_fallback_writes_the_rest() -> None:
    world = World(continued("a", "b"), a=begun("Once upon a time"), b=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    assert kinds(world)[1] == ("b", "continuation", "ok")


@pytest.mark.parametrize(
    "model",
    [structs.replace(continued(), max_attempts=1), resolved("a b")],
    ids=["attempts", "off"],
)
async def test_stream_ends_with_one_error_if_no_other_attempt_is_allowed(model: ResolvedModel) -> None:
    world = World(model, a=begun("Once upon a time"), b=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    assert world.upstream.order == "a"
    assert text_of(world.reply.body) == "Once upon a time"
    assert world.events[-2:] == ["settle", "fail:upstream_disconnected"]
    assert world.reply.error_event is not None
    assert world.reply.error_event.count(b"data: ") == 1


async def test_error_of_the_broken_stream_is_reported_if_all_continuations_fail() -> None:
    world = World(continued(price=PRICE), a=[begun("Once upon"), errors.UpstreamUnavailable("no")], b=begun())
    await world.serve(STREAM_BODY)
    assert isinstance(world.reply.error, errors.UpstreamDisconnected)
    assert world.record.deployment == "a"
    assert world.record.usage is not None
    assert world.record.usage.output_tokens == 1
    assert in_flight(world) == [0, 0]


async def test_deployment_with_an_open_circuit_is_not_asked() -> None:
    world = World(continued("a b c"), a=begun("Once upon a time"), b=rest("never"), c=rest(" there was a fox."))
    breaker = world.board.of("b").breaker
    for _ in range(3):
        breaker.fail(breaker.begin(world.clock.monotonic_s()), "upstream_timeout", world.clock.monotonic_s())
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert "b" not in world.upstream.order.split()


@pytest.mark.parametrize("member", [b'"n":2', b'"logprobs":true', b'"response_format":{"type":"json_object"}'])
async def test_answers_that_are_not_plain_text_are_not_continued(member: bytes) -> None:
    world = World(continued(), a=begun("Once upon a time"), b=rest(" there was a fox."))
    await world.serve(STREAM_BODY.replace(b'"stream":true', b'"stream":true,' + member))
    assert world.upstream.order == "a"
    assert world.reply.error is not None


async def test_complete_answers_are_served_as_usual() -> None:
    world = World(continued(), a=rest("Once upon", " a time", " there was a fox."))
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert world.record.usage == Usage(input_tokens=30, output_tokens=5)
    assert kinds(world) == [("a", "first", "ok")]


async def test_json_document_instead_of_the_rest_is_read() -> None:
    whole = (
        b'{"choices":[{"index":0,"message":{"role":"assistant","content":" there was a fox."},"finish_reason":"stop"}]}'
    )
    world = World(continued(), a=begun("Once upon", " a time"), b=Response(whole))
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT


async def test_hedged_stream_is_continued() -> None:
    hedging = HedgingPolicy(after_s=0.01, max_share=1.0)
    silent = Response(gate=asyncio.Event())
    model = structs.replace(continued("a b"), hedging=hedging)
    world = World(model, a=[silent, rest(" there was a fox.")], b=begun("Once upon a time"))
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert kinds(world) == [
        ("a", "first", "hedge_lost"),
        ("b", "hedge", "upstream_disconnected"),
        ("a", "continuation", "ok"),
    ]


async def test_nothing_is_continued_after_the_time_of_the_request() -> None:
    gate = asyncio.Event()
    world = World(continued(timeout_s=5.0), a=begun("Once upon a time", gate=gate), b=rest(" there was a fox."))
    serving = asyncio.create_task(world.serve(STREAM_BODY))
    while b"Once" not in world.reply.body:
        await asyncio.sleep(0)
    world.clock.advance(6.0)
    gate.set()
    await serving
    assert world.upstream.order == "a"
    assert isinstance(world.reply.error, errors.UpstreamDisconnected)


class Tap:
    """Sees what the client is sent."""

    dialects = None

    def __init__(self) -> None:
        self.seen = b""
        self.ended: list[str] = []

    def tap(self, exchange: Exchange, request: Decoded) -> "Tap":
        del exchange, request
        return self

    def take(self, data: bytes) -> None:
        self.seen += data

    async def finish(self, exchange: Exchange) -> None:
        self.ended.append(str(exchange.finish_reason))

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        del exchange
        self.ended.append(type(error).__name__)


async def test_stages_see_the_whole_answer() -> None:
    tap = Tap()
    world = World(
        continued(), stages=Stages(answer=(tap,)), a=begun("Once upon", " a time"), b=rest(" there was a fox.")
    )
    await world.serve(STREAM_BODY)
    assert tap.seen == world.reply.body
    assert tap.ended == ["stop"]


async def test_client_that_leaves_while_the_rest_is_awaited_ends_all() -> None:
    gate = asyncio.Event()
    world = World(continued(), a=begun("Once upon a time"), b=Response(gate=gate))
    serving = asyncio.create_task(world.serve(STREAM_BODY))
    while len(world.upstream.sent) < 2:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    (exchange,) = world.in_flight._requests
    world.in_flight.disconnect(exchange)
    await serving
    assert kinds(world) == [("a", "first", "upstream_disconnected"), ("b", "continuation", "client_disconnected")]
    record = world.record
    assert (record.status, record.deployment) == (499, "a")
    assert record.usage is not None
    assert (record.usage.output_tokens, record.usage.is_estimated) == (1, True)
    assert in_flight(world) == [0, 0]


async def test_client_that_leaves_during_the_rest_pays_for_both() -> None:
    gate = asyncio.Event()
    second = Response(event(" there was"), gate=gate)
    world = World(continued(price=PRICE), a=begun("Once upon a time"), b=second)
    serving = asyncio.create_task(world.serve(STREAM_BODY))
    while b"there was" not in world.reply.body:
        await asyncio.sleep(0)
    (exchange,) = world.in_flight._requests
    world.in_flight.disconnect(exchange)
    await serving
    assert second.outcome == "aborted"
    assert kinds(world)[1] == ("b", "continuation", "client_disconnected")
    assert world.record.usage is not None
    assert world.record.usage.output_tokens == 2
    assert in_flight(world) == [0, 0]


async def test_log_says_who_has_continued(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    world = World(continued(), a=begun("Once upon a time"), b=rest(" there was a fox."))
    await world.serve(STREAM_BODY)
    assert "b continues the stream that a has broken off (upstream_disconnected)." in caplog.text


@pytest.mark.parametrize("at", range(1, len(TEXT)))
async def test_no_text_is_lost_wherever_the_stream_breaks_off(at: int) -> None:
    world = World(continued(), a=begun(TEXT[:at]), b=rest(TEXT[at:]))
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT


async def test_large_request_is_continued() -> None:
    body = STREAM_BODY.replace(b"hello", b"hello " * 300_000)
    world = World(continued(), a=begun("Once upon a time"), b=rest(" there was a fox."))
    await world.serve(body)
    assert text_of(world.reply.body) == TEXT


async def test_slots_are_taken_and_released() -> None:
    world = World(continued("a b c"), a=begun("Once upon a time"), b=rest("never"), c=rest(" there was a fox."))
    world.limit(a=1, b=1, c=1)
    busy = world.board.of("b").slots
    assert busy is not None
    busy.take("other", world.clock.monotonic_s())
    await world.serve(STREAM_BODY)
    assert text_of(world.reply.body) == TEXT
    assert world.upstream.order == "a c", "a deployment without a free slot is not asked"
    held = {name: slots.held for name in "abc" if (slots := world.board.of(name).slots) is not None}
    assert held == {"a": 0, "b": 1, "c": 0}


async def test_slots_of_failed_continuations_are_released() -> None:
    world = World(continued("a b"), a=[begun("Once upon"), errors.UpstreamUnavailable("no")], b=begun())
    world.limit(a=1, b=1)
    await world.serve(STREAM_BODY)
    assert world.reply.error is not None
    assert [slots.held for name in "ab" if (slots := world.board.of(name).slots) is not None] == [0, 0]
