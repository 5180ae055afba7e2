"""The spine: decoding, decisions, refusals, and what is logged and recorded of them."""

import hashlib
import json
import logging

import pytest

from intellirouter.config.runtime import KeySpec, ReasoningMemorySpec, ServerSpec
from intellirouter.core import ReasoningMemory, errors
from intellirouter.store import ReasoningMemories
from intellirouter.testing import FakeClock
from tests.support.pipeline import ANSWER, BODY, EVENTS, Response, Source, World, resolved

DOWN = errors.UpstreamUnavailable("down")
IMAGE = "https://images.test/cat.png"


class Fetcher:
    """Implements `core.Fetcher`: every URL is the same image."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def fetch(self, url: str, *, limit_bytes: int, deadline_s: float) -> tuple[str, bytes]:
        del limit_bytes, deadline_s
        self.urls.append(url)
        return "image/png", b"cat"


def request(model: str = "m", **members: object) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], **members}).encode()


async def test_record_has_the_id_and_the_times_of_the_request() -> None:
    world = World(a=Response(ANSWER))
    started_us = world.clock.epoch_us()
    await world.serve()
    assert world.record.request_id.startswith("req_")
    assert (world.record.started_us, world.record.duration_ms) == (started_us, 0.0)


async def test_decision_is_recorded_even_if_all_attempts_fail() -> None:
    world = World(resolved("a", "b"), a=DOWN, b=DOWN)
    await world.serve()
    decision = world.record.decision
    assert decision is not None
    assert (decision.model, decision.order, decision.pool_size) == ("m", ("a", "b"), 1)


async def test_failing_deployment_is_tried_last_until_its_failures_are_old() -> None:
    answers = [Response(ANSWER) for _ in range(2)]
    world = World(resolved("a b"), a=answers[0], b=answers[1])
    for _ in range(3):
        now_s = world.clock.monotonic_s()
        world.board.of("a").fail(world.board.of("a").begin(now_s), "upstream_unavailable", now_s)
    await world.serve()
    assert world.upstream.order == "b"
    world.clock.advance(60.0)
    await world.serve()
    assert world.upstream.order == "b a"


async def test_unknown_model_is_reported_with_its_parameter() -> None:
    world = World()
    await world.serve(request("n"))
    error = world.reply.error
    assert isinstance(error, errors.ModelNotFound)
    assert error.message == "The model 'n' does not exist or you do not have access to it."
    assert error.param == "model"
    assert (world.record.status, world.record.model, world.record.decision) == (404, "n", None)
    assert world.emitted == [(world.record, "")], "names from clients do not become labels of metrics"


async def test_long_name_of_an_unknown_model_is_shortened() -> None:
    world = World()
    await world.serve(request("n" * 210))
    assert world.reply.error is not None
    assert world.reply.error.message == f"The model '{'n' * 200}' does not exist or you do not have access to it."
    assert world.record.model == "n" * 200


@pytest.mark.parametrize(("depth", "status"), [(4, 200), (5, 400)])
async def test_request_may_be_as_deep_as_the_configuration_allows(depth: int, status: int) -> None:
    world = World(server=ServerSpec(max_json_depth=4), a=Response(ANSWER))
    nested = "[" * (depth - 1) + "]" * (depth - 1)
    await world.serve(BODY.replace(b"{", b'{"x":%s,' % nested.encode(), 1))
    assert world.record.status == status


async def test_refused_request_is_logged_with_its_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World(a=DOWN)
    exchange = await world.serve()
    logged = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert logged == [(DOWN.log_level, f"{exchange.request_id} upstream_unavailable: down")]


async def test_refused_request_is_logged_with_the_hint(caplog: pytest.LogCaptureFixture) -> None:
    exchange = await World(a=errors.UpstreamUnavailable("It is down.", hint="Start it.")).serve()
    assert [record.getMessage() for record in caplog.records] == [
        f"{exchange.request_id} upstream_unavailable: It is down. Start it."
    ]


async def test_gateway_bug_is_logged_with_its_traceback_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    world = World(a=ZeroDivisionError("sk-secret"))
    exchange = await world.serve()
    error = world.reply.error
    assert error is not None
    assert error.message == "The gateway failed to handle the request."
    assert error.hint == f"See the gateway's log, and report the problem with the request id {exchange.request_id}."
    assert world.record.error_message == error.message
    [logged] = [record for record in caplog.records if record.exc_info]
    assert logged.getMessage() == f"Internal error in {exchange.request_id}."
    assert world.events == ["settle", "fail:internal_error"]
    assert world.emitted == [(world.record, "m")]


async def test_gateway_bug_in_a_stream_keeps_the_status_that_was_sent() -> None:
    world = World(a=Response(*EVENTS[:2], error=ZeroDivisionError("boom")))
    await world.serve(request(stream=True))
    assert world.events[-2:] == ["settle", "fail:internal_error"]
    assert (world.record.status, world.record.error_code) == (200, "internal_error")


async def test_media_are_fetched_for_upstreams_that_need_the_bytes() -> None:
    fetcher = Fetcher()
    answer = Response(b'{"model":"up","message":{"role":"assistant","content":"a cat"},"done":true}')
    world = World(resolved("a", dialects=("ollama",)), fetcher=fetcher, a=answer)
    content = [{"type": "image_url", "image_url": {"url": IMAGE}}]
    await world.serve(request(messages=[{"role": "user", "content": content}]))
    assert (world.reply.error, fetcher.urls) == (None, [IMAGE])
    assert b'"images":["Y2F0"]' in world.upstream.sent[0][1]


async def test_exchange_that_is_handed_over_has_no_record_of_its_own() -> None:
    """The background exchange with the same request id writes the record."""
    world = World()
    exchange = world.spine.open("/test", Source().endpoint, "req_1")
    exchange.is_handed_over = True
    world.spine.settle(exchange)
    world.spine.emit(exchange)
    assert (exchange.record, world.journal.records, world.emitted) == (None, [], [])


async def test_chat_requests_get_the_memory_of_their_tenant() -> None:
    asked: list[str] = []
    memories = ReasoningMemories(ReasoningMemorySpec(), FakeClock())

    def memory_of(tenant: str) -> ReasoningMemory:
        asked.append(tenant)
        return memories.of(tenant)

    key = KeySpec(digest=hashlib.sha256(b"sk-1").digest(), tenant="acme", name="ci")
    world = World(keys=(key,), a=Response(ANSWER))
    world.remember_in(memory_of)
    exchange = await world.serve(key=b"sk-1")
    assert asked == ["acme"]
    assert exchange.call is not None
    assert exchange.call.memory is memories.of("acme")


async def test_without_a_memory_nothing_is_remembered() -> None:
    exchange = await World(a=Response(ANSWER)).serve()
    assert exchange.call is not None
    assert exchange.call.memory is None


async def test_other_operations_than_chat_remember_nothing() -> None:
    world = World(a=DOWN)
    world.remember_in(ReasoningMemories(ReasoningMemorySpec(), FakeClock()).of)
    exchange = await world.serve(b'{"model":"m","input":"hello"}', endpoint="openai_embeddings")
    assert exchange.call is not None
    assert exchange.call.memory is None
