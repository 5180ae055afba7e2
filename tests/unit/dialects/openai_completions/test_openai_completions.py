"""Legacy completions: relayed, or translated as conversations."""

import json
from typing import Any

import pytest
from openai.types import Completion

from intellirouter.core import Deployment, LossReport, UpstreamAddress, Usage, errors
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Event,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Response,
    Stop,
    StopReason,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    UsageUpdate,
)
from intellirouter.dialects.openai_completions import CLIENT, CompletionsPassthrough
from intellirouter.dialects.wire.sse import SseParser
from tests.support.dialects.openai_schemas import validator

PASSTHROUGH = CompletionsPassthrough()
UP = Deployment(name="up", provider="p", vendor="v", upstream_model="um", address=UpstreamAddress(base_url="http://x"))
TOKEN = {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": None}]}


def call_of(**members: Any) -> Any:
    return CLIENT.decode_request(json.dumps({"model": "m", "prompt": "Once", **members}).encode())


def test_the_passthrough_replaces_the_model_and_requests_usage() -> None:
    request = PASSTHROUGH.encode_request(call_of(stream=True, best_of=2), UP)
    assert request.path == "/completions"
    assert json.loads(request.body) == {
        "model": "um",
        "prompt": "Once",
        "stream": True,
        "best_of": 2,
        "stream_options": {"include_usage": True},
    }


def test_usage_and_finish_reason_of_relayed_answers_are_decoded() -> None:
    body = {
        "choices": [{"text": "x", "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    answer = PASSTHROUGH.decode_response(json.dumps(body).encode())
    assert (answer.usage, answer.finish_reason) == (Usage(input_tokens=1, output_tokens=2), "length")
    relay = PASSTHROUGH.relay(call_of(stream=True))
    wire = b'data: {"choices":[{"index":0,"text":"x","finish_reason":null}]}\n\n'
    assert relay.feed(wire) == wire
    assert relay.has_content
    assert relay.feed(b'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    assert (relay.finish_reason, relay.end()) == ("stop", b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 200}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"prompt": []}, "prompt"),
        ({"model": ""}, "model"),
        ({"prompt": 5}, "prompt"),
    ],
)
def test_invalid_requests_are_rejected(members: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        call_of(**members)
    assert caught.value.param == param


def test_the_prompt_becomes_a_user_message() -> None:
    conversation = CLIENT.decode(
        call_of(temperature=0.5, stop="END", seed=3, user="u", best_of=2, logprobs=2, n=2, stream=True)
    )
    assert [(message.role, message.parts) for message in conversation.messages] == [("user", [Text(text="Once")])]
    sampling = conversation.sampling
    assert (sampling.temperature, sampling.stop, sampling.seed, sampling.n, sampling.top_logprobs) == (
        0.5,
        ["END"],
        3,
        2,
        2,
    )
    assert (sampling.logprobs, conversation.user, conversation.is_stream, conversation.extras) == (
        True,
        "u",
        True,
        {"best_of": 2},
    )
    assert conversation.dialect == "openai_completions"


def test_the_default_limit_is_sixteen_tokens() -> None:
    assert CLIENT.decode(call_of()).sampling.max_output_tokens == 16
    assert CLIENT.decode(call_of(max_tokens=99)).sampling.max_output_tokens == 99


def test_a_list_of_one_prompt_is_that_prompt() -> None:
    assert CLIENT.decode(call_of(prompt=["One"])).messages[0].parts == [Text(text="One")]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1]]}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"echo": True, "max_tokens": 0}, "echo"),
    ],
)
def test_requests_that_a_chat_cannot_express_are_rejected(members: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        CLIENT.decode(call_of(**members))
    assert caught.value.param == param


def test_a_missing_prompt_is_rejected() -> None:
    with pytest.raises(errors.InvalidRequest, match="prompt"):
        CLIENT.decode(call_of(prompt=None))


def choice_of(*parts: Any, reason: StopReason = "stop", **request: Any) -> tuple[dict[str, Any], dict[str, str]]:
    losses = LossReport()
    response = Response(choices=[Choice(parts=list(parts), stop=Stop(reason=reason))], usage=Usage(input_tokens=1))
    body = json.loads(CLIENT.encode(response, call_of(**request), losses))
    validator("CreateCompletionResponse").validate(body)
    Completion.model_validate(body)
    assert (body["model"], body["object"], body["usage"]["total_tokens"]) == ("m", "text_completion", 1)
    return body["choices"][0], {loss.field: loss.how for loss in losses.taken()}


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        ("refusal", "content_filter"),
    ],
)
def test_a_complete_response(reason: StopReason, finish_reason: str) -> None:
    choice, losses = choice_of(Text(text=" upon"), Text(text=" a"), reason=reason)
    assert choice == {"text": " upon a", "index": 0, "logprobs": None, "finish_reason": finish_reason}
    assert losses == {}


