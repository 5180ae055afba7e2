"""What is repaired, what is refused, and what is passed on as it is."""

import pytest

from intellirouter.core.errors import UpstreamMalformed
from intellirouter.dialects.adapt.answer_checks import StreamGuard, check_repetition, validate_answer
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    OutputFormat,
    Response,
    Stop,
    StopReason,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
)

PLAIN = Conversation(dialect="openai_chat", model="m")
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def answer(*parts: Text | ToolCall, reason: StopReason | None = "stop") -> Response:
    return Response(choices=[Choice(parts=list(parts), stop=None if reason is None else Stop(reason=reason))])


def asking(kind: str, schema: object = None) -> Conversation:
    return Conversation(dialect="openai_chat", model="m", output=OutputFormat(kind=kind, schema=schema))  # type: ignore[arg-type]


def test_a_good_answer_stays_as_it_is() -> None:
    response = answer(Text(text="hello"))
    assert validate_answer(response, PLAIN) == response


@pytest.mark.parametrize(
    ("parts", "reason"), [((Text(text="x"),), "stop"), ((ToolCall(id="a", name="f"),), "tool_calls")]
)
def test_a_finish_that_was_left_out_follows_from_the_parts(parts: tuple[Text | ToolCall], reason: str) -> None:
    stop = validate_answer(answer(*parts, reason=None), PLAIN).choices[0].stop
    assert stop is not None
    assert stop.reason == reason


def test_an_id_that_two_calls_share_is_minted_anew_for_the_second() -> None:
    calls = (ToolCall(id="a", name="f", arguments='{"x":1}'), ToolCall(id="a", name="g"))
    first, second = validate_answer(answer(*calls, reason="tool_calls"), PLAIN).choices[0].parts
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first == calls[0]
    assert second.id not in {"", "a"}
    assert (second.name, second.arguments) == ("g", "{}")


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", '"x"', "null", "{'a': 1}"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    call = ToolCall(id="a", name="f", arguments=arguments)
    with pytest.raises(UpstreamMalformed, match="'f'"):
        validate_answer(answer(call, reason="tool_calls"), PLAIN)


def test_free_text_of_a_custom_tool_is_no_json() -> None:
    call = ToolCall(id="a", name="f", arguments="print(1)", kind="custom")
    assert validate_answer(answer(call, reason="tool_calls"), PLAIN).choices[0].parts == [call]


@pytest.mark.parametrize("reason", ["length", "content_filter", "refusal"])
def test_answers_that_end_early_may_end_anywhere(reason: StopReason) -> None:
    response = answer(Text(text='{"a":'), ToolCall(id="a", name="f", arguments='{"x'), reason=reason)
    assert validate_answer(response, asking("json_schema", SCHEMA)) == response


@pytest.mark.parametrize("text", ["no json", '{"b": 1}', '{"a": "x"}', "", "```json\n{}\n```"])
def test_json_that_breaks_the_schema_is_refused(text: str) -> None:
    with pytest.raises(UpstreamMalformed):
        validate_answer(answer(Text(text=text)), asking("json_schema", SCHEMA))


@pytest.mark.parametrize("reason", ["malformed_tool_call", "error"])
def test_a_failure_in_place_of_an_answer_is_none(reason: StopReason) -> None:
    with pytest.raises(UpstreamMalformed, match="stopped before it had written an answer"):
        validate_answer(answer(reason=reason), PLAIN)
    with pytest.raises(UpstreamMalformed, match="stopped before it had written an answer"):
        StreamGuard().watch([ChoiceFinished(stop=Stop(reason=reason))])
    begun = answer(Text(text="Once"), reason=reason)
    assert validate_answer(begun, PLAIN) == begun
    StreamGuard().watch([TextDelta(text="Once"), ChoiceFinished(stop=Stop(reason=reason))])


def test_ids_that_streamed_calls_share_are_with_unique_id() -> None:
    guard = StreamGuard()
    events = [guard.with_unique_id(ToolCallStarted(id="a", name=name)) for name in "fgh"]
    ids = [event.id for event in events if isinstance(event, ToolCallStarted)]
    assert ids[0] == "a"
    assert len(set(ids)) == 3


def test_json_that_keeps_the_schema_is_passed_on() -> None:
    assert validate_answer(answer(Text(text='{"a": 1}')), asking("json_schema", SCHEMA))
    assert validate_answer(answer(Text(text="[]")), asking("json_object"))
    assert validate_answer(answer(Text(text="anything")), asking("text"))


@pytest.mark.parametrize("schema", [{"type": 5}, {"$ref": "http://localhost:1/never-fetched"}, {"pattern": "(?<"}])
def test_a_schema_that_cannot_be_checked_is_not_fetched_and_not_held_against_the_model(schema: object) -> None:
    assert validate_answer(answer(Text(text='{"a": 1}')), asking("json_schema", schema))


def test_an_answer_without_choices_is_refused() -> None:
    with pytest.raises(UpstreamMalformed, match="no choices"):
        validate_answer(Response(), PLAIN)


@pytest.mark.parametrize(
    "piece",
    [
        "ha! ",
        "I am sorry, I cannot do that. " * 3,
        "0123456789" * 40,
        "".join(map(chr, range(300, 700))),
        # What stands at its end stands in its middle, too.
        "And so on. " * 7 + "But then again, no. " + "And so on. " * 7,
    ],
)
def test_a_model_that_runs_away_is_refused(piece: str) -> None:
    with pytest.raises(UpstreamMalformed, match="repeats itself"):
        check_repetition("A good beginning. " + piece * (20_000 // len(piece)))


@pytest.mark.parametrize(
    "text",
    [
        "short " * 10,
        " " * 50_000,
        "".join(f"line {number}\n" for number in range(5_000)),
        "ha! " * 2_000 + "That was funny.",
        "|---" * 200,
        "".join(f"{number} bottles\n" for number in range(400))
        + ("And one more of the same kind, please. " * 2 + "\n") * 3,
    ],
)
def test_long_and_regular_texts_are_fine(text: str) -> None:
    check_repetition(text)


def test_a_model_that_stops_by_itself_may_have_been_asked_to_repeat() -> None:
    often = Text(text="ha! " * 3_000)
    assert validate_answer(answer(often), PLAIN).choices[0].parts == [often]
    with pytest.raises(UpstreamMalformed, match="repeats itself"):
        validate_answer(answer(often, reason="length"), PLAIN)


def calls(*pieces: str, reason: StopReason = "tool_calls") -> list[Event]:
    return [
        ToolCallStarted(id="a", name="f"),
        *(ArgumentsDelta(text=piece) for piece in pieces),
        ChoiceFinished(stop=Stop(reason=reason)),
    ]


def test_a_streamed_call_must_come_to_an_object() -> None:
    StreamGuard().watch(calls('{"a"', ":1}"))
    StreamGuard().watch(calls())
    StreamGuard().watch(calls('{"a', reason="length"))
    with pytest.raises(UpstreamMalformed):
        StreamGuard().watch(calls('{"a"'))


def test_a_stream_that_runs_away_is_stopped() -> None:
    endless: list[Event] = [TextDelta(text="again ")] * 50_000
    with pytest.raises(UpstreamMalformed, match="repeats itself"):
        StreamGuard().watch(endless)
