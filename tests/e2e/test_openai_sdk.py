"""The official `openai` SDK with a real gateway: what it returns and what it raises."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import INPUT_USD, KEYS, OUTPUT_USD
from tests.support.gateway.process import GatewayProcess, until

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
CITIES: list[Any] = [
    {"role": "user", "content": 'call weather with {"city": "Paris"} and call weather with {"city": "Oslo"}'}
]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PERSON: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=KEYS["ann"], max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
async def async_client(gateway: GatewayProcess) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=KEYS["ann"], max_retries=0, timeout=10) as client:
        yield client


def collected(chunks: Any) -> tuple[str, str | None, dict[int, tuple[str, str]], Any]:
    """Return text, finish reason, tool calls and usage of a stream, accumulated as an application would do it."""
    text, finish, usage = "", None, None
    calls: dict[int, tuple[str, str]] = {}
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                name, arguments = calls.get(piece.index, ("", ""))
                calls[piece.index] = (name + (piece.function.name or ""), arguments + (piece.function.arguments or ""))
    return text, finish, calls, usage


@pytest.mark.parametrize("model", ["assistant", "priced", "mock/free", "team/deep/name", "fake/echo"])
@pytest.mark.parametrize("stream", [False, True])
def test_chat_completion(client: OpenAI, model: str, stream: bool) -> None:
    answer = client.chat.completions.create(model=model, messages=HELLO, stream=stream)
    if stream:
        text, finish, _, usage = collected(answer)
        assert usage is None  # usage was not requested
    else:
        text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert text.endswith(": hello")
    assert finish == "stop"


@pytest.mark.parametrize("stream", [False, True])
async def test_async_client_chat_completion(async_client: AsyncOpenAI, stream: bool) -> None:
    async def one(text: str) -> str:
        messages: Any = [{"role": "user", "content": text}]
        answer = await async_client.chat.completions.create(model="assistant", messages=messages, stream=stream)
        if not stream:
            return str(answer.choices[0].message.content)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])

    texts = [f"number {number}" for number in range(40)]
    said = await asyncio.gather(*map(one, texts))
    assert said == [f"priced-upstream: {text}" for text in texts]


@pytest.mark.parametrize("stream", [False, True])
def test_unicode_is_unchanged(client: OpenAI, stream: bool) -> None:
    text = 'žluťoučký kůň 漢字 \U0001f9d1\u200d\U0001f680 \u2028 \x00 \\ " \n end'
    messages: Any = [{"role": "user", "content": text}]
    answer = client.chat.completions.create(model="assistant", messages=messages, stream=stream)
    said = collected(answer)[0] if stream else answer.choices[0].message.content
    assert said == f"priced-upstream: {text}"


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tool_calls(client: OpenAI, stream: bool) -> None:
    answer = client.chat.completions.create(model="assistant", messages=CITIES, tools=[WEATHER], stream=stream)
    if stream:
        _, finish, calls, _ = collected(answer)
        found = [calls[index] for index in sorted(calls)]
    else:
        finish = answer.choices[0].finish_reason
        found = [(call.function.name, call.function.arguments) for call in answer.choices[0].message.tool_calls]
    assert finish == "tool_calls"
    assert [(name, json.loads(arguments)) for name, arguments in found] == [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Oslo"}),
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_tool_result_is_answered_with_text(client: OpenAI, stream: bool) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    messages: Any = [
        *CITIES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    answer = client.chat.completions.create(model="assistant", messages=messages, tools=[WEATHER], stream=stream)
    said = collected(answer)[0] if stream else answer.choices[0].message.content
    assert said == "priced-upstream: sunny"


@pytest.mark.parametrize("stream", [False, True])
def test_structured_output(client: OpenAI, stream: bool) -> None:
    answer = client.chat.completions.create(
        model="assistant", messages=HELLO, response_format=PERSON, stream=stream, max_tokens=200
    )
    person = json.loads(collected(answer)[0] if stream else answer.choices[0].message.content)
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)


def test_stream_of_the_sdk_accumulates_the_answer(client: OpenAI) -> None:
    with client.chat.completions.stream(model="assistant", messages=HELLO) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "priced-upstream: hello"
    assert {"chunk", "content.delta", "content.done"} <= set(events)


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices(client: OpenAI, stream: bool) -> None:
    answer = client.chat.completions.create(model="assistant", messages=HELLO, n=3, stream=stream)
    texts = ["", "", ""]
    if stream:
        for chunk in answer:
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
    else:
        texts = [choice.message.content for choice in answer.choices]
    assert texts == ["priced-upstream: hello", "priced-upstream: hello [1]", "priced-upstream: hello [2]"]


@pytest.mark.parametrize("stream", [False, True])
def test_token_limit_has_finish_reason_length(client: OpenAI, stream: bool) -> None:
    answer = client.chat.completions.create(model="mock/gen-50", messages=HELLO, max_tokens=7, stream=stream)
    finish = collected(answer)[1] if stream else answer.choices[0].finish_reason
    assert finish == "length"


def test_stream_usage_equals_that_of_a_complete_answer(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="assistant", messages=HELLO)
    stream = client.chat.completions.create(
        model="assistant", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert [chunk for chunk in chunks if chunk.usage] == [chunks[-1]]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"include_usage": True}])
def test_stream_cost_is_recorded_without_a_usage_request(client: OpenAI, gateway: GatewayProcess, options: Any) -> None:
    asked: Any = {} if options is None else {"stream_options": options}
    with client.chat.completions.with_streaming_response.create(
        model="assistant", messages=HELLO, stream=True, **asked
    ) as answer:
        body = answer.read().decode()
    assert ('"usage"' in body) is bool(options and options["include_usage"])
    record = gateway.record(answer.headers["x-request-id"])
    assert record["usage"] == {"input_tokens": 8, "output_tokens": 3}
    assert record["cost_microusd"] == round(8 * INPUT_USD + 3 * OUTPUT_USD)


@pytest.mark.parametrize("model", ["mock/text-embed", "fake/embed"])
@pytest.mark.parametrize("form", ["float", "base64", None])
def test_embeddings(client: OpenAI, model: str, form: Any) -> None:
    asked = {} if form is None else {"encoding_format": form}
    answer = client.embeddings.create(model=model, input=["red apple", "red apples", "tax law"], **asked)
    assert [row.index for row in answer.data] == [0, 1, 2]
    first = answer.data[0].embedding
    if form == "base64":
        assert isinstance(first, str)
    else:
        floats = client.embeddings.create(model=model, input="red apple", encoding_format="float").data[0].embedding
        assert first == pytest.approx(floats, abs=1e-6)
    assert answer.usage.prompt_tokens > 0


def test_models_are_listed_and_retrieved(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"assistant", "team/deep/name", "priced", "plain"} <= set(names)
    assert len(names) == len(set(names))
    for name in ("assistant", "team/deep/name", "mock/any-model-at-all", "fake/echo"):
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/knows-this")


def test_key_sees_and_uses_only_its_models(gateway: GatewayProcess) -> None:
    with OpenAI(base_url=gateway.base_url, api_key=KEYS["narrow"], max_retries=0) as narrow:
        assert all(model.id.startswith("fake/") for model in narrow.models.list())
        assert narrow.chat.completions.create(model="fake/echo", messages=HELLO).choices
        with pytest.raises(openai.NotFoundError) as caught:
            narrow.chat.completions.create(model="assistant", messages=HELLO)
        with pytest.raises(openai.NotFoundError):
            narrow.models.retrieve("assistant")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def failure(vendor: MockVendor, model: str, kind: str, **params: Any) -> str:
    """Make the vendor fail for one model name, and return the name that clients of the gateway use."""
    vendor.fault(kind, match={"model": model}, **params)
    return f"mock/{model}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("wrong", "param", "code"),
    [
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": [{"role": "pirate", "content": "arr"}]}, "messages[0].role", "invalid_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter"),
    ],
)
def test_invalid_request_raises_bad_request_error(
    client: OpenAI, stream: bool, wrong: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": "assistant", "messages": HELLO, "stream": stream, **wrong})
    assert (caught.value.param, caught.value.code, caught.value.type) == (param, code, "invalid_request_error")
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ({"kind": "error", "status": 400, "code": "content_policy"}, openai.BadRequestError, "content_policy"),
        ({"kind": "error", "status": 422, "code": "odd"}, openai.UnprocessableEntityError, "odd"),
        ({"kind": "error", "status": 401}, openai.InternalServerError, "upstream_authentication_failed"),
        ({"kind": "error", "status": 500}, openai.InternalServerError, "upstream_unavailable"),
        ({"kind": "error", "status": 503}, openai.InternalServerError, "upstream_unavailable"),
        ({"kind": "drop"}, openai.InternalServerError, "upstream_disconnected"),
        ({"kind": "malformed"}, openai.InternalServerError, "upstream_malformed"),
    ],
)
def test_vendor_failure_raises_the_matching_class(
    client: OpenAI, vendor: MockVendor, stream: bool, fault: dict[str, Any], expected: Any, code: str
) -> None:
    model = failure(vendor, f"sdk-{fault['kind']}-{fault.get('status')}-{stream}", **fault)
    with pytest.raises(expected) as caught:
        client.chat.completions.create(model=model, messages=HELLO, stream=stream)
    assert caught.value.request_id.startswith("req_")
    assert caught.value.code == code


@pytest.mark.parametrize("stream", [False, True])
def test_unknown_model_raises_not_found_error(client: OpenAI, stream: bool) -> None:
    for model in ("nobody-knows-this", "mock/no-such-model"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model=model, messages=HELLO, stream=stream)
        assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
def test_rate_limit_raises_with_retry_after(client: OpenAI, vendor: MockVendor, stream: bool) -> None:
    model = failure(vendor, f"sdk-limited-{stream}", "rate_limit", retry_after_s=7)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=model, messages=HELLO, stream=stream)
    assert caught.value.code == "rate_limit_exceeded"
    assert 6 <= int(caught.value.response.headers["retry-after"]) <= 7
    assert 6000 <= int(caught.value.response.headers["retry-after-ms"]) <= 7000


def test_sdk_retry_follows_retry_after(gateway: GatewayProcess, vendor: MockVendor) -> None:
    model = failure(vendor, "sdk-limited-once", "rate_limit", retry_after_s=0.2, times=1)
    with OpenAI(base_url=gateway.base_url, api_key=KEYS["ann"], max_retries=1) as patient:
        answer = patient.chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].message.content == "sdk-limited-once: hello"
    first, second = [seen for seen in vendor.requests() if seen["model"] == "sdk-limited-once"]
    assert second["arrived_us"] - first["arrived_us"] >= 150_000


def test_rejected_key_raises_authentication_error(gateway: GatewayProcess) -> None:
    for key, code in (("sk-nobody-0123456789abcdef", "invalid_api_key"), (KEYS["late"], "expired_api_key")):
        with (
            OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as stranger,
            pytest.raises(openai.AuthenticationError) as caught,
        ):
            stranger.chat.completions.create(model="assistant", messages=HELLO)
        assert caught.value.code == code
        assert key not in str(caught.value)


@pytest.mark.parametrize("stream", [False, True])
def test_client_timeout_aborts_the_vendor_request(client: OpenAI, vendor: MockVendor, stream: bool) -> None:
    name = f"sdk-silent-{stream}"
    model = failure(vendor, name, "hang")
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=model, messages=HELLO, stream=stream, timeout=0.3)
    until(
        lambda: any(seen["is_aborted"] for seen in vendor.requests() if seen["model"] == name),
        "the vendor sees the abort",
        3,
    )


def test_error_within_a_stream_raises(client: OpenAI, vendor: MockVendor) -> None:
    for how, params in (("drop", {"at": "events", "after_events": 3}), ("error_in_stream", {"after_events": 2})):
        model = failure(vendor, f"sdk-middle-{how}", how, **params)
        seen = 0
        with pytest.raises(openai.APIError) as caught:  # noqa: PT012 - the error comes while reading
            for _ in client.chat.completions.create(model=model, messages=HELLO, stream=True):
                seen += 1
        assert seen > 0
        assert caught.value.message