def test_echo_adds_the_prompt_to_the_text() -> None:
    assert choice_of(Text(text=" upon"), echo=True)[0]["text"] == "Once upon"


def test_parts_other_than_text_are_reported_as_losses() -> None:
    choice, losses = choice_of(ToolCall(id="c", name="f"), Refusal(text="No."))
    assert (choice["text"], losses) == ("No.", {"choices[].text": "dropped"})


def test_logprobs_have_four_lists() -> None:
    choice, _ = choice_of(Text(text="aa", logprobs=[TOKEN, TOKEN]), logprobs=1)
    assert choice["logprobs"] == {
        "tokens": ["a", "a"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"b": -1.0}, {"b": -1.0}],
        "text_offset": [0, 1],
    }


def streamed(*events: Event, wants_usage: bool = False, **request: Any) -> list[dict[str, Any]]:
    encoder = CLIENT.stream(
        call_of(stream=True, stream_options={"include_usage": wants_usage}, **request), LossReport()
    )
    wire = b"".join(encoder.encode([event]) for event in events) + encoder.end()
    data = [event.data for event in SseParser().feed(wire)]
    assert data.pop() == "[DONE]"
    chunks: list[dict[str, Any]] = [json.loads(each) for each in data]
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {("text_completion", "m")}
    assert all(("usage" in chunk) is wants_usage for chunk in chunks)
    return chunks


STOP = ChoiceFinished(stop=Stop(reason="stop"))


def test_a_stream() -> None:
    events = [StreamStarted(id="x", created_s=5), ReasoningDelta(text="hm"), TextDelta(text=" upon", part=1), STOP]
    choices = [chunk["choices"][0] for chunk in streamed(*events, UsageUpdate(usage=Usage(input_tokens=1)))]
    assert [(choice["text"], choice["finish_reason"]) for choice in choices] == [(" upon", None), ("", "stop")]
    with_usage = streamed(*events, UsageUpdate(usage=Usage(input_tokens=1)), wants_usage=True)
    assert (with_usage[-1]["choices"], with_usage[-1]["usage"]["prompt_tokens"]) == ([], 1)
    assert with_usage[0]["usage"] is None


def test_a_stream_with_echo_and_log_probabilities() -> None:
    chunks = streamed(TextDelta(text="a", logprobs=[TOKEN]), TextDelta(text="a", logprobs=[TOKEN]), STOP)
    assert [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks[:2]] == [[0], [1]]
    chunks = streamed(TextDelta(text="a"), TextDelta(text="b", choice=1), RefusalDelta(text="No"), STOP, echo=True)
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["Once", "a", "Once", "b", "No", ""]


def test_an_error_in_a_stream_is_an_error_event() -> None:
    encoder = CLIENT.stream(call_of(stream=True), LossReport())
    assert json.loads(encoder.fail(errors.UpstreamUnavailable("Failed."))[6:])["error"]["message"] == "Failed."
