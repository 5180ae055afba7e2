"""The blocking and the asyncio client against a real server. Most tests run with both."""

import asyncio
import inspect
import json
import threading
from decimal import Decimal
from typing import Any

import pytest

import intellirouter
from intellirouter import client

CHAT = "/v1/chat/completions"
RECORD = {"request_id": "r1", "started_us": 1, "endpoint": "/v1", "tenant": "t", "status": 200, "duration_ms": 1.0}


async def settled(value: Any) -> Any:
    """Await the value if it is awaitable; return it otherwise."""
    return await value if inspect.isawaitable(value) else value


async def listed(stream: Any) -> list[Any]:
    return [piece async for piece in stream] if hasattr(stream, "__aiter__") else list(stream)


async def first(stream: Any) -> Any:
    return await anext(stream) if hasattr(stream, "__anext__") else next(stream)


@pytest.fixture(params=[client.Client, client.AsyncClient], ids=["blocking", "asyncio"])
async def any_client(request: pytest.FixtureRequest, gateway: Any) -> Any:
    made = request.param(gateway.url, "sk-test", timeout_s=10)
    yield made
    await settled(made.close())


def test_package_exports_both_clients() -> None:
    assert intellirouter.Client is client.Client
    assert intellirouter.AsyncClient is client.AsyncClient


async def test_chat_sends_the_key_and_returns_the_answer(any_client: Any, gateway: Any, scripted: Any) -> None:
    gateway.on_json(CHAT, scripted.completion("Hi."), x_request_id="req_1", x_intellirouter_deployment="mini")
    reply = await settled(any_client.chat("Hello", model="m", temperature=0))
    assert (reply.text, reply.request_id, reply.deployment) == ("Hi.", "req_1", "mini")
    (asked,) = gateway.requests
    assert asked.headers["authorization"] == "Bearer sk-test"
    assert asked.headers["content-type"] == "application/json"
    assert asked.json() == {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}


async def test_busy_gateway_is_retried_after_the_stated_time(any_client: Any, gateway: Any, scripted: Any) -> None:
    busy = scripted.Reply(503, b"", {"retry-after-ms": "1"})
    gateway.on(CHAT, busy, busy, scripted.Reply(200, json.dumps(scripted.completion("Hi.")).encode()))
    assert (await settled(any_client.chat("Hello"))).text == "Hi."
    assert len(gateway.requests) == 3


async def test_last_error_is_raised_with_its_details(any_client: Any, gateway: Any, scripted: Any) -> None:
    body = b'{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}'
    gateway.on(CHAT, scripted.Reply(429, body, {"retry-after-ms": "2", "x-request-id": "req_9"}))
    with pytest.raises(client.RateLimitError, match="slow down") as raised:
        await settled(any_client.chat("Hello"))
    assert (raised.value.retry_after_s, raised.value.request_id) == (0.002, "req_9")
    assert len(gateway.requests) == 3


async def test_invalid_request_is_not_retried(any_client: Any, gateway: Any) -> None:
    gateway.on_json(CHAT, {"error": {"message": "bad", "param": "messages"}}, 400)
    with pytest.raises(client.InvalidRequestError) as raised:
        await settled(any_client.chat([]))
    assert raised.value.param == "messages"
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("kind", [client.Client, client.AsyncClient])
async def test_unreachable_gateway_is_reported_with_a_hint(kind: Any, closed_port: int) -> None:
    any_client = kind(f"http://127.0.0.1:{closed_port}", max_retries=0)
    with pytest.raises(client.GatewayUnreachableError, match="Cannot connect to a gateway at http://127") as raised:
        await settled(any_client.health())
    assert raised.value.hint is not None
    assert "intellirouter serve" in raised.value.hint
    await settled(any_client.close())


@pytest.mark.parametrize("kind", [client.Client, client.AsyncClient])
async def test_silent_stream_times_out(kind: Any, gateway: Any, scripted: Any) -> None:
    gateway.on(CHAT, scripted.Reply(chunks=[scripted.sse(scripted.piece("He"))], then="wait"))
    any_client = kind(gateway.url, timeout_s=0.2)
    stream = await settled(any_client.stream("Hello"))
    with pytest.raises(client.ResponseTimeoutError, match=r"sent no data for 0\.2 s"):
        await listed(stream)
    await settled(any_client.close())
    assert gateway.client_left.wait(5)


async def test_stream_yields_chunks_and_the_complete_reply(any_client: Any, gateway: Any, scripted: Any) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    chunks = [scripted.sse(scripted.piece("He")), scripted.sse(scripted.piece("llo", "stop"), usage, "[DONE]")]
    gateway.on(
        CHAT, scripted.Reply(headers={"x-request-id": "req_1", "x-intellirouter-strategy": "cost"}, chunks=chunks)
    )
    stream = await settled(any_client.stream("Hi"))
    assert (stream.route.request_id, stream.route.strategy) == ("req_1", "cost")
    assert "".join(piece.text for piece in await listed(stream)) == "Hello"
    reply = await settled(stream.reply())
    assert (reply.text, reply.finish_reason, reply.usage.total_tokens) == ("Hello", "stop", 3)
    assert gateway.requests[0].headers["accept"] == "text/event-stream"
    assert reply.cost_usd is None  # the headers of a stream precede its cost
    gateway.on_json("/api/v1/requests/req_1", {**RECORD, "cost_microusd": 12})
    assert await settled(any_client.cost_usd(reply)) == Decimal("0.000012")


