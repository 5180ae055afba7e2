"""Client streams: the order of events, blocks that do not interleave, and losses."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import LossReport, Usage, errors
from intellirouter.dialects.anthropic_messages import CLIENT
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    Citation,
    CitationDelta,
    Event,
    Foreign,
    Media,
    Opaque,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    Source,
    Stop,
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
    unwrap_token,
)
from tests.support.dialects.anthropic_messages import any_call, contents, read_stream

BEGAN = StreamStarted(id="chatcmpl-9", model="gpt")
DONE = ChoiceFinished(stop=Stop(reason="stop"))
CALLS = ChoiceFinished(stop=Stop(reason="tool_calls"))


def encode_stream(*events: Event, one_by_one: bool = True) -> tuple[list[dict[str, Any]], dict[str, str]]:
    losses = LossReport()
    encoder = CLIENT.stream(any_call(), losses)
    batches = [[event] for event in events] if one_by_one else [list(events)]
    out = b"".join(encoder.encode(batch) for batch in batches) + encoder.end()
    return read_stream(out), {loss.field: loss.how for loss in losses.taken()}


def blocks(*events: Event) -> list[dict[str, Any]]:
    found, _ = encode_stream(*events)
    assert contents(found) == contents(encode_stream(*events, one_by_one=False)[0])
    return contents(found)


def call(part: int, *pieces: str, name: str = "f") -> list[Event]:
    began = ToolCallStarted(id=f"c{part}", name=name, part=part)
    return [began, *(ArgumentsDelta(text=piece, part=part) for piece in pieces)]


def use(part: int, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"c{part}", "name": "f", "input": arguments}


def test_the_delta_that_opens_a_block_is_written() -> None:
    found = blocks(BEGAN, ReasoningDelta(text="Hm", part=0), TextDelta(text="First", part=1), DONE)
    assert [block["type"] for block in found] == ["thinking", "text"]
    assert found[1]["text"] == "First"


def test_reasoning_ends_with_a_signature() -> None:
    events, _ = encode_stream(BEGAN, ReasoningDelta(text="Hm", part=0), TextDelta(text="x", part=1), DONE)
    kinds = [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"]
    assert kinds == ["thinking_delta", "signature_delta", "text_delta"]


def test_a_signature_without_text_is_a_block_and_is_wrapped_for_other_dialects() -> None:
    token = Opaque(value="gAAA", origin="o", dialect="openai_responses")
    found = blocks(BEGAN, ReasoningToken(token=token, part=0), TextDelta(text="x", part=1), DONE)
    assert found[0]["thinking"] == ""
    assert unwrap_token(found[0]["signature"], "anthropic_messages") == token


def test_redacted_reasoning_is_one_block() -> None:
    token = Opaque(value="Em", dialect="anthropic_messages")
    found = blocks(BEGAN, ReasoningToken(token=token, part=0, is_redacted=True), TextDelta(text="x", part=1), DONE)
    assert found[0] == {"type": "redacted_thinking", "data": "Em"}


def test_summaries_are_written_as_paragraphs() -> None:
    deltas = [
        ReasoningDelta(text=text, part=0, is_summary=True, summary_index=index)
        for text, index in (("One", 0), (".", 0), ("Two", 1))
    ]
    assert blocks(BEGAN, *deltas, DONE)[0]["thinking"] == "One.\n\nTwo"


def test_the_input_of_a_call_is_always_written_as_deltas() -> None:
    events, _ = encode_stream(BEGAN, *call(0, '{"a":1}'), CALLS)
    start = next(event for event in events if event["type"] == "content_block_start")
    assert start["content_block"]["input"] == {}
    assert contents(events) == [use(0, a=1)]


def test_interleaved_parallel_calls_are_separated() -> None:
    mixed = [
        *call(0, '{"a":'), *call(1, '{"b":'), *call(2),
        ArgumentsDelta(text="1}", part=0), ArgumentsDelta(text='{"c":3}', part=2), ArgumentsDelta(text="2}", part=1),
    ]  # fmt: skip
    assert blocks(BEGAN, *mixed, CALLS) == [use(0, a=1), use(1, b=2), use(2, c=3)]


def test_events_after_an_unfinished_call_are_held_back() -> None:
    encoder = CLIENT.stream(any_call(), LossReport())
    encoder.encode([BEGAN, *call(0, '{"a":')])
    assert encoder.encode([TextDelta(text="later", part=1)]) == b""
    out = encoder.encode([ArgumentsDelta(text='"}"}', part=0)])
    assert b"later" in out
    assert out.index(b"content_block_stop") < out.index(b"later")


def test_held_events_are_written_part_by_part() -> None:
    mixed = [TextDelta(text=text, part=part) for text, part in (("a", 1), ("x", 2), ("b", 1), ("y", 2))]
    found = blocks(BEGAN, *call(0, "{"), *mixed, ArgumentsDelta(text="}", part=0), CALLS)
    assert [block.get("text") for block in found] == [None, "ab", "xy"]


def test_thousands_of_unfinished_calls_need_no_deep_stack_and_no_quadratic_time() -> None:
    began = [ToolCallStarted(id=f"c{part}", name="f", part=part) for part in range(20_000)]
    events, _ = encode_stream(BEGAN, *began, CALLS, one_by_one=False)
    assert len(contents(events)) == 20_000


def test_a_call_without_arguments_ends_with_its_part() -> None:
    assert blocks(BEGAN, *call(0), PartEnded(part=0), *call(1, '{"b":2}'), CALLS) == [use(0), use(1, b=2)]
    assert blocks(BEGAN, *call(0), *call(1, '{"b":2}'), CALLS) == [use(0), use(1, b=2)]
    assert blocks(BEGAN, *call(0, ""), *call(1, "", '{"b":2}'), *call(2), CALLS) == [use(0), use(1, b=2), use(2)]


def test_arguments_that_are_cut_off_are_unchanged() -> None:
    events, _ = encode_stream(BEGAN, *call(0, '{"a": "cut'), ChoiceFinished(stop=Stop(reason="length")))
    pieces = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(pieces) == '{"a": "cut'
    assert events[-2]["delta"]["stop_reason"] == "max_tokens"


def test_repeated_starts_of_a_call_are_ignored() -> None:
    again = ToolCallStarted(id="c0", name="f", part=0)
    found = blocks(BEGAN, *call(0, '{"a":'), again, ArgumentsDelta(text="1}", part=0), *call(1, "{}"), again, CALLS)
    assert found == [use(0, a=1), use(1)]


def test_text_that_continues_after_a_call_gets_another_block() -> None:
    found = blocks(BEGAN, TextDelta(text="a", part=0), *call(1, "{}"), TextDelta(text="b", part=0), CALLS)
    assert [block.get("text") for block in found] == ["a", None, "b"]


def test_the_free_text_of_a_custom_call_is_one_argument() -> None:
    began = ToolCallStarted(id="c0", name="f", part=0, kind="custom")
    pieces = [ArgumentsDelta(text=text, part=0) for text in ('say "', 'hi"\n')]
    assert blocks(BEGAN, began, *pieces, *call(1, "{}"), CALLS) == [use(0, input='say "hi"\n'), use(1)]


def test_a_signed_call_comes_after_its_signature() -> None:
    token = Opaque(value="s", origin="o", dialect="gemini")
    began = ToolCallStarted(id="c1", name="f", part=1, token=token)
    found = blocks(BEGAN, TextDelta(text="x", part=0), began, ArgumentsDelta(text="{}", part=1), CALLS)
    assert [block["type"] for block in found] == ["text", "thinking", "tool_use"]
    assert unwrap_token(found[1]["signature"], "anthropic_messages") == token


def test_empty_deltas_open_no_block() -> None:
    empty = [TextDelta(text=""), ReasoningDelta(text="", part=1), RefusalDelta(text="", part=2)]
    assert blocks(BEGAN, *empty, TextDelta(text="x"), TextDelta(text=""), DONE) == [{"type": "text", "text": "x"}]


def test_a_refusal_is_text_and_a_stop_reason() -> None:
    events, _ = encode_stream(BEGAN, RefusalDelta(text="No."), DONE)
    assert contents(events) == [{"type": "text", "text": "No."}]
    assert events[-2]["delta"]["stop_reason"] == "refusal"


def test_citations_are_deltas_of_their_text_block() -> None:
    citation = Citation(kind="url", url="https://a.example", dialect="gemini")
    events, lost = encode_stream(
        BEGAN,
        CitationDelta(citation=citation),
        TextDelta(text="x"),
        CitationDelta(citation=Citation(kind="file")),
        DONE,
    )
    found = contents(events)
    assert found[0]["text"] == "x"
    assert found[0]["citations"][0]["url"] == "https://a.example"
    assert lost == {"citations": "dropped", "usage": "emulated"}


def test_parts_without_an_equivalent_block_are_losses() -> None:
    image = Media(kind="image", source=Source(data="AA"))
    audio = Media(kind="audio", source=Source(data="AA"), transcript="La.")
    own = Foreign(dialect="anthropic_messages", kind="server_tool_use", raw={"type": "server_tool_use", "id": "s"})
    other = Foreign(dialect="gemini", kind="executableCode", raw={})
    parts = [WholePart(value=value, part=part) for part, value in enumerate((image, audio, own, other))]
    other_choice = [TextDelta(text="z", choice=1), ChoiceFinished(stop=Stop(reason="length"), choice=1)]
    events, lost = encode_stream(BEGAN, *parts, *other_choice, DONE)
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert contents(events) == [{"type": "text", "text": "La."}, own.raw]
    assert lost.pop("usage") == "emulated", "BEGAN reports none"
    assert lost == {"image": "dropped", "audio": "converted", "executableCode": "dropped", "n": "dropped"}


def test_the_first_event_has_the_number_of_input_tokens() -> None:
    counted = StreamStarted(usage=Usage(input_tokens=11, cache_read_tokens=900, output_tokens=40))
    events, _ = encode_stream(counted, TextDelta(text="x"), DONE)
    assert events[0]["message"]["usage"]["input_tokens"] == 11
    assert events[0]["message"]["usage"]["cache_read_input_tokens"] == 900
    assert events[-2]["usage"]["input_tokens"] == 11


def test_input_tokens_are_estimated_if_the_upstream_reports_them_last() -> None:
    """Agents that read 0 compact the conversation too late."""
    body = any_call(messages=[{"role": "user", "content": "x" * 4000}])
    encoder = CLIENT.stream(body, LossReport())
    out = encoder.encode([BEGAN, TextDelta(text="y" * 400), DONE, UsageUpdate(usage=Usage(input_tokens=7))])
    events = read_stream(out + encoder.end())
    assert events[0]["message"]["usage"]["input_tokens"] == 7, "reported, so it is not estimated"
    encoder = CLIENT.stream(body, LossReport())
    out = encoder.encode([BEGAN]) + encoder.encode([TextDelta(text="y" * 400), DONE])
    events = read_stream(out + encoder.end())
    assert 1000 <= events[0]["message"]["usage"]["input_tokens"] <= 1100
    assert events[-2]["usage"]["output_tokens"] == 100


def test_usage_after_the_finish_reason_is_in_the_last_delta() -> None:
    usage = Usage(input_tokens=3, output_tokens=5, reasoning_tokens=2)
    events, _ = encode_stream(BEGAN, TextDelta(text="x"), DONE, UsageUpdate(usage=usage))
    assert events[-2]["usage"] == {
        "input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 2},
    }  # fmt: skip


def test_the_stop_sequence_and_the_explanation_of_a_filter_are_written() -> None:
    events, _ = encode_stream(
        BEGAN, TextDelta(text="x"), ChoiceFinished(stop=Stop(reason="stop_sequence", sequence="END"))
    )
    assert events[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    events, lost = encode_stream(BEGAN, ChoiceFinished(stop=Stop(reason="content_filter", message="No.")))
    assert events[-2]["delta"]["stop_details"]["explanation"] == "No."
    assert lost == {"usage": "emulated"}


def test_a_stream_without_events_is_a_valid_message() -> None:
    encoder = CLIENT.stream(any_call(), LossReport())
    events = read_stream(encoder.end())
    assert events[0]["message"]["model"] == "public"
    assert events[0]["message"]["id"].startswith("msg_")


def test_an_error_is_written_as_an_event() -> None:
    encoder = CLIENT.stream(any_call(), LossReport())
    encoder.encode([BEGAN, TextDelta(text="x")])
    out = encoder.fail(errors.UpstreamDisconnected("The upstream closed the connection."))
    assert out.startswith(b"event: error\ndata: ")
    assert out.endswith(b"\n\n")
    assert json.loads(out[len(b"event: error\ndata: ") :])["error"]["type"] == "api_error"


PARTS = st.integers(0, 4)
EVENTS = st.one_of(
    st.builds(TextDelta, text=st.text(max_size=4), part=PARTS),
    st.builds(ReasoningDelta, text=st.text(max_size=4), part=PARTS),
    st.builds(
        ReasoningToken, token=st.just(Opaque(value="s", dialect="gemini")), part=PARTS, is_redacted=st.booleans()
    ),
    st.builds(ToolCallStarted, id=st.text(max_size=3), name=st.just("f"), part=PARTS),
    st.builds(ArgumentsDelta, text=st.sampled_from(["", "{", "}", '{"a":1}', '"', "\\"]), part=PARTS),
    st.builds(PartEnded, part=PARTS),
    st.builds(UsageUpdate, usage=st.just(Usage(input_tokens=1))),
)


@given(st.lists(EVENTS, max_size=25), st.sampled_from([DONE, CALLS, None]))
def test_the_stream_is_valid_for_any_events(events: list[Event], finish: ChoiceFinished | None) -> None:
    encoder = CLIENT.stream(any_call(), LossReport())
    out = b"".join(encoder.encode([event]) for event in [BEGAN, *events, *([finish] if finish else [])])
    read_stream(out + encoder.end())


@given(st.lists(st.tuples(PARTS, st.text(min_size=1, max_size=3)), max_size=20))
def test_no_text_is_lost_whatever_the_order(pieces: list[tuple[int, str]]) -> None:
    found = blocks(BEGAN, *(TextDelta(text=text, part=part) for part, text in pieces), DONE)
    assert "".join(block["text"] for block in found) == "".join(text for _, text in pieces)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_many_interleaved_calls_each_get_their_own_arguments(count: int) -> None:
    began: list[Event] = [ToolCallStarted(id=f"c{part}", name="f", part=part) for part in range(count)]
    texts = [json.dumps({"n": part, "s": "}{" * part}) for part in range(count)]
    pieces: list[Event] = []
    for at in range(max(map(len, texts))):
        pieces += [ArgumentsDelta(text=text[at], part=part) for part, text in enumerate(texts) if at < len(text)]
    found = blocks(BEGAN, *began, *pieces, CALLS)
    assert [block["input"]["n"] for block in found] == list(range(count))
