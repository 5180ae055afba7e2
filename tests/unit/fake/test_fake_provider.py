import asyncio
import json
from typing import Any

import pytest

from intellirouter.core import Deployment, Timeouts, Upstream, UpstreamAddress, UpstreamRequest, errors
from intellirouter.testing import FAKE_MODELS, FakeClock, FakeProvider
from tests.support.mock_vendor.requests import chat, chat_body, document, joined

LIMIT = 1 << 20


def deployment(model: str, **timeouts: float) -> Deployment:
    return Deployment(
        name=f"fake/{model}",
        provider="fake",
        vendor="fake",
        upstream_model=model,
        address=UpstreamAddress(base_url="http://fake.invalid"),
        timeouts=Timeouts(**timeouts),
    )


async def ask(upstream: Upstream, model: str, *, timeouts: dict[str, float] | None = None, **fields: Any) -> Any:
    body = chat_body(**{"model": model, **fields})
    request = UpstreamRequest(path="/v1/chat/completions", body=body)
    return await upstream.send(deployment(model, **(timeouts or {})), request)


async def test_body_equals_that_of_mock_vendor() -> None:
    response = await ask(FakeProvider(FakeClock(epoch_us=1_000_000)), "echo")
    assert response.status == 200
    assert dict(response.headers)["content-type"] == "application/json"
    whole = document(chat())
    answered = json.loads(await response.read(LIMIT))
    assert answered["choices"][0]["message"]["content"] == "echo: hello"
    assert list(answered) == list(whole)
    assert answered["created"] == 1


async def test_stream_yields_one_event_per_chunk() -> None:
    response = await ask(FakeProvider(), "echo", stream=True)
    events = []
    while chunk := await response.next_chunk():
        events.append(chunk)
    assert len(events) > 3
    assert all(event.startswith(b"data: ") and event.endswith(b"\n\n") for event in events)
    assert events[-1] == b"data: [DONE]\n\n"
    assert await response.next_chunk() == b""


@pytest.mark.parametrize(
    ("model", "status"), [("error-400", 400), ("error-401", 401), ("error-429", 429), ("error-500", 500),
                          ("error-418", 418), ("nothing-such", 404), ("error-200", 404)],
)  # fmt: skip
async def test_error_models(model: str, status: int) -> None:
    response = await ask(FakeProvider(), model)
    assert response.status == status
    assert set(json.loads(await response.read(LIMIT))["error"]) == {"message", "type", "param", "code"}


async def test_rate_limit_reports_the_retry_delay() -> None:
    headers = dict((await ask(FakeProvider(), "error-429")).headers)
    assert headers["retry-after"] == "1"
    assert headers["retry-after-ms"] == "1000"


async def test_flaky_fails_every_second_call_of_each_deployment() -> None:
    upstream = FakeProvider()
    assert [(await ask(upstream, "flaky")).status for _ in range(4)] == [200, 500, 200, 500]


async def test_embeddings() -> None:
    body = b'{"model":"embed","input":["a","b"]}'
    request = UpstreamRequest(path="/embeddings?api-version=1", body=body)
    response = await FakeProvider().send(deployment("embed"), request)
    assert len(json.loads(await response.read(LIMIT))["data"]) == 2


async def test_malformed_is_not_valid_json() -> None:
    response = await ask(FakeProvider(), "malformed")
    assert response.status == 200
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(await response.read(LIMIT))


@pytest.mark.parametrize("is_stream", [False, True])
async def test_drop_cuts_in_the_middle(is_stream: bool) -> None:
    response = await ask(FakeProvider(), "drop", stream=is_stream)
    assert await response.next_chunk()
    with pytest.raises(errors.UpstreamDisconnected):
        await response.read(LIMIT)


@pytest.mark.parametrize("model", ["hang", "slow", "slow-60000"])
@pytest.mark.parametrize("limit", ["first_token_s", "total_s"])
async def test_timeouts_apply(model: str, limit: str) -> None:
    with pytest.raises(errors.UpstreamTimeout, match=limit):
        await ask(FakeProvider(), model, timeouts={limit: 0.02})


async def test_slow_answers_within_the_timeout() -> None:
    assert (await ask(FakeProvider(), "slow-20")).status == 200


async def test_hanging_call_can_be_canceled() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await ask(FakeProvider(), "hang")


async def test_response_above_the_limit_is_rejected() -> None:
    response = await ask(FakeProvider(), "lorem-500")
    with pytest.raises(errors.UpstreamMalformed):
        await response.read(100)
    assert await response.next_chunk() == b""


@pytest.mark.parametrize("end", ["abort", "release"])
async def test_no_chunks_after_the_end(end: str) -> None:
    response = await ask(FakeProvider(), "echo", stream=True)
    assert await response.next_chunk()
    getattr(response, end)()
    getattr(response, end)()
    assert await response.next_chunk() == b""


async def test_tool_calls_are_equal_in_stream_and_body() -> None:
    whole = json.loads(await (await ask(FakeProvider(), "tools")).read(LIMIT))
    streamed = await (await ask(FakeProvider(), "tools", stream=True, stream_options={"include_usage": True})).read(
        LIMIT
    )
    together = joined([json.loads(event[6:]) for event in streamed.split(b"\n\n") if event.startswith(b"data: {")])
    (call,) = whole["choices"][0]["message"]["tool_calls"]
    assert together["choices"][0]["tool_calls"][0]["arguments"] == call["function"]["arguments"]
    assert together["usage"] == whole["usage"]


async def test_every_listed_model_exists() -> None:
    upstream = FakeProvider()
    for model in FAKE_MODELS:
        if model not in {"hang", "slow"}:
            assert b"model_not_found" not in await _all_of(await ask(upstream, model))


async def _all_of(response: Any) -> bytes:
    try:
        whole: bytes = await response.read(LIMIT)
    except errors.UpstreamDisconnected:
        return b""
    return whole