async def test_cost_of_a_complete_answer_needs_no_request(any_client: Any, gateway: Any, scripted: Any) -> None:
    body = json.dumps(scripted.completion("Hi")).encode()
    gateway.on(CHAT, scripted.Reply(headers={"x-request-id": "r", "x-intellirouter-cost-usd": "0.5"}, body=body))
    reply = await settled(any_client.chat("Hi"))
    assert await settled(any_client.cost_usd(reply)) == reply.cost_usd == Decimal("0.5")
    assert len(gateway.requests) == 1


async def test_rejected_stream_raises_like_other_requests(any_client: Any, gateway: Any) -> None:
    gateway.on_json(CHAT, {"error": {"message": "who are you?"}}, 401)
    with pytest.raises(client.AuthenticationError, match="who are you"):
        await settled(any_client.stream("Hi"))


async def test_stream_is_not_retried_after_its_first_chunk(any_client: Any, gateway: Any, scripted: Any) -> None:
    gateway.on(CHAT, scripted.Reply(chunks=[scripted.sse(scripted.piece("He"))], then="cut"))
    stream = await settled(any_client.stream("Hi"))
    assert (await first(stream)).text == "He"
    with pytest.raises(client.GatewayUnreachableError, match="was lost"):
        await first(stream)
    assert await listed(stream) == []
    assert len(gateway.requests) == 1


async def test_error_event_is_raised_after_earlier_chunks(any_client: Any, gateway: Any, scripted: Any) -> None:
    error = {"error": {"message": "gone", "code": "upstream_disconnected"}}
    gateway.on(CHAT, scripted.Reply(chunks=[scripted.sse(scripted.piece("He"), error)]))
    stream = await settled(any_client.stream("Hi"))
    assert (await first(stream)).text == "He"
    with pytest.raises(client.UpstreamError, match="gone"):
        await first(stream)
    assert await listed(stream) == []


async def test_closing_a_stream_early_aborts_the_request(any_client: Any, gateway: Any, scripted: Any) -> None:
    gateway.on(CHAT, scripted.Reply(chunks=[scripted.sse(scripted.piece("He"))], then="wait"))
    if isinstance(any_client, client.AsyncClient):
        async with await any_client.stream("Hi") as stream:
            assert (await anext(stream)).text == "He"
    else:
        with any_client.stream("Hi") as stream:
            assert next(stream).text == "He"
    assert gateway.client_left.wait(5)
    assert (await settled(stream.reply())).text == "He"


async def test_canceling_a_task_aborts_its_request(gateway: Any, scripted: Any) -> None:
    gateway.on(CHAT, scripted.Reply(chunks=[], then="wait"))
    async with client.AsyncClient(gateway.url) as any_client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(any_client.chat("Hi"), 0.3)
    assert gateway.client_left.wait(5)


async def test_control_api_is_available(any_client: Any, gateway: Any) -> None:
    gateway.on_json("/api/v1/health", {"status": "unhealthy", "version": "1"}, 503)
    gateway.on_json("/api/v1/models", {"models": [{"name": "auto"}]})
    gateway.on_json("/api/v1/requests", {"requests": [], "next": None})
    gateway.on_json("/api/v1/requests/r1", {**RECORD, "cost_usd": "0"})
    gateway.on_json("/v1/embeddings", {"data": [{"index": 0, "embedding": [0.5]}]})
    assert (await settled(any_client.health())).status == "unhealthy"
    assert [model.name for model in await settled(any_client.models())] == ["auto"]
    assert (await settled(any_client.requests(limit=1, errors=True))).requests == ()
    assert (await settled(any_client.request("r1"))).request_id == "r1"
    assert (await settled(any_client.embeddings("a", "e"))).vectors == ((0.5,),)
    assert gateway.requests[2].path == "/api/v1/requests?limit=1&errors=1"


async def test_explain_calls_no_model(any_client: Any, gateway: Any) -> None:
    decision = {"model": "m", "strategy": "s", "reason": "r", "order": [], "pool_size": 0, "candidates": []}
    gateway.on_json("/api/v1/explain", {"model": "m", "decision": decision})
    assert (await settled(any_client.explain("Hi", "m"))).decision.strategy == "s"
    assert gateway.requests[0].json()["model"] == "m"


async def test_feed_is_read_to_its_end(any_client: Any, gateway: Any, scripted: Any) -> None:
    gateway.on("/api/v1/requests/tail", scripted.Reply(chunks=[scripted.sse(RECORD), scripted.sse(RECORD)]))
    feed = await settled(any_client.tail())
    assert [record.request_id for record in await listed(feed)] == ["r1", "r1"]
    await settled(feed.close())


def test_threads_can_share_a_client(gateway: Any, scripted: Any) -> None:
    gateway.on_json(CHAT, scripted.completion("Hi."))
    answers: list[str] = []
    with client.Client(gateway.url) as any_client:
        threads = [threading.Thread(target=lambda: answers.append(any_client.chat("Hi").text)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["Hi."] * 8
