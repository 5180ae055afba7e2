"""Responses and client streams are written as OpenAI's API requires: order, reasoning, custom tools, failures."""

import json
from typing import Any

import pytest

from intellirouter.core import EMPTY_CONTEXT, Call, LossReport, Usage, errors
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Citation,
    Event,
    Foreign,
    Media,
    Opaque,
    Part,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
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
    events_of,
)
from intellirouter.dialects.openai_responses import CLIENT
from tests.support.dialects.openai_responses import read_events, validate_event, validate_response, write_stream

_PATCH_TOOL = {"type": "custom", "name": "apply_patch"}
_NAMESPACE = {"type": "namespace", "name": "fs", "description": "d", "tools": [{"type": "function", "name": "read"}]}


def call_of(**body: Any) -> Call:
    return CLIENT.decode_request(json.dumps({"model": "m", "input": "x"} | body).encode(), EMPTY_CONTEXT)


def stream(events: list[Event], **body: Any) -> list[dict[str, Any]]:
    return write_stream(CLIENT.stream(call_of(**body), LossReport()), events)


def encoded(*parts: Part, reason: StopReason = "stop", losses: LossReport | None = None, **body: Any) -> dict[str, Any]:
    answer = Response(choices=[Choice(parts=list(parts), stop=Stop(reason=reason))], usage=Usage())
    response: dict[str, Any] = json.loads(CLIENT.encode(answer, call_of(**body), losses or LossReport()))
    validate_response(response)
    return response


def kinds(sent: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in sent]


