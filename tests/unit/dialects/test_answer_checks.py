"""Which answers are repaired, rejected, or passed on unchanged."""

import json
from collections.abc import Callable
from functools import partial

import pytest

from intellirouter.core.errors import UpstreamMalformed
from intellirouter.dialects.adapt.answer_checks import RepetitionGuard, StreamGuard, check_endings, validate_answer
from intellirouter.dialects.adapt.repetition import check_repetition
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    OutputFormat,
    Reasoning,
    ReasoningDelta,
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


def answer(*parts: Text | ToolCall | Reasoning, reason: StopReason | None = "stop") -> Response:
    return Response(choices=[Choice(parts=list(parts), stop=None if reason is None else Stop(reason=reason))])


def conversation_with(kind: str, schema: object = None) -> Conversation:
    return Conversation(dialect="openai_chat", model="m", output=OutputFormat(kind=kind, schema=schema))  # type: ignore[arg-type]


def test_a_valid_answer_is_unchanged() -> None:
    response = answer(Text(text="hello"))
    assert validate_answer(response, PLAIN) == response


@pytest.mark.parametrize(
    ("parts", "reason"), [((Text(text="x"),), "stop"), ((ToolCall(id="a", name="f"),), "tool_calls")]
)
def test_a_missing_stop_reason_follows_from_the_parts(parts: tuple[Text | ToolCall], reason: str) -> None:
    stop = validate_answer(answer(*parts, reason=None), PLAIN).choices[0].stop
    assert stop is not None
    assert stop.reason == reason


def test_the_second_call_with_the_same_id_gets_a_new_id() -> None:
    calls = (ToolCall(id="a", name="f", arguments='{"x":1}'), ToolCall(id="a", name="g"))
    first, second = validate_answer(answer(*calls, reason="tool_calls"), PLAIN).choices[0].parts
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first == calls[0]
    assert second.id not in {"", "a"}
    assert (second.name, second.arguments) == ("g", "{}")


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", '"x"', "nul", "{'a': 1}"])
def test_arguments_that_are_not_an_object_are_rejected(arguments: str) -> None:
    call = ToolCall(id="a", name="f", arguments=arguments)
    with pytest.raises(UpstreamMalformed, match="'f'"):
        validate_answer(answer(call, reason="tool_calls"), PLAIN)


def test_the_input_of_a_custom_tool_is_not_checked() -> None:
    call = ToolCall(id="a", name="f", arguments="print(1)", kind="custom")
    assert validate_answer(answer(call, reason="tool_calls"), PLAIN).choices[0].parts == [call]


@pytest.mark.parametrize("reason", ["length", "content_filter", "refusal"])
def test_incomplete_answers_are_not_checked(reason: StopReason) -> None:
    response = answer(Text(text='{"a":'), ToolCall(id="a", name="f", arguments='{"x'), reason=reason)
    assert validate_answer(response, conversation_with("json_schema", SCHEMA)) == response


@pytest.mark.parametrize("text", ["no json", '{"b": 1}', '{"a": "x"}', "", "```json\n{}\n```"])
def test_an_answer_that_does_not_match_the_schema_is_rejected(text: str) -> None:
    with pytest.raises(UpstreamMalformed):
        validate_answer(answer(Text(text=text)), conversation_with("json_schema", SCHEMA))


@pytest.mark.parametrize("reason", ["malformed_tool_call", "error"])
@pytest.mark.parametrize("text", ["", "Once"])
def test_a_failed_answer_is_rejected_even_if_a_part_is_written(text: str, reason: StopReason) -> None:
    parts = [Text(text=text)] if text else []
    deltas = [TextDelta(text=text)] if text else []
    with pytest.raises(UpstreamMalformed, match="stopped before its answer was complete"):
        validate_answer(answer(*parts, reason=reason), PLAIN)
    with pytest.raises(UpstreamMalformed, match="stopped before its answer was complete"):
        StreamGuard().watch([*deltas, ChoiceFinished(stop=Stop(reason=reason))])


def test_streamed_calls_with_the_same_id_get_new_ids() -> None:
    guard = StreamGuard()
    events = [guard.with_unique_id(ToolCallStarted(id="a", name=name)) for name in "fgh"]
    ids = [event.id for event in events if isinstance(event, ToolCallStarted)]
    assert ids[0] == "a"
    assert len(set(ids)) == 3


def test_an_answer_that_matches_the_schema_is_accepted() -> None:
    assert validate_answer(answer(Text(text='{"a": 1}')), conversation_with("json_schema", SCHEMA))
    assert validate_answer(answer(Text(text="[]")), conversation_with("json_object"))
    assert validate_answer(answer(Text(text="anything")), conversation_with("text"))


@pytest.mark.parametrize("schema", [{"type": 5}, {"$ref": "http://localhost:1/never-fetched"}, {"pattern": "(?<"}])
def test_an_unsupported_schema_is_not_fetched_and_not_checked(schema: object) -> None:
    assert validate_answer(answer(Text(text='{"a": 1}')), conversation_with("json_schema", schema))


