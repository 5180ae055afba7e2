"""Traps of writing responses and their streams: order, closing, thoughts, emulated tools, failures."""

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
from tests.support.dialects.openai_responses import read_events, validate_event, validate_response, written

_PATCH = {"type": "custom", "name": "apply_patch"}
_SPACE = {"type": "namespace", "name": "fs", "description": "d", "tools": [{"type": "function", "name": "read"}]}


def call_of(**body: Any) -> Call:
    return CLIENT.decode_request(json.dumps({"model": "m", "input": "x"} | body).encode(), EMPTY_CONTEXT)


def stream(events: list[Event], **body: Any) -> list[dict[str, Any]]:
    return written(CLIENT.stream(call_of(**body), LossReport()), events)


def whole(*parts: Part, reason: StopReason = "stop", losses: LossReport | None = None, **body: Any) -> dict[str, Any]:
    answer = Response(choices=[Choice(parts=list(parts), stop=Stop(reason=reason))])
    response: dict[str, Any] = json.loads(CLIENT.encode(answer, call_of(**body), losses or LossReport()))
    validate_response(response)
    return response


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in told]


def types(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


def test_the_order_of_a_text_is_the_references() -> None:
    told = stream([TextDelta(text="a"), TextDelta(text="b"), ChoiceFinished(stop=Stop(reason="stop"))])
    assert kinds(told) == [
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


def test_thoughts_are_closed_before_the_text_begins() -> None:
    """Codex keeps items in the order of their `output_item.done`."""
    told = kinds(
        stream(
            [ReasoningDelta(text="hm", part=0), TextDelta(text="a", part=1), ChoiceFinished(stop=Stop(reason="stop"))]
        )
    )
    assert told.index("output_item.done") < told.index("output_text.delta")


def test_text_after_a_call_opens_a_message_of_its_own() -> None:
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


def test_neighbouring_texts_are_parts_of_one_message() -> None:
    parts = [Text(text="a"), Text(text="b")]
    (message,) = whole(*parts)["output"]
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


def test_a_call_that_is_whole_is_closed_before_the_next_begins() -> None:
    events: list[Event] = [
        ToolCallStarted(id="c1", name="f", part=0),
        PartEnded(part=0),
        ToolCallStarted(id="c2", name="g", part=1),
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    told = kinds(stream(events))
    assert told.index("output_item.done") < len(told) - 1 - told[::-1].index("output_item.added")


def test_arguments_are_never_empty() -> None:
    (item,) = stream([ToolCallStarted(id="c1", name="f"), ChoiceFinished(stop=Stop(reason="tool_calls"))])[-1][
        "response"
    ]["output"]
    assert item["arguments"] == "{}"


def test_an_empty_delta_opens_no_message() -> None:
    """Chat backends begin with an empty content before their tool calls."""
    events: list[Event] = [
        TextDelta(text=""),
        ReasoningDelta(text="", part=1),
        ToolCallStarted(id="c1", name="f", part=2),
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    assert types(stream(events)[-1]["response"]) == ["function_call"]


def test_an_answer_of_nothing_is_an_empty_message() -> None:
    (message,) = whole()["output"]
    assert message["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]


def test_usage_details_are_never_null() -> None:
    assert whole(Text(text="a"))["usage"] == {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }


def test_usage_is_put_together_again() -> None:
    usage = Usage(input_tokens=3, cache_read_tokens=4, cache_write_tokens=5, output_tokens=6, reasoning_tokens=7)
    said = stream([StreamStarted(usage=Usage(input_tokens=1)), TextDelta(text="a"), UsageUpdate(usage=usage)])[-1][
        "response"
    ]["usage"]
    assert (said["input_tokens"], said["output_tokens"], said["total_tokens"]) == (12, 13, 25)
    assert said["input_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 5}
    assert said["output_tokens_details"] == {"reasoning_tokens": 7}


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
def test_every_stop_has_a_status(reason: StopReason, status: str, incomplete: str | None) -> None:
    response = whole(Text(text="a"), reason=reason)
    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == incomplete
    assert (response["error"] is not None) == (status == "failed")
    assert response["output"][-1]["status"] == ("completed" if status == "completed" else "incomplete")
    told = stream([TextDelta(text="a"), ChoiceFinished(stop=Stop(reason=reason))])
    assert told[-1]["type"] == f"response.{status}"


def test_a_refusal_in_words_is_a_completed_answer() -> None:
    told = stream([RefusalDelta(text="No"), RefusalDelta(text="."), ChoiceFinished(stop=Stop(reason="refusal"))])
    assert told[-1]["response"]["status"] == "completed"
    assert told[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


_SIGNED = Opaque(value="SIG", origin="o", dialect="anthropic_messages")


def test_thoughts_are_a_summary_for_who_asked_for_one() -> None:
    thought = whole(Reasoning(text="hm"), reasoning={"summary": "auto"})["output"][0]
    assert thought["summary"] == [{"type": "summary_text", "text": "hm"}]
    thought = whole(Reasoning(text="hm"))["output"][0]
    assert thought["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert thought["summary"] == []


@pytest.mark.parametrize(
    "part",
    [
        Reasoning(text="hm", token=_SIGNED),
        Reasoning(token=_SIGNED),
        Reasoning(token=_SIGNED, is_redacted=True),
    ],
)
@pytest.mark.parametrize("summary", [None, "auto"])
def test_another_vendors_signed_thought_survives_the_round(part: Reasoning, summary: str | None) -> None:
    """Also for clients that drop the ids of items, as Codex does, and for thoughts without text."""
    asked = {"include": ["reasoning.encrypted_content"], "store": False, "reasoning": {"summary": summary}}
    output = whole(part, Text(text="a"), **asked)["output"]
    for item in output:
        del item["id"]
    assert output[0]["encrypted_content"].startswith("irt1.anthropic_messages.o.")
    again = CLIENT.decode(call_of(input=[{"role": "user", "content": "x"}, *output])).messages[1].parts[0]
    assert again == part


def test_a_call_keeps_its_signature_through_the_round() -> None:
    part = ToolCall(id="c1", name="f", token=Opaque(value="THS", origin="o", dialect="gemini"))
    output = whole(part, include=["reasoning.encrypted_content"], store=False)["output"]
    assert [item["type"] for item in output] == ["reasoning", "function_call"]
    (again,) = CLIENT.decode(call_of(input=output)).messages[0].parts
    assert isinstance(again, ToolCall)
    assert again.token == part.token


def test_tokens_are_for_who_asks_or_comes_back() -> None:
    kept = {"store": False}
    assert "encrypted_content" not in whole(Reasoning(text="hm", token=_SIGNED), **kept)["output"][0]
    assert types(whole(Reasoning(token=_SIGNED), Text(text="a"), **kept)) == ["message"]
    assert "encrypted_content" in whole(Reasoning(text="hm", token=_SIGNED))["output"][0]


def test_a_token_of_this_dialect_travels_bare() -> None:
    token = Opaque(value="gAAAA", origin="o", dialect="openai_responses")
    item = whole(Reasoning(summary=["s"], token=token, id="rs_1"))["output"][0]
    assert item["encrypted_content"] == "gAAAA"


def test_a_custom_tool_that_was_told_as_a_function_is_shown_as_itself() -> None:
    """Other dialects know a custom tool as a function of one text."""
    arguments = json.dumps({"input": "*** Begin Patch\n"})
    part = ToolCall(id="c1", name="apply_patch", arguments=arguments)
    (item,) = whole(part, tools=[_PATCH])["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** Begin Patch\n")
    pieces = [ArgumentsDelta(text=arguments[index : index + 3]) for index in range(0, len(arguments), 3)]
    events: list[Event] = [
        ToolCallStarted(id="c1", name="apply_patch"),
        *pieces,
        ChoiceFinished(stop=Stop(reason="tool_calls")),
    ]
    told = stream(events, tools=[_PATCH])
    assert [event["delta"] for event in told if event["type"].endswith("input.delta")] == ["*** Begin Patch\n"]


@pytest.mark.parametrize("arguments", ["{broken", '{"a":"1","b":"2"}', "[]"])
def test_arguments_that_are_no_single_text_are_shown_as_they_are(arguments: str) -> None:
    (item,) = whole(ToolCall(id="c1", name="apply_patch", arguments=arguments), tools=[_PATCH])["output"]
    assert item["input"] == arguments


def test_calls_go_back_into_their_namespace() -> None:
    told = stream([*events_of(Response(choices=[Choice(parts=[ToolCall(id="c1", name="read")])]))], tools=[_SPACE])
    (item,) = told[-1]["response"]["output"]
    assert (item["namespace"], item["name"]) == ("fs", "read")


def test_colliding_names_go_back_too() -> None:
    tools = [_SPACE, {**_SPACE, "name": "web"}]
    (item,) = whole(ToolCall(id="c1", name="web__read"), tools=tools)["output"]
    assert (item["namespace"], item["name"]) == ("web", "read")


def test_citations_of_web_pages_become_annotations() -> None:
    text = Text(text="Sun.", citations=[Citation(kind="url", url="https://e.com", title="E", dialect="gemini")])
    (annotation,) = whole(text)["output"][0]["content"][0]["annotations"]
    assert annotation == {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 4,
        "url": "https://e.com",
        "title": "E",
    }


def test_citations_of_documents_are_reported() -> None:
    losses = LossReport()
    whole(Text(text="a", citations=[Citation(kind="document", title="D")]), losses=losses)
    assert [loss.field for loss in losses.taken()] == ["output[].content[].citations"]


def test_pictures_become_image_calls_and_sounds_their_transcript() -> None:
    losses = LossReport()
    response = whole(
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


def test_items_of_this_dialect_pass_whole() -> None:
    item = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    told = stream([WholePart(value=Foreign(dialect="openai_responses", kind="web_search_call", raw=item))])
    assert told[-1]["response"]["output"] == [item]


def test_other_choices_are_not_mixed_in() -> None:
    told = stream([TextDelta(text="a"), TextDelta(text="b", choice=1), ChoiceFinished(stop=Stop(reason="stop"))])
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == "a"


def test_a_late_token_gets_an_item_of_its_own() -> None:
    events: list[Event] = [
        ReasoningDelta(text="hm", part=0),
        TextDelta(text="a", part=1),
        ReasoningToken(token=_SIGNED, part=0),
        ChoiceFinished(stop=Stop(reason="stop")),
    ]
    assert types(stream(events)[-1]["response"]) == ["reasoning", "message", "reasoning"]


def test_log_probabilities_have_the_dialects_form() -> None:
    chat_form = [{"token": "é", "logprob": -1, "bytes": None, "top_logprobs": [{"token": "e", "logprob": -2.5}]}]
    told = stream([TextDelta(text="é", logprobs=chat_form), ChoiceFinished(stop=Stop(reason="stop"))])
    delta = next(event for event in told if event["type"] == "response.output_text.delta")
    assert delta["logprobs"] == [{"token": "é", "logprob": -1, "top_logprobs": [{"token": "e", "logprob": -2.5}]}]
    part = told[-1]["response"]["output"][0]["content"][0]
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
def test_a_failure_in_the_middle_fails_the_response(error: errors.GatewayError, code: str) -> None:
    writer = CLIENT.stream(call_of(), LossReport())
    told = read_events(writer.encode([ReasoningDelta(text="hm"), TextDelta(text="a", part=1)]) + writer.fail(error))
    for event in told:
        validate_event(event)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    response = told[-1]["response"]
    assert (told[-1]["type"], response["status"], response["error"]["code"]) == ("response.failed", "failed", code)
    assert types(response) == ["reasoning"]  # what was whole by then


def test_a_failure_before_the_first_event_is_an_error_event() -> None:
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


def test_the_response_shows_the_model_that_was_asked_for() -> None:
    response = json.loads(CLIENT.encode(Response(model="claude-x"), call_of(model="my/alias"), LossReport()))
    assert response["model"] == "my/alias"