def types(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


def test_the_events_of_a_text_have_the_order_of_the_reference() -> None:
    sent = stream([TextDelta(text="a"), TextDelta(text="b"), ChoiceFinished(stop=Stop(reason="stop"))])
    assert kinds(sent) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_there_is_no_done_marker() -> None:
    writer = CLIENT.stream(call_of(), LossReport())
    assert b"[DONE]" not in writer.encode([TextDelta(text="a")]) + writer.end()


def test_reasoning_is_closed_before_the_text_begins() -> None:
    """Codex keeps items in the order of their `output_item.done`."""
    sent = kinds(
        stream(
            [ReasoningDelta(text="hm", part=0), TextDelta(text="a", part=1), ChoiceFinished(stop=Stop(reason="stop"))]
        )
    )
    assert sent.index("output_item.done") < sent.index("output_text.delta")


def test_text_after_a_call_opens_another_message() -> None:
    events: list[Event] = [
        TextDelta(text="a", part=0),
        ToolCallStarted(id="c1", name="f", part=1),
        ArgumentsDelta(text="{", part=1),
        TextDelta(text="b", part=0),
        ArgumentsDelta(text="}", part=1),
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    response = stream(events)[-1]["response"]
    assert types(response) == ["message", "function_call", "message"]
    assert response["output"][1]["arguments"] == "{}"


def test_consecutive_texts_are_parts_of_one_message() -> None:
    parts = [Text(text="a"), Text(text="b")]
    (message,) = encoded(*parts)["output"]
    assert [part["text"] for part in message["content"]] == ["a", "b"]


def test_parallel_calls_may_interleave() -> None:
    events: list[Event] = [
        ToolCallStarted(id="c1", name="f", part=0),
        ToolCallStarted(id="c2", name="g", part=1),
        ArgumentsDelta(text='{"a"', part=0),
        ArgumentsDelta(text='{"b"', part=1),
        ArgumentsDelta(text=":1}", part=0),
        ArgumentsDelta(text=":2}", part=1),
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    output = stream(events)[-1]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [("c1", '{"a":1}'), ("c2", '{"b":2}')]


def test_a_complete_call_is_closed_before_the_next_one_begins() -> None:
    events: list[Event] = [
        ToolCallStarted(id="c1", name="f", part=0),
        PartEnded(part=0),
        ToolCallStarted(id="c2", name="g", part=1),
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    sent = kinds(stream(events))
    assert sent.index("output_item.done") < len(sent) - 1 - sent[::-1].index("output_item.added")


def test_arguments_are_never_empty() -> None:
    (item,) = stream([ToolCallStarted(id="c1", name="f"), ChoiceFinished(stop=Stop(reason="tool_calls"))])[-1][
        "response"
    ]["output"]
    assert item["arguments"] == "{}"


def test_an_empty_delta_opens_no_message() -> None:
    """Upstreams of the chat dialect send an empty content before tool calls."""
    events: list[Event] = [
        TextDelta(text=""),
        ReasoningDelta(text="", part=1),
        ToolCallStarted(id="c1", name="f", part=2),
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    assert types(stream(events)[-1]["response"]) == ["function_call"]


def test_a_response_without_parts_has_an_empty_message() -> None:
    (message,) = encoded()["output"]
    assert message["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]


def test_usage_details_are_never_null() -> None:
    assert encoded(Text(text="a"))["usage"] == {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }


def test_usage_that_the_upstream_does_not_report_is_estimated() -> None:
    losses = LossReport()
    whole = json.loads(CLIENT.encode(Response(choices=[Choice(parts=[Text(text="w" * 9)])]), call_of(), losses))
    streamed = stream([StreamStarted(), TextDelta(text="w" * 5), TextDelta(text="w" * 4)])[-1]["response"]
    for response in (whole, streamed):
        usage = response["usage"]
        assert usage["input_tokens"] == call_of().estimated_input_tokens() > 0
        assert (usage["output_tokens"], usage["total_tokens"]) == (3, usage["input_tokens"] + 3)
    assert [str(loss) for loss in losses.taken()] == ['usage;how=emulated;as="estimate"']


def test_usage_totals_include_cached_and_reasoning_tokens() -> None:
    usage = Usage(input_tokens=3, cache_read_tokens=4, cache_write_tokens=5, output_tokens=6, reasoning_tokens=7)
    reported = stream([StreamStarted(usage=Usage(input_tokens=1)), TextDelta(text="a"), UsageUpdate(usage=usage)])[-1][
        "response"
    ]["usage"]
    assert (reported["input_tokens"], reported["output_tokens"], reported["total_tokens"]) == (12, 13, 25)
    assert reported["input_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 5}
    assert reported["output_tokens_details"] == {"reasoning_tokens": 7}


@pytest.mark.parametrize(
    ("reason", "status", "incomplete"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("context_length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
        ("malformed_tool_call", "failed", None),
        ("cancelled", "failed", None),
        ("error", "failed", None),
    ],
)
def test_every_stop_reason_has_a_status(reason: StopReason, status: str, incomplete: str | None) -> None:
    response = encoded(Text(text="a"), reason=reason)
    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == incomplete
    assert (response["error"] is not None) == (status == "failed")
    assert response["output"][-1]["status"] == ("completed" if status == "completed" else "incomplete")
    sent = stream([TextDelta(text="a"), ChoiceFinished(stop=Stop(reason=reason))])
    assert sent[-1]["type"] == f"response.{status}"


def test_a_refusal_with_text_is_a_completed_response() -> None:
    sent = stream([RefusalDelta(text="No"), RefusalDelta(text="."), ChoiceFinished(stop=Stop(reason="refusal"))])
    assert sent[-1]["response"]["status"] == "completed"
    assert sent[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


_SIGNED = Opaque(value="SIG", origin="o", dialect="anthropic_messages")


def test_reasoning_is_a_summary_if_the_client_requests_one() -> None:
    item = encoded(Reasoning(text="hm"), reasoning={"summary": "auto"})["output"][0]
    assert item["summary"] == [{"type": "summary_text", "text": "hm"}]
    item = encoded(Reasoning(text="hm"))["output"][0]
    assert item["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert item["summary"] == []


@pytest.mark.parametrize(
    "part",
    [
        Reasoning(text="hm", token=_SIGNED),
        Reasoning(token=_SIGNED),
        Reasoning(token=_SIGNED, is_redacted=True),
    ],
)
@pytest.mark.parametrize("summary", [None, "auto"])
def test_reasoning_of_another_vendor_is_unchanged_after_a_round_trip(part: Reasoning, summary: str | None) -> None:
    """This includes reasoning without text, and clients such as Codex, which drop the ids of items."""
    settings = {"include": ["reasoning.encrypted_content"], "store": False, "reasoning": {"summary": summary}}
    output = encoded(part, Text(text="a"), **settings)["output"]
    for item in output:
        del item["id"]
    assert output[0]["encrypted_content"].startswith("irt1.anthropic_messages.o.")
    reread = CLIENT.decode(call_of(input=[{"role": "user", "content": "x"}, *output])).messages[1].parts[0]
    assert reread == part


def test_the_token_of_a_call_is_unchanged_after_a_round_trip() -> None:
    part = ToolCall(id="c1", name="f", token=Opaque(value="THS", origin="o", dialect="gemini"))
    output = encoded(part, include=["reasoning.encrypted_content"], store=False)["output"]
    assert [item["type"] for item in output] == ["reasoning", "function_call"]
    (reread,) = CLIENT.decode(call_of(input=output)).messages[0].parts
    assert isinstance(reread, ToolCall)
    assert reread.token == part.token


def test_tokens_are_returned_on_request_or_if_the_response_is_stored() -> None:
    not_stored = {"store": False}
    assert "encrypted_content" not in encoded(Reasoning(text="hm", token=_SIGNED), **not_stored)["output"][0]
    assert types(encoded(Reasoning(token=_SIGNED), Text(text="a"), **not_stored)) == ["message"]
    assert "encrypted_content" in encoded(Reasoning(text="hm", token=_SIGNED))["output"][0]


def test_a_token_of_this_dialect_is_not_wrapped() -> None:
    token = Opaque(value="gAAAA", origin="o", dialect="openai_responses")
    item = encoded(Reasoning(summary=["s"], token=token, id="rs_1"))["output"][0]
    assert item["encrypted_content"] == "gAAAA"


def test_a_custom_tool_sent_as_a_function_becomes_a_custom_call() -> None:
    """Upstreams of other dialects get a custom tool as a function with one text argument."""
    arguments = json.dumps({"input": "*** Begin Patch\n"})
    part = ToolCall(id="c1", name="apply_patch", arguments=arguments)
    (item,) = encoded(part, tools=[_PATCH_TOOL])["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** Begin Patch\n")
    pieces = [ArgumentsDelta(text=arguments[index : index + 3]) for index in range(0, len(arguments), 3)]
    events: list[Event] = [
        ToolCallStarted(id="c1", name="apply_patch"),
        *pieces,
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    sent = stream(events, tools=[_PATCH_TOOL])
    assert [event["delta"] for event in sent if event["type"].endswith("input.delta")] == ["*** Begin Patch\n"]


@pytest.mark.parametrize("arguments", ["{broken", '{"a":"1","b":"2"}', "[]"])
def test_arguments_other_than_one_text_are_not_unwrapped(arguments: str) -> None:
    (item,) = encoded(ToolCall(id="c1", name="apply_patch", arguments=arguments), tools=[_PATCH_TOOL])["output"]
    assert item["input"] == arguments


def test_calls_have_the_namespace_of_their_tool() -> None:
    sent = stream([*events_of(Response(choices=[Choice(parts=[ToolCall(id="c1", name="read")])]))], tools=[_NAMESPACE])
    (item,) = sent[-1]["response"]["output"]
    assert (item["namespace"], item["name"]) == ("fs", "read")


def test_renamed_calls_have_their_original_name() -> None:
    tools = [_NAMESPACE, {**_NAMESPACE, "name": "web"}]
    (item,) = encoded(ToolCall(id="c1", name="web__read"), tools=tools)["output"]
    assert (item["namespace"], item["name"]) == ("web", "read")


def test_citations_of_web_pages_become_annotations() -> None:
    text = Text(text="Sun.", citations=[Citation(kind="url", url="https://e.com", title="E", dialect="gemini")])
    (annotation,) = encoded(text)["output"][0]["content"][0]["annotations"]
    assert annotation == {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 4,
        "url": "https://e.com",
        "title": "E",
    }


def test_citations_of_documents_are_reported() -> None:
    losses = LossReport()
    encoded(Text(text="a", citations=[Citation(kind="document", title="D")]), losses=losses)
    assert [loss.field for loss in losses.taken()] == ["output[].content[].citations"]


def test_images_become_image_calls_and_audio_becomes_its_transcript() -> None:
    losses = LossReport()
    response = encoded(
        Media(kind="image", source=Source(data="aGk=", media_type="image/png")),
        Media(kind="audio", source=Source(data="aGk="), transcript="hi"),
        Media(kind="audio", source=Source(data="aGk=")),
        Foreign(dialect="gemini", kind="executableCode", raw={}),
        losses=losses,
    )
    assert types(response) == ["image_generation_call", "message"]
    assert [str(loss) for loss in losses.taken()] == [
        'output[].audio;how=converted;as="its transcript"',
        "output[].executableCode;how=dropped",
    ]


def test_items_of_this_dialect_are_unchanged() -> None:
    item = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    sent = stream([WholePart(value=Foreign(dialect="openai_responses", kind="web_search_call", raw=item))])
    assert sent[-1]["response"]["output"] == [item]


def test_only_the_first_choice_is_returned() -> None:
    sent = stream([TextDelta(text="a"), TextDelta(text="b", choice=1), ChoiceFinished(stop=Stop(reason="stop"))])
    assert sent[-1]["response"]["output"][0]["content"][0]["text"] == "a"


def test_a_late_token_gets_its_own_item() -> None:
    events: list[Event] = [
        ReasoningDelta(text="hm", part=0),
        TextDelta(text="a", part=1),
        ReasoningToken(token=_SIGNED, part=0),
        ChoiceFinished(stop=Stop(reason="stop")),
    ]
    assert types(stream(events)[-1]["response"]) == ["reasoning", "message", "reasoning"]


def test_log_probabilities_are_converted() -> None:
    chat_logprobs = [{"token": "é", "logprob": -1, "bytes": None, "top_logprobs": [{"token": "e", "logprob": -2.5}]}]
    sent = stream([TextDelta(text="é", logprobs=chat_logprobs), ChoiceFinished(stop=Stop(reason="stop"))])
    delta = next(event for event in sent if event["type"] == "response.output_text.delta")
    assert delta["logprobs"] == [{"token": "é", "logprob": -1, "top_logprobs": [{"token": "e", "logprob": -2.5}]}]
    part = sent[-1]["response"]["output"][0]["content"][0]
    assert part["logprobs"][0]["bytes"] == [195, 169]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UpstreamRateLimited("slow"), "rate_limit_exceeded"),
        (errors.UpstreamUnavailable("down"), "server_error"),
        (errors.UpstreamRejected("no", code="image_too_large"), "image_too_large"),
        (errors.UpstreamRejected("no", code="whatever"), "invalid_prompt"),
        (errors.InternalError("bug"), "server_error"),
    ],
)
def test_an_error_after_content_fails_the_response(error: errors.GatewayError, code: str) -> None:
    writer = CLIENT.stream(call_of(), LossReport())
    sent = read_events(writer.encode([ReasoningDelta(text="hm"), TextDelta(text="a", part=1)]) + writer.fail(error))
    for event in sent:
        validate_event(event)
    assert [event["sequence_number"] for event in sent] == list(range(len(sent)))
    response = sent[-1]["response"]
    assert (sent[-1]["type"], response["status"], response["error"]["code"]) == (
        "response.failed",
        "failed",
        code,
    )
    assert types(response) == ["reasoning"]  # the message was still open


def test_an_error_before_the_first_event_is_an_error_event() -> None:
    writer = CLIENT.stream(call_of(), LossReport())
    (event,) = read_events(writer.fail(errors.UpstreamTimeout("late")))
    validate_event(event)
    assert event == {
        "type": "error",
        "sequence_number": 0,
        "code": "upstream_timeout",
        "message": "late",
        "param": None,
    }


@pytest.mark.parametrize(("reported", "named"), [("claude-x", "claude-x"), ("", "my/alias")])
def test_the_response_names_its_model_or_else_the_requested_one(reported: str, named: str) -> None:
    response = json.loads(CLIENT.encode(Response(model=reported), call_of(model="my/alias"), LossReport()))
    assert response["model"] == named