def test_an_answer_without_choices_is_rejected() -> None:
    with pytest.raises(UpstreamMalformed, match="no choices"):
        validate_answer(Response(), PLAIN)


@pytest.mark.parametrize(
    "piece",
    [
        "ha! ",
        "I am sorry, I cannot do that. " * 3,
        "0123456789" * 40,
        "".join(map(chr, range(300, 700))),
        # The text at its end is also in its middle.
        "And so on. " * 7 + "But then again, no. " + "And so on. " * 7,
    ],
)
def test_endless_repetition_is_rejected(piece: str) -> None:
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
def test_long_regular_texts_are_accepted(text: str) -> None:
    check_repetition(text)


def test_repetition_is_accepted_if_the_model_stopped_by_itself() -> None:
    often = Text(text="ha! " * 3_000)
    assert validate_answer(answer(often), PLAIN).choices[0].parts == [often]
    with pytest.raises(UpstreamMalformed, match="repeats itself"):
        validate_answer(answer(often, reason="length"), PLAIN)


ZEROS = [0] * 20_000
DATA = {
    "numbers": json.dumps(ZEROS),
    "numbers without spaces": json.dumps(ZEROS, separators=(",", ":")),
    "decimals": json.dumps([0.5] * 20_000),
    "a matrix": json.dumps([[0, 0, 1.5e-3]] * 5_000),
    "nulls": json.dumps([None] * 20_000),
    "booleans on lines": json.dumps({"a": [False] * 20_000}, indent=1),
    "strings": json.dumps(["yes"] * 20_000),
    "rows": json.dumps([{"name": "none", "is_set": False}] * 2_000),
    "lines of JSON": '{"name": "none"}\n' * 2_000,
    "JSON in JSON": json.dumps(json.dumps([{"a": "b"}] * 4_000)),
    "base64": json.dumps({"image": "AAAA" * 10_000}),
    "base64 on lines": "image: |\n" + ("  " + "A" * 76 + "\n") * 500,
    "a table": "| a | b |\n|---|---|\n" + "| yes | no |\n" * 3_000,
    "markup": "<table>" + "<tr><td>no value</td></tr>" * 2_000 + "</table>",
    "numbers on lines": "The values are:\n" + "0.00, 0.00\n" * 4_000,
}


@pytest.mark.parametrize("text", DATA.values(), ids=DATA)
@pytest.mark.parametrize("chunk_chars", [7, 1_999, 100_000])
def test_regular_data_is_accepted_in_answers_arguments_and_streams(text: str, chunk_chars: int) -> None:
    assert validate_answer(answer(Text(text=text)), PLAIN)
    arguments = json.dumps({"value": text})
    assert validate_answer(answer(ToolCall(id="a", name="f", arguments=arguments), reason="tool_calls"), PLAIN)
    StreamGuard().watch([*texts_of(text, chunk_chars), ChoiceFinished(stop=Stop(reason="stop"))])
    StreamGuard().watch(calls(*pieces_of(arguments, chunk_chars)))


