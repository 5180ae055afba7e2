"""The entry: authentication, capacity, request bodies, refusals, cancellation."""

import asyncio
import hashlib
from typing import Any

import pytest

from intellirouter.config.runtime import KeySpec, ServerSpec
from intellirouter.core import errors
from intellirouter.pipeline import Exchange
from tests.support.pipeline import ANSWER, BODY, STREAM_BODY, Reply, Response, Source, World, resolved

KEY = KeySpec(digest=hashlib.sha256(b"sk-1").digest(), tenant="acme", name="ci", models=("m",))
OTHER = KeySpec(digest=hashlib.sha256(b"sk-2").digest(), tenant="acme", name="docs", models=("docs-*",))


async def test_request_is_settled_before_its_answer_and_then_removed() -> None:
    world = World(a=Response(ANSWER))
    exchange = await world.serve()
    assert world.events == ["settle", "complete:200"], "settled before the last byte is sent"
    assert world.reply.body == ANSWER
    assert (world.record.request_id, world.record.status, world.record.endpoint) == (exchange.request_id, 200, "/test")
    assert world.emitted == [(world.record, "m")]
    assert len(world.in_flight) == 0


async def test_request_without_a_key_is_rejected_before_its_body_is_read() -> None:
    world = World(keys=(KEY,))
    await world.serve(errors.InternalError("the body must not be read"))
    assert isinstance(world.reply.error, errors.Unauthenticated)
    assert (world.record.status, world.record.tenant, world.record.model) == (401, "-", None)
    assert [record.status for record, _ in world.emitted] == [401]
    assert world.upstream.sent == []


async def test_key_determines_caller_and_models() -> None:
    world = World(keys=(KEY, OTHER), a=Response(ANSWER))
    await world.serve(key=b"sk-1")
    assert (world.record.tenant, world.record.key_name, world.record.status) == ("acme", "ci", 200)
    world.journal.records.clear()
    world.reply = Reply()
    await world.serve(key=b"sk-2")
    assert isinstance(world.reply.error, errors.ModelNotFound)
    assert (world.record.status, world.record.key_name) == (404, "docs")
    assert world.upstream.order == "a", "the second key may not use the model, so no upstream was called"


async def test_requests_beyond_the_in_flight_limit_are_rejected() -> None:
    world = World(server=ServerSpec(max_in_flight=2), a=[Response(ANSWER), Response(ANSWER), Response(ANSWER)])
    gate = asyncio.Event()
    waiting = [asyncio.ensure_future(world.entry.serve(Source(gate=gate), Reply())) for _ in range(2)]
    await asyncio.sleep(0)
    assert len(world.in_flight) == 2, "requests whose body has not arrived count as well"
    await world.serve()
    assert isinstance(world.reply.error, errors.Overloaded)
    assert world.reply.error.retry_after_s == 1.0
    assert "limit of 2 requests in flight" in world.reply.error.message
    assert (world.record.status, world.record.tenant) == (503, "default"), "the caller is already identified"
    assert len(world.in_flight) == 2, "a refused request does not release the slot of another one"
    gate.set()
    await asyncio.gather(*waiting)
    assert len(world.in_flight) == 0
    world.events.clear()
    await world.serve()
    assert world.events == ["settle", "complete:200"]


async def test_disconnect_while_sending_the_body_leaves_no_record() -> None:
    world = World()
    await world.serve(errors.ClientDisconnected("closed"))
    assert (world.events, world.journal.records, world.emitted) == ([], [], [])
    assert len(world.in_flight) == 0


async def test_rejected_body_is_recorded() -> None:
    world = World(server=ServerSpec(max_body_bytes=len(BODY) - 1))
    await world.serve()
    assert world.events == ["settle", "fail:body_too_large"]
    assert (world.record.status, world.record.error_code) == (413, "body_too_large")
    assert len(world.emitted) == 1


async def test_on_open_is_called_first() -> None:
    world = World(a=Response(ANSWER))
    seen: list[Exchange] = []

    def on_open(exchange: Exchange) -> None:
        assert world.events == []
        seen.append(exchange)

    exchange = await world.entry.serve(Source(), world.reply, on_open)
    assert seen == [exchange]


async def test_continued_work_keeps_its_request_id() -> None:
    world = World(a=Response(ANSWER))
    exchange = await world.serve(request_id="req_earlier")
    assert (exchange.request_id, world.record.request_id) == ("req_earlier", "req_earlier")


async def cancel(world: World, source: Source, *, is_client_disconnected: bool) -> "asyncio.Task[Any]":
    """Cancel the request once the upstream has been called."""
    opened: list[Exchange] = []
    task = asyncio.ensure_future(world.entry.serve(source, world.reply, opened.append))
    async with asyncio.timeout(5):
        while not world.upstream.sent:
            await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    opened[0].is_client_disconnected = is_client_disconnected
    task.cancel()
    await asyncio.wait([task])
    return task


