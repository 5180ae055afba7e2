"""Realtime sessions through the entry: how they are refused, opened and ended, and what is recorded."""

import asyncio
import hashlib
from typing import Any

import pytest

from intellirouter.config.runtime import KeySpec, ServerSpec
from intellirouter.core import Price, RequestContext, SocketClosed, SocketRefusal, Usage, errors
from intellirouter.pipeline import Exchange
from tests.support.pipeline import Source, World, resolved
from tests.support.sockets import CREATED, DONE, Dialer, MemorySession, MemorySocket

KEY = KeySpec(digest=hashlib.sha256(b"sk-1").digest(), tenant="acme", name="ci", models=("m",))
BYE = SocketClosed(1000, "bye")


def source(model: str = "m", **members: Any) -> Source:
    return Source(b"", "openai_realtime", context=RequestContext(model=model, query="intent=talk"), **members)


async def serve(world: World, session: MemorySession, **members: Any) -> Exchange:
    async with asyncio.timeout(5):
        return await world.entry.serve_session(source(**members), session)


async def test_session_is_relayed_and_settled_before_it_is_closed() -> None:
    upstream = MemorySocket(CREATED, DONE, BYE)
    dialer = Dialer(upstream)
    world = World(resolved("a", price=Price(input=2_000_000, output=10_000_000, version="test")), sockets=dialer)
    session = MemorySession(world.events)
    exchange = await serve(world, session)
    assert world.events == ["begin", "settle", "close"]
    assert dialer.requests == [("a", "/realtime?model=up&intent=talk")]
    assert (session.sent[1:], session.closed, session.request_id) == ([DONE], (1000, "bye"), exchange.request_id)
    record = world.record
    assert (record.request_id, record.endpoint, record.model, record.status) == (exchange.request_id, "/test", "m", 101)
    assert (record.usage, record.cost_microusd) == (Usage(input_tokens=10, output_tokens=5), 70)
    assert (record.finish_reason, record.deployment, world.outcomes) == ("upstream_closed", "a", ["ok"])
    assert record.decision is not None
    assert record.decision.order == ("a",)
    assert world.emitted == [(record, "m")]
    assert len(world.in_flight) == 0


async def test_session_is_in_flight_until_it_ends() -> None:
    world = World(server=ServerSpec(max_in_flight=1), sockets=Dialer(MemorySocket(CREATED)))
    session = MemorySession(world.events)
    opened: list[Exchange] = []
    running = asyncio.ensure_future(world.entry.serve_session(source(), session, opened.append))
    async with asyncio.timeout(5):
        while not session.has_begun:
            await asyncio.sleep(0)
    assert (len(opened), len(world.in_flight)) == (1, 1)
    other = MemorySession([])
    await serve(world, other)
    assert other.events == ["fail:overloaded"]
    session.is_stopping.set()
    assert await asyncio.wait_for(running, 5) is opened[0]
    assert (session.closed, len(world.in_flight)) == ((1001, "The gateway is stopping."), 0)


async def test_session_without_a_valid_key_is_refused() -> None:
    dialer = Dialer()
    world = World(keys=(KEY,), sockets=dialer)
    session = MemorySession(world.events)
    exchange = await serve(world, session, key=b"sk-2")
    assert isinstance(session.error, errors.Unauthenticated)
    assert world.events == ["settle", "fail:invalid_api_key"]
    assert (session.request_id, dialer.requests) == (exchange.request_id, [])
    assert (world.record.status, world.record.tenant) == (401, "-")


@pytest.mark.parametrize(("model", "status"), [("", 400), ("other", 404)])
async def test_session_for_a_missing_or_unknown_model_is_refused(model: str, status: int) -> None:
    dialer = Dialer()
    world = World(sockets=dialer)
    session = MemorySession(world.events)
    await serve(world, session, model=model)
    assert (session.has_begun, dialer.requests) == (False, [])
    assert session.error is not None
    assert session.error.param == "model"
    assert (world.record.status, world.record.attempts) == (status, ())


async def test_session_that_no_deployment_accepts_is_refused() -> None:
    refusal = SocketRefusal(503, (), b'{"error":{"message":"busy"}}')
    world = World(resolved("a b"), sockets=Dialer(refusal, refusal))
    session = MemorySession(world.events)
    await serve(world, session)
    assert world.events == ["settle", "fail:upstream_unavailable"]
    assert (world.record.status, world.outcomes) == (503, ["upstream_unavailable"] * 2)


async def test_session_is_refused_if_sessions_are_disabled() -> None:
    world = World(sockets=None)
    session = MemorySession(world.events)
    await serve(world, session)
    assert isinstance(session.error, errors.UnsupportedFeature)
    assert "does not support realtime sessions" in session.error.message


@pytest.mark.parametrize(
    ("server", "finish_reason", "reason"),
    [
        (ServerSpec(socket_idle_s=0.0), "idle_timeout", "The session was idle for 0 s."),
        (ServerSpec(socket_max_s=0.0), "session_limit", "The session has reached the limit of 0 s."),
    ],
)
async def test_session_has_the_time_limits_of_the_configuration(
    server: ServerSpec, finish_reason: str, reason: str
) -> None:
    world = World(server=server, sockets=Dialer(MemorySocket(CREATED)))
    session = MemorySession(world.events)
    await serve(world, session)
    assert session.closed == (1000, reason)
    assert (world.record.finish_reason, world.record.error_code) == (finish_reason, None)


async def cancel(world: World, session: MemorySession, *, is_client_disconnected: bool) -> "asyncio.Task[Exchange]":
    """Cancel the session once it has begun."""
    opened: list[Exchange] = []
    task = asyncio.ensure_future(world.entry.serve_session(source(), session, opened.append))
    async with asyncio.timeout(5):
        while not session.has_begun:
            await asyncio.sleep(0)
    opened[0].is_client_disconnected = is_client_disconnected
    task.cancel()
    await asyncio.wait([task], timeout=5)
    return task


@pytest.mark.parametrize(
    ("is_client_disconnected", "status", "events"),
    [(True, 499, ["begin", "settle"]), (False, 503, ["begin", "settle", "fail:overloaded"])],
)
async def test_canceled_session_is_settled(is_client_disconnected: bool, status: int, events: list[str]) -> None:
    """A client that has disconnected is sent nothing. If the gateway is stopping, the client is sent an error."""
    upstream = MemorySocket(CREATED)
    world = World(sockets=Dialer(upstream))
    session = MemorySession(world.events)
    task = await cancel(world, session, is_client_disconnected=is_client_disconnected)
    assert not task.cancelled()
    assert (world.events, world.record.status) == (events, status)
    assert upstream.closed == (1001, "")
    assert len(world.in_flight) == 0


async def test_gateway_bug_before_the_session_is_accepted_refuses_it() -> None:
    upstream = MemorySocket(CREATED)
    world = World(sockets=Dialer(upstream))
    session = MemorySession(world.events, error=ZeroDivisionError("boom"))
    await serve(world, session)
    assert world.events == ["settle", "fail:internal_error"]
    assert (world.record.status, world.record.error_code, world.outcomes) == (500, "internal_error", ["internal_error"])
    assert upstream.closed == (1001, "")
    assert world.board.of("a").failures == 0


async def test_gateway_bug_in_a_session_is_reported_in_the_session() -> None:
    world = World(sockets=Dialer(MemorySocket(CREATED)))
    session = MemorySession(world.events, ZeroDivisionError("boom"))
    await serve(world, session)
    assert world.events == ["begin", "settle", "fail:internal_error"]
    assert (world.record.status, world.record.error_code) == (101, "internal_error"), "the handshake had succeeded"