@pytest.mark.parametrize("text", DATA.values(), ids=DATA)
def test_regular_data_is_runaway_repetition_at_the_limit(text: str) -> None:
    cut = text[: len(text) * 3 // 4]
    with pytest.raises(UpstreamMalformed, match="repeats itself"):
        validate_answer(answer(Text(text=cut), reason="length"), PLAIN)
    with pytest.raises(UpstreamMalformed, match="repeats itself"):
        StreamGuard().watch([*texts_of(cut, 50), ChoiceFinished(stop=Stop(reason="length"))])


SYMBOLS = {
    "LaTeX": "0 & 0 & 0 & 0 \\\\\n",
    "hexadecimal numbers": "0xFF, 0xFF, 0xFF,\n",
    "hexadecimal dump": "de ad be ef ff ff\n",
    "SQL": "INSERT INTO t VALUES (0);\n",
    "CSV": "yes,no,yes,no\n",
    "YAML": "- x: 0\n  y: 0\n",
    "line breaks": "<br>\n",
    "values": "undefined, ",
    "words on lines": "INFO ok\n",
    "a path": "M0 0 L1 1 ",
    "a box": "\u2500" * 60 + "\n",
    "emoji": "\U0001f7e9" * 20 + "\n",
    "digits": "\u0660 \u0660 \u0660\n",
    "Chinese digits": "\u3007\u4e00\u4e8c\u4e09\u56db\u4e94\n",
    "DNA": "acacacacac acgtacgtac ggttggttgg\n",
    "notes": "C4 D4 E4 F4\n",
    "a board": "W B W B\nB W B W\n",
    "assembly": ".byte 0\n",
    "escapes": "\\u0000",
    "one word": "again ",
    "laughter": "ha ha ha\n",
    "exclamation marks": "!!!!",
}


@pytest.mark.parametrize("piece", SYMBOLS.values(), ids=SYMBOLS)
@pytest.mark.parametrize("chunk_chars", [7, 100_000])
def test_what_is_not_language_is_accepted(piece: str, chunk_chars: int) -> None:
    text = piece * (24_000 // len(piece))
    assert validate_answer(answer(Text(text=text)), PLAIN)
    StreamGuard().watch([*texts_of(text, chunk_chars), ChoiceFinished(stop=Stop(reason="stop"))])
    with pytest.raises(UpstreamMalformed, match="repeats itself"):
        validate_answer(answer(Text(text=text), reason="length"), PLAIN)


LANGUAGE = {
    "words": "I am sorry, I cannot do that. ",
    "words without an end": "over and over again ",
    "two words": "again and ",
    "a short sentence": "Thank you! ",
    "another alphabet": "\u043d\u0435 \u043c\u043e\u0433\u0443 \u043f\u043e\u043c\u043e\u0447\u044c, ",
    "a script without spaces": "\u6211\u5f88\u62b1\u6b49\uff0c\u6211\u4e0d\u80fd\u5e2e\u52a9\u4f60\u3002",
    "a script with marks": "\u092e\u0941\u091d\u0947 \u0916\u0947\u0926 \u0939\u0948\u0964 ",
    "lines": "and then there was more:\n\n",
    "a quote": 'He said: "No, I will not." ',
}


@pytest.mark.parametrize("piece", LANGUAGE.values(), ids=LANGUAGE)
@pytest.mark.parametrize("chunk_chars", [7, 1_999, 100_000])
@pytest.mark.parametrize("ending", ["", "And that is all of it. " * 3])
def test_runaway_language_is_rejected_wherever_it_is(piece: str, chunk_chars: int, ending: str) -> None:
    """A stream is cut off, and a complete answer is rejected, whatever follows and whatever the finish reason is."""
    text = "A good beginning. " + piece * (24_000 // len(piece)) + ending
    arguments = json.dumps({"value": text}, ensure_ascii=False)
    stop = ChoiceFinished(stop=Stop(reason="stop"))
    reasoning: list[Event] = [ReasoningDelta(text=each) for each in pieces_of(text, chunk_chars)]
    for events in (texts_of(text, chunk_chars), reasoning, calls(*pieces_of(arguments, chunk_chars))):
        for guard in (StreamGuard(), RepetitionGuard()):
            with pytest.raises(UpstreamMalformed, match="repeats itself"):
                guard.watch([*events, stop])
    for part in (Text(text=text), Reasoning(text=text), ToolCall(id="a", name="f", arguments=arguments)):
        with pytest.raises(UpstreamMalformed, match="repeats itself"):
            validate_answer(answer(part), PLAIN)
        with pytest.raises(UpstreamMalformed, match="repeats itself"):
            check_endings(answer(part))


@pytest.mark.parametrize("chars", [15_000, 16_399, 18_401])
def test_stream_and_complete_answer_agree_on_the_length(chars: int) -> None:
    for offset in range(0, 2_000, 333):
        text = "." * offset + ("over and over again " * 1_200)[:chars] + "The end, which is not repeated at all."
        outcomes = set()
        checks: list[Callable[[], object]] = [
            partial(validate_answer, answer(Text(text=text)), PLAIN),
            partial(StreamGuard().watch, texts_of(text, 7)),
            partial(StreamGuard().watch, texts_of(text, 5_000)),
        ]
        for check in checks:
            try:
                check()
            except UpstreamMalformed:
                outcomes.add("runaway")
            else:
                outcomes.add("accepted")
        assert len(outcomes) == 1
        assert chars == 16_399 or outcomes == {"runaway" if chars > 18_000 else "accepted"}


def pieces_of(text: str, chars: int) -> list[str]:
    return [text[at : at + chars] for at in range(0, len(text), chars)]


def texts_of(text: str, chars: int) -> list[Event]:
    return [TextDelta(text=each) for each in pieces_of(text, chars)]


def calls(*pieces: str, reason: StopReason = "tool_calls") -> list[Event]:
    return [
        ToolCallStarted(id="a", name="f"),
        *(ArgumentsDelta(text=piece) for piece in pieces),
        ChoiceFinished(stop=Stop(reason=reason)),
    ]


def test_streamed_arguments_must_be_an_object() -> None:
    StreamGuard().watch(calls('{"a"', ":1}"))
    StreamGuard().watch(calls())
    StreamGuard().watch(calls('{"a', reason="length"))
    with pytest.raises(UpstreamMalformed):
        StreamGuard().watch(calls('{"a"'))


def test_endless_repetition_in_a_stream_is_rejected() -> None:
    endless: list[Event] = [TextDelta(text="over and over again ")] * 50_000
    with pytest.raises(UpstreamMalformed, match="repeats itself"):
        StreamGuard().watch(endless)
