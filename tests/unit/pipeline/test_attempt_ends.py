"""Every attempt that begins ends exactly once, whatever happens: nothing stays in flight, and no slot stays taken."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.pipeline import execute, stream_usage
from tests.support.dialects.standard import ENDPOINTS
from tests.support.pipeline import (
    ANSWER,
    BODY,
    EVENTS,
    STREAM_BODY,
    Reply,
    Response,
    Source,
    World,
    deployment,
    resolved,
)

COUNT = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
CUT_STREAM = EVENTS[:1]
PATHS: dict[str, tuple[str, bytes, Callable[[], dict[str, Any]]]] = {
    "local": ("anthropic_count_tokens", COUNT, dict),
    "whole": ("openai_chat", BODY, lambda: {"a": Response(ANSWER)}),
    "stream": ("openai_chat", STREAM_BODY, lambda: {"a": Response(*EVENTS)}),
    "refused": ("openai_chat", BODY, lambda: {"a": Response(b'{"error":{"message":"no"}}', status=400)}),
    "failed": ("openai_chat", BODY, lambda: {"a": errors.UpstreamUnavailable("x"), "b": Response(b"<", status=503)}),
    "malformed": ("openai_chat", BODY, lambda: {"a": Response(b"{"), "b": Response(ANSWER)}),
    "cut": ("openai_chat", STREAM_BODY, lambda: {"a": Response(*CUT_STREAM)}),
    "error event": (
        "openai_chat",
        STREAM_BODY,
        lambda: {"a": Response(*CUT_STREAM, b'data: {"error":{"message":"x"}}\n\n')},
    ),
    "translated": ("anthropic_messages", STREAM_BODY[:-1] + b',"max_tokens":9}', lambda: {"a": Response(*EVENTS)}),
}


class SlowReply(Reply):
    """A client that reads slowly: every step waits."""

    async def complete(self, *arguments: Any) -> None:
        await asyncio.sleep(0)
        await super().complete(*arguments)

    async def begin(self, *arguments: Any) -> None:
        await asyncio.sleep(0)
        await super().begin(*arguments)

    async def write(self, data: bytes) -> None:
        await asyncio.sleep(0)
        await super().write(data)

    async def end(self, data: bytes) -> None:
        await asyncio.sleep(0)
        await super().end(data)


def world_of(path: str) -> World:
    answers = PATHS[path][2]()
    world = World(resolved(" ".join(answers) or "a"), **answers)
    world.limit(a=1, b=1)
    return world


def in_flight(world: World) -> dict[str, int]:
    held = sum(slots.held + slots.waiting for _, slots in world.board.limited())
    own = {name: world.board.of(name).in_flight for name in "ab"}
    return own | {"requests": len(world.in_flight), "slots": held}


NONE = {"a": 0, "b": 0, "requests": 0, "slots": 0}


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_stays_in_flight_on_any_path(path: str) -> None:
    endpoint, body, _ = PATHS[path]
    world = world_of(path)
    exchange = await world.serve(body, endpoint=endpoint)
    assert exchange.attempts
    assert "pending" not in world.outcomes
    assert in_flight(world) == NONE


async def test_ten_estimates_of_tokens_leave_the_deployment_idle() -> None:
    world = world_of("local")
    for _ in range(10):
        await world.serve(COUNT, endpoint="anthropic_count_tokens")
    health = world.board.of("a")
    assert (health.attempts, health.in_flight, health.latency_ms) == (10, 0, None)


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_stays_in_flight_after_a_cancellation_at_any_moment(path: str) -> None:
    endpoint, body, _ = PATHS[path]
    for turns in range(200):
        world = world_of(path)
        source = Source(body, endpoint=endpoint)
        running = asyncio.ensure_future(world.entry.serve(source, SlowReply()))
        for _ in range(turns):
            await asyncio.sleep(0)
        if running.done():
            break
        if turns % 2 and source.on_disconnect is not None:
            source.on_disconnect()
        else:
            running.cancel()
        await asyncio.wait([running])
        assert in_flight(world) == NONE, f"canceled after {turns} turns"
        assert all(each.outcome != "pending" for record in world.journal.records for each in record.attempts)
    else:
        raise AssertionError("The request never ended.")


@pytest.mark.parametrize("method", ["encode_request", "decode_response", "decode_error", "media_urls", "relay"])
@pytest.mark.parametrize("path", ["local", "whole", "stream", "refused", "translated"])
async def test_nothing_stays_in_flight_after_a_bug_in_a_codec(
    path: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, body, _ = PATHS[path]
    world = world_of(path)
    call = ENDPOINTS[endpoint].decode_request(body, Source().context)
    route = type(ENDPOINTS[endpoint].route(call, deployment("a")))
    monkeypatch.setattr(route, method, _raise)
    await world.serve(body, endpoint=endpoint)
    assert "pending" not in world.outcomes
    assert in_flight(world) == NONE


@pytest.mark.parametrize("method", ["feed", "end", "fail"])
@pytest.mark.parametrize("path", ["stream", "translated", "cut", "error event"])
async def test_nothing_stays_in_flight_after_a_bug_in_a_stream(
    path: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, body, _ = PATHS[path]
    world = world_of(path)
    call = ENDPOINTS[endpoint].decode_request(body, Source().context)
    relay = type(ENDPOINTS[endpoint].route(call, deployment("a")).relay(call, deployment("a")))
    monkeypatch.setattr(relay, method, _raise)
    await world.serve(body, endpoint=endpoint)
    assert "pending" not in world.outcomes
    assert in_flight(world) == NONE


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_nothing_stays_in_flight_after_a_bug_before_the_outcome(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usage is estimated after the answer has arrived and before the attempt has its outcome."""
    for module in (execute, stream_usage):
        monkeypatch.setattr(module, "estimated_usage", _raise)
    whole = b'{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
    streamed = Response(*EVENTS[:3], b"data: [DONE]\n\n")
    world = World(a=Response(whole) if body == BODY else streamed)
    await world.serve(body)
    assert world.outcomes == ["internal_error"]
    assert in_flight(world) == NONE


async def test_attempt_without_an_outcome_is_abandoned() -> None:
    world = World()

    async def forget(*_: Any) -> None:
        """Do not end the attempt."""

    executor = world.spine._executor
    exchange = world.spine.open("/test", ENDPOINTS["openai_chat"])
    call = exchange.endpoint.decode_request(BODY, Source().context)
    request = world.spine.decide(exchange, world.spine._resolve(exchange, call, None))
    await executor.attempts.run(exchange, request, forget, forget)
    assert exchange.attempts[0].outcome == "internal_error"
    assert world.board.of("a").in_flight == 0


def _raise(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError
