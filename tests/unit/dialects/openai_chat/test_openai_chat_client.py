"""The client side: rejected requests, encoded responses and streams."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import LossReport, Usage, errors
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Citation,
    CitationDelta,
    CustomTool,
    Event,
    Foreign,
    Media,
    Opaque,
    Part,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    ReasoningToken,
    Refusal,
    Response,
    Source,
    Stop,
    StopReason,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
    unwrap_token,
)
from intellirouter.dialects.openai_chat import CLIENT, UPSTREAM
from tests.support.dialects.openai_chat import DEPLOYMENT, call_of, validate_answer, validate_stream

USER = {"role": "user", "content": "hi"}
USAGE = Usage(
    input_tokens=5,
    cache_read_tokens=20,
    cache_write_tokens=3,
    output_tokens=7,
    reasoning_tokens=11,
    input_audio_tokens=2,
    output_audio_tokens=1,
)


def rejection(**members: Any) -> errors.InvalidRequest:
    with pytest.raises(errors.InvalidRequest) as caught:
        CLIENT.decode(call_of(**members))
    assert caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
            "messages[0].content[0].input_audio.data",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "a"}}]}]},
            "messages[0].content[0].file.file_data",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"tools": [{"type": "function", "function": {"name": "f", "strict": "yes"}}]}, "tools[0].function.strict"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].custom.name"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": []}}, "response_format.json_schema"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"top_k": "many"}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_k": 2**60}, "top_k"),
        ({"min_p": True}, "min_p"),
        ({"metadata": [1]}, "metadata"),
        ({"modalities": [1]}, "modalities[0]"),
    ],
)
def test_the_invalid_member_is_named(members: dict[str, Any], param: str) -> None:
    assert rejection(**members).param == param


def test_results_without_call_ids_are_matched_by_name_then_by_order() -> None:
    calls = [{"function": {"name": "a"}}, {"function": {"name": "b"}}]
    results = [{"role": "tool", "name": "b", "content": "2"}, {"role": "tool", "content": "1"}]
    conversation = CLIENT.decode(call_of(messages=[USER, {"role": "assistant", "tool_calls": calls}, *results]))
    found = [message.parts[0] for message in conversation.messages[2:]]
    assert [getattr(part, "call_id", None) for part in found] == ["call_1_1", "call_1_0"]


def test_generated_ids_are_the_same_for_the_same_history() -> None:
    """Otherwise the vendor's prompt cache would miss in every turn."""
    history = [USER, {"role": "assistant", "function_call": {"name": "f", "arguments": ""}}]
    assert CLIENT.decode(call_of(messages=history)) == CLIENT.decode(call_of(messages=history))


def choice_of(*parts: Part, reason: StopReason = "stop", **request: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the choice of a response with these parts, and how fields were lost."""
    losses = LossReport()
    response = Response(choices=[Choice(parts=list(parts), stop=Stop(reason=reason))])
    body = validate_answer(CLIENT.encode(response, call_of(**request), losses))
    choice: dict[str, Any] = body["choices"][0]
    return choice, {loss.field: loss.how for loss in losses.taken()}


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("context_length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),
        ("pause", "stop"),
        ("malformed_tool_call", "stop"),
        ("cancelled", "length"),
        ("error", "length"),
    ],
)
def test_finish_reasons(reason: StopReason, finish_reason: str) -> None:
    choice, _ = choice_of(Text(text="a"), reason=reason)
    assert choice["finish_reason"] == finish_reason


def test_the_finish_reason_of_calls_is_tool_calls() -> None:
    choice, _ = choice_of(ToolCall(id="c", name="f"))
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    choice, _ = choice_of(ToolCall(id="c", name="f", arguments='{"x": "cu'), reason="length")
    assert choice["finish_reason"] == "length"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"x": "cu'


def test_a_refusal_is_a_separate_member() -> None:
    choice, _ = choice_of(Refusal(text="No."), reason="refusal")
    assert (choice["message"]["content"], choice["message"]["refusal"], choice["finish_reason"]) == (
        None,
        "No.",
        "stop",
    )


def test_a_response_without_parts_has_empty_content() -> None:
    assert choice_of()[0]["message"] == {"role": "assistant", "content": "", "refusal": None}


def test_reasoning_and_its_tokens() -> None:
    token = Opaque(value="sig", origin="abc", dialect="anthropic_messages")
    redacted = Opaque(value="red", origin="abc", dialect="anthropic_messages")
    parts = [
        Reasoning(text="one", token=token),
        Reasoning(token=redacted, is_redacted=True),
        Reasoning(summary=["two", "three"]),
        Text(text="a"),
    ]
    message = choice_of(*parts)[0]["message"]
    assert message["reasoning_content"] == "one\n\ntwo\n\nthree"
    details = message["reasoning_details"]
    assert unwrap_token(details[0]["signature"], "") == token
    assert (details[0]["text"], details[1]["type"]) == ("one", "reasoning.encrypted")
    assert unwrap_token(details[1]["data"], "") == redacted
    back = CLIENT.decode(call_of(messages=[USER, message, USER])).messages[1].parts
    assert back[:2] == parts[:2]


def test_reasoning_that_consists_of_a_signature_is_kept() -> None:
    token = Opaque(value="sig", origin="abc", dialect="anthropic_messages")
    message = choice_of(Reasoning(token=token), Text(text="a"))[0]["message"]
    assert "reasoning_content" not in message
    assert CLIENT.decode(call_of(messages=[USER, message])).messages[1].parts[0] == Reasoning(token=token)


def test_signatures_of_calls_are_wrapped() -> None:
    calls = [
        ToolCall(id="c1", name="f", token=Opaque(value="g", origin="o", dialect="gemini")),
        ToolCall(id="c2", name="f", token=Opaque(value="x", origin="o", dialect="bedrock")),
    ]
    message = choice_of(*calls)[0]["message"]
    first, second = (call["extra_content"]["google"]["thought_signature"] for call in message["tool_calls"])
    assert unwrap_token(first, "gemini") == Opaque(value="g", origin="o", dialect="gemini")
    assert unwrap_token(second, "gemini") == Opaque(value="x", origin="o", dialect="bedrock")


def test_offsets_of_citations_refer_to_the_whole_content() -> None:
    cited = Citation(kind="url", url="https://example.org", title="T", start=1, end=3)
    unknown = Citation(kind="url", url="https://example.org")
    page = Citation(kind="document", document_index=0)
    choice, losses = choice_of(Text(text="abc"), Text(text="defg", citations=[cited, unknown, page]))
    places = [
        (each["url_citation"]["start_index"], each["url_citation"]["end_index"])
        for each in choice["message"]["annotations"]
    ]
    assert (choice["message"]["content"], places) == ("abcdefg", [(4, 6), (3, 7)])
    assert losses == {"choices[].message.annotations": "dropped"}


def test_parts_of_other_dialects_are_reported_as_losses() -> None:
    foreign = Foreign(dialect="anthropic_messages", kind="server_tool_use", raw={})
    assert choice_of(foreign, Text(text="a"))[1] == {"choices[].message.content": "dropped"}


def test_usage_has_openais_counts() -> None:
    response = Response(choices=[Choice(stop=Stop(reason="stop"))], usage=USAGE, service_tier="standard")
    body = validate_answer(CLIENT.encode(response, call_of(), LossReport()))
    assert body["usage"] == {
        "prompt_tokens": 30,
        "completion_tokens": 19,
        "total_tokens": 49,
        "prompt_tokens_details": {"cached_tokens": 20, "audio_tokens": 2, "cache_write_tokens": 3},
        "completion_tokens_details": {
            "reasoning_tokens": 11,
            "audio_tokens": 1,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    assert "service_tier" not in body
    assert body["id"].startswith("chatcmpl-")
    assert body["created"] > 1_700_000_000


FUNCTIONS = {"functions": [{"name": "f"}]}


def test_clients_with_functions_get_function_calls() -> None:
    choice, _ = choice_of(ToolCall(id="c", name="f", arguments='{"a":1}'), **FUNCTIONS)
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert ("tool_calls" in choice["message"], choice["finish_reason"]) == (False, "function_call")
    events = [
        ToolCallStarted(id="c", name="f"),
        ArgumentsDelta(text='{"a":1}'),
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    chunks = streamed(*events, **FUNCTIONS)
    deltas = [chunk["choices"][0]["delta"].get("function_call") for chunk in chunks]
    assert deltas == [None, {"name": "f", "arguments": ""}, {"arguments": '{"a":1}'}, None]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


CUSTOM = {"tools": [{"type": "custom", "custom": {"name": "code"}}]}


@pytest.mark.parametrize(("arguments", "text"), [('{"input":"1+1"}', "1+1"), ("1+1", "1+1"), ('{"x":1}', '{"x":1}')])
def test_calls_of_emulated_custom_tools_are_custom_calls(arguments: str, text: str) -> None:
    call = call_of(**CUSTOM)
    call.conversation = CLIENT.decode(call)
    assert isinstance(call.conversation.tools[0], CustomTool)
    response = Response(choices=[Choice(parts=[ToolCall(id="c", name="code", arguments=arguments)])])
    body = validate_answer(CLIENT.encode(response, call, LossReport()))
    assert body["choices"][0]["message"]["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "code", "input": text}}
    ]
    encoder = CLIENT.stream(call, LossReport())
    events = [
        ToolCallStarted(id="c", name="code"),
        ArgumentsDelta(text=arguments[:4]),
        ArgumentsDelta(text=arguments[4:]),
    ]
    stream = encoder.encode(events) + encoder.encode([ChoiceFinished(stop=Stop(reason="tool_calls"))]) + encoder.end()
    calls = [call for chunk in validate_stream(stream) for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert [call["custom"] for call in calls] == [{"name": "code", "input": ""}, {"input": text}]


def streamed(*events: Event, wants_usage: bool = False, **request: Any) -> list[dict[str, Any]]:
    call = call_of(stream=True, stream_options={"include_usage": wants_usage}, **request)
    encoder = CLIENT.stream(call, LossReport())
    out = b"".join(encoder.encode([event]) for event in events)
    return validate_stream(out + encoder.end(), wants_usage=wants_usage)


STOP = ChoiceFinished(stop=Stop(reason="stop"))


def deltas(*events: Event) -> list[dict[str, Any]]:
    """Return the deltas between the role and the finish reason."""
    chunks = streamed(*events, STOP)
    return [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]]


def test_all_chunks_have_the_same_id_and_time_and_model() -> None:
    began = StreamStarted(
        id="up-1", model="upstream-model", created_s=5, service_tier="standard", system_fingerprint="fp"
    )
    chunks = streamed(began, TextDelta(text="a"), STOP)
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {("up-1", 5, "upstream-model")}
    assert "service_tier" not in chunks[0]
    assert chunks[0]["system_fingerprint"] == "fp"


def test_the_usage_chunk_is_sent_on_request_only_and_has_no_choices() -> None:
    events = [StreamStarted(usage=Usage(input_tokens=1)), TextDelta(text="a"), UsageUpdate(usage=USAGE), STOP]
    assert all(chunk["choices"] for chunk in streamed(*events))
    last = streamed(*events, wants_usage=True)[-1]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 49)
    assert all(chunk["choices"] for chunk in streamed(TextDelta(text="a"), STOP, wants_usage=True))


def test_interleaved_calls_keep_their_index() -> None:
    found = deltas(
        ToolCallStarted(id="c1", name="a", part=0),
        ToolCallStarted(id="c2", name="b", part=1),
        ArgumentsDelta(text="{", part=1),
        ArgumentsDelta(text='{"x":1}', part=0),
        ArgumentsDelta(text="}", part=1),
    )
    calls = [delta["tool_calls"][0] for delta in found]
    assert [call["index"] for call in calls] == [0, 1, 1, 0, 1]
    assert [call.get("id") for call in calls] == ["c1", "c2", None, None, None]


def test_a_call_without_arguments_gets_an_empty_object() -> None:
    began, ended = ToolCallStarted(id="c", name="f"), PartEnded()
    for events in ([began, ended], [began], [began, ArgumentsDelta(text=""), ended, ended]):
        texts = [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas(*events)]
        assert "".join(texts) == "{}"


def test_the_first_text_after_reasoning_is_not_lost() -> None:
    found = deltas(ReasoningDelta(text="hm", part=0), PartEnded(part=0), TextDelta(text="first", part=1))
    assert found == [{"reasoning_content": "hm"}, {"content": "first"}]


def test_parts_of_reasoning_are_separated_like_in_a_complete_response() -> None:
    found = deltas(
        ReasoningDelta(text="one", part=0, is_summary=True),
        ReasoningDelta(text="two", part=0, is_summary=True, summary_index=1),
        ReasoningDelta(text="three", part=1),
        ReasoningToken(token=Opaque(value="s", origin="o", dialect="anthropic_messages"), part=1),
    )
    assert "".join(delta.get("reasoning_content", "") for delta in found) == "one\n\ntwo\n\nthree"
    assert found[-1]["reasoning_details"][0]["signature"].startswith("irt1.anthropic_messages.o.")


def test_citations_and_images_in_a_stream() -> None:
    image = Media(kind="image", source=Source(data="AAAA", media_type="image/png"))
    found = deltas(
        TextDelta(text="abc"),
        TextDelta(text="def", part=1),
        CitationDelta(citation=Citation(url="https://example.org"), part=1),
        WholePart(value=image, part=2),
    )
    cited = found[2]["annotations"][0]["url_citation"]
    assert (cited["start_index"], cited["end_index"]) == (3, 6)
    assert found[3] == {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}


def test_each_choice_has_a_role_and_a_finish_reason() -> None:
    chunks = streamed(
        TextDelta(text="a"),
        TextDelta(text="b", choice=1),
        STOP,
        STOP,
        ChoiceFinished(stop=Stop(reason="length"), choice=1),
    )
    assert [chunk["choices"][0]["index"] for chunk in chunks] == [0, 0, 1, 1, 0, 1]


def test_logprobs_are_sent_with_their_text() -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    chunks = streamed(TextDelta(text="a", logprobs=[token]), STOP)
    assert chunks[1]["choices"][0]["logprobs"] == {"content": [token], "refusal": None}


def test_texts_are_escaped() -> None:
    text = 'a"\\\n\u2028\x00東'
    assert deltas(TextDelta(text=text)) == [{"content": text}]


def test_an_error_in_a_stream_is_an_event_for_which_the_sdk_raises() -> None:
    encoder = CLIENT.stream(call_of(stream=True), LossReport())
    event = encoder.fail(errors.UpstreamUnavailable("Failed."))
    assert json.loads(event.removeprefix(b"data: "))["error"]["message"] == "Failed."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PART = st.dictionaries(
    st.sampled_from(("type", "text", "image_url", "input_audio", "file", "video_url", "refusal", "cache_control")),
    st.sampled_from(("text", "image_url", "input_audio", "file", "refusal", "data:,x", "thinking")) | JSON,
    max_size=4,
)
MESSAGE = st.dictionaries(
    st.sampled_from(
        (
            "content",
            "name",
            "tool_calls",
            "tool_call_id",
            "function_call",
            "reasoning_details",
            "audio",
            "cache_control",
        )
    ),
    st.lists(PART, max_size=2) | JSON,
    max_size=4,
).flatmap(
    lambda rest: st.sampled_from(("user", "assistant", "tool", "function", "system")).map(
        lambda role: {**rest, "role": role}
    )
)
MEMBERS = st.dictionaries(
    st.sampled_from(
        (
            "tools",
            "tool_choice",
            "functions",
            "function_call",
            "response_format",
            "reasoning",
            "thinking",
            "enable_thinking",
            "stop",
            "logit_bias",
            "metadata",
            "stream_options",
            "modalities",
        )
    ),
    JSON | st.lists(PART, max_size=2),
    max_size=3,
)


@given(st.lists(MESSAGE, min_size=1, max_size=3), MEMBERS)
def test_generated_requests_are_decoded_or_rejected(messages: list[Any], members: dict[str, Any]) -> None:
    try:
        conversation = CLIENT.decode(call_of(messages=messages, **members))
    except errors.InvalidRequest:
        return
    with contextlib.suppress(errors.UnsupportedFeature):
        UPSTREAM.encode(conversation, DEPLOYMENT, LossReport())