async def test_stopping_gateway_reports_an_error_to_the_client() -> None:
    world = World(a=Response(gate=asyncio.Event()))
    task = await cancel(world, Source(), is_client_disconnected=False)
    assert (task.cancelled(), task.cancelling()) == (False, 0), "the task serves only this request"
    assert isinstance(world.reply.error, errors.Overloaded)
    assert world.reply.error.message == "The gateway was stopped before the response was complete."
    assert (world.record.status, world.outcomes) == (503, ["overloaded"])
    assert world.events == ["settle", "fail:overloaded"]


async def test_disconnected_client_is_sent_nothing() -> None:
    world = World(a=Response(gate=asyncio.Event()))
    task = await cancel(world, Source(), is_client_disconnected=True)
    assert not task.cancelled()
    assert world.events == ["settle"]
    assert (world.record.status, world.record.error_code) == (499, "client_disconnected")
    assert world.record.error_message == "The connection to the client was closed before the response was complete."


async def test_cancellation_of_a_shared_task_is_not_suppressed() -> None:
    world = World(a=Response(gate=asyncio.Event()))
    task = await cancel(world, Source(is_task_owner=False), is_client_disconnected=False)
    assert task.cancelled()
    assert world.record.status == 503, "the exchange is settled nevertheless"
    assert len(world.in_flight) == 0


async def test_gateway_that_stops_while_the_body_arrives_reports_an_error() -> None:
    world = World()
    task = asyncio.ensure_future(world.entry.serve(Source(gate=asyncio.Event()), world.reply))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), task.cancelling()) == (False, 0), "the task serves only this request"
    assert isinstance(world.reply.error, errors.Overloaded)
    assert world.reply.error.message == "The gateway was stopped before the request was complete."
    assert (world.record.status, world.record.error_code) == (503, "overloaded")
    assert (world.events, len(world.emitted), len(world.in_flight)) == (["settle", "fail:overloaded"], 1, 0)


async def test_cancellation_of_a_shared_task_while_the_body_arrives_leaves_no_record() -> None:
    world = World()
    task = asyncio.ensure_future(world.entry.serve(Source(gate=asyncio.Event(), is_task_owner=False), world.reply))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert (world.events, len(world.in_flight)) == ([], 0)


async def test_request_is_canceled_when_its_client_disconnects() -> None:
    world = World(a=Response(gate=asyncio.Event()))
    source = Source()
    task = asyncio.ensure_future(world.entry.serve(source, world.reply))
    await asyncio.sleep(0.01)
    assert not task.done()
    assert source.on_disconnect is not None
    source.on_disconnect()
    exchange = await asyncio.wait_for(task, 5)
    assert exchange.is_client_disconnected
    assert (world.record.status, world.record.error_code) == (499, "client_disconnected")


async def test_disconnect_is_not_watched_before_the_body_has_arrived() -> None:
    world, source = World(a=Response(ANSWER)), Source(gate=asyncio.Event())
    task = asyncio.ensure_future(world.entry.serve(source, world.reply))
    await asyncio.sleep(0.01)
    assert source.on_disconnect is None
    assert source.gate is not None
    source.gate.set()
    assert not (await asyncio.wait_for(task, 5)).is_client_disconnected
    assert source.on_disconnect is not None
    source.on_disconnect()  # after the end, it does nothing
    assert world.record.status == 200


async def test_gateway_bug_is_an_error_with_the_request_id(caplog: pytest.LogCaptureFixture) -> None:
    world = World(a=ZeroDivisionError("boom"))
    exchange = await world.serve()
    assert isinstance(world.reply.error, errors.InternalError)
    assert exchange.request_id in world.reply.error.hint
    assert "boom" not in world.reply.error.message
    assert isinstance(world.reply.error.__cause__, ZeroDivisionError)
    assert (world.record.status, world.record.error_code) == (500, "internal_error")
    assert "Internal error in" in caplog.text


async def test_reload_applies_to_new_requests_only() -> None:
    gate = asyncio.Event()
    world = World(a=Response(ANSWER))
    running = asyncio.ensure_future(world.entry.serve(Source(gate=gate), world.reply))
    await asyncio.sleep(0)
    other = World(resolved("b"), b=Response(ANSWER))
    world.current.swap(other.current.value)
    gate.set()
    await asyncio.wait_for(running, 5)
    assert (world.upstream.order, other.upstream.order) == ("a", "")
    await world.serve()
    assert other.upstream.order == "b"


async def test_stream_request_with_a_complete_answer_is_answered_with_events() -> None:
    world = World(a=Response(ANSWER))
    await world.serve(STREAM_BODY)
    assert world.reply.error is None
    assert world.reply.body.startswith(b"data: ")
    assert world.reply.body.endswith(b"data: [DONE]\n\n")
    assert world.record.usage is not None
    assert world.record.finish_reason == "stop"
    assert BODY != STREAM_BODY
