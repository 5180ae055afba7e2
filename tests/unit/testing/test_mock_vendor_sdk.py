"""MockVendor tested with OpenAI's SDK."""

import openai
import pytest
from openai import OpenAI

from intellirouter.testing import MockVendor
from tests.support.mock_vendor.requests import CLOCK, WEATHER, eventually

HELLO = [{"role": "user", "content": "hello"}]


def answer_text(client: OpenAI, fault: str | None = None, **fields: object) -> str | None:
    headers = {} if fault is None else {"x-mock-fault": fault}
    answer = client.chat.completions.create(model="m", messages=HELLO, extra_headers=headers, **fields)  # type: ignore[call-overload]
    content: str | None = answer.choices[0].message.content
    return content


def streamed(client: OpenAI, fault: str | None = None, **fields: object) -> str:
    headers = {} if fault is None else {"x-mock-fault": fault}
    stream = client.chat.completions.create(  # type: ignore[call-overload]
        model="m", messages=HELLO, stream=True, extra_headers=headers, **fields
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_chat_and_stream(client: OpenAI) -> None:
    assert answer_text(client) == "m: hello"
    assert streamed(client) == "m: hello"


def test_tool_calls_are_assembled_from_a_stream(client: OpenAI) -> None:
    messages = [{"role": "user", "content": 'call weather with {"city": "Oslo", "days": 4} and call clock'}]
    with client.chat.completions.stream(model="m", messages=messages, tools=[WEATHER, CLOCK]) as stream:  # type: ignore[arg-type]
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls is not None
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("weather", '{"city": "Oslo", "days": 4}'),
        ("clock", "{}"),
    ]


def test_embeddings_are_decoded(client: OpenAI) -> None:
    by_default = client.embeddings.create(model="e", input=["a b", "c"], dimensions=32)  # the SDK requests base64
    as_floats = client.embeddings.create(model="e", input=["a b", "c"], dimensions=32, encoding_format="float")
    assert by_default.data[0].embedding == pytest.approx(as_floats.data[0].embedding)
    assert len(by_default.data[1].embedding) == 32


def test_models(client: OpenAI) -> None:
    assert "mock-small" in [model.id for model in client.models.list()]
    assert client.models.retrieve("any/name").id == "any/name"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("error;status=400", openai.BadRequestError),
        ("error;status=500", openai.InternalServerError),
        ("rate_limit", openai.RateLimitError),
        ("drop", openai.APIConnectionError),
        ("drop;at=middle", openai.APIConnectionError),
        ("reset", openai.APIConnectionError),
        ("reset;at=body;after_bytes=5", openai.APIConnectionError),
    ],
)
def test_faults_become_errors_of_the_sdk(client: OpenAI, fault: str, error: type[openai.OpenAIError]) -> None:
    with pytest.raises(error):
        answer_text(client, fault)
    assert answer_text(client) == "m: hello"


@pytest.mark.parametrize("fault", ["hang", "slow;delay_s=9", "slow_first_token;delay_s=9", "hang;after_events=0"])
def test_hanging_answer_times_out(client: OpenAI, vendor: MockVendor, fault: str) -> None:
    with pytest.raises(openai.APITimeoutError):
        answer_text(client.with_options(timeout=0.1), fault)
    eventually(lambda: vendor.requests()[-1]["is_aborted"])


@pytest.mark.parametrize(
    "fault",
    ["malformed;how=split", "malformed;how=crlf", "malformed;how=comments", "malformed;how=no_space",
     "malformed;how=multi_line", "malformed;how=named_events", "extra;what=unknown_fields",
     "extra;what=usage_on_choice",
     "extra;what=empty_choices", "extra;what=reasoning", "slow_drip;delay_s=0;bytes=1", "close_after;how=announce"],
)  # fmt: skip
def test_valid_variants_are_understood(client: OpenAI, fault: str) -> None:
    assert streamed(client, fault, stream_options={"include_usage": True}) == "m: hello"


def test_error_event_ends_the_stream(client: OpenAI) -> None:
    with pytest.raises(openai.APIError, match="The server had an error"):
        streamed(client, "error_in_stream;after_events=1")


def test_cut_stream_is_an_error(client: OpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        streamed(client, "drop;at=events;after_events=2")


def test_retry_succeeds_after_an_error(client: OpenAI, vendor: MockVendor) -> None:
    vendor.fault("rate_limit", retry_after_s=0.01, times=2)
    assert answer_text(client.with_options(max_retries=2)) == "m: hello"
    assert [request["status"] for request in vendor.requests()] == [429, 429, 200]
