"""Server-sent events: the examples of the HTML standard, and streams that are split at any byte."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import errors
from intellirouter.dialects import SseEvent, SseParser
from intellirouter.dialects.wire.sse import (
    EventReader,
    EventSplitter,
    data_lines,
    event_data,
    has_foreign_lines,
    iterate_events,
    last_boundary,
    split_events,
)

ENDS = pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])


def parse(stream: bytes, cuts: list[int] | None = None) -> list[SseEvent]:
    parser, events = SseParser(), []
    edges = [0, *sorted(cuts or []), len(stream)]
    for start, stop in itertools.pairwise(edges):
        events += parser.feed(stream[start:stop])
    return events


# The examples of https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
STANDARD = [
    (
        (
            b"data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n"
            b"data: This is the third message.\n\n"
        ),
        ["This is the first message.", "This is the second message, it\nhas two lines.", "This is the third message."],
    ),
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", ["YHOO\n+2\n10"]),
    (b"data\n\ndata\ndata\n\ndata:", ["", "\n"]),
    (b"data:test\n\ndata: test\n\n", ["test", "test"]),
    (b"data:  two spaces\n\n", [" two spaces"]),
    (b": a comment\n\n:\n\n", []),
    (b"retry: 10000\nunknown: x\nunknown\n\n", []),
    (b"data: not closed", []),
    (b"\xef\xbb\xbfdata: after a byte order mark\n\n", ["after a byte order mark"]),
    (b"\n\xef\xbb\xbfdata: not at the start\n\n", []),
    ("data: h\u00e9 \u4f60 \U0001f600\n\n".encode(), ["h\u00e9 \u4f60 \U0001f600"]),
    (b"data: bad \xff byte\n\n", ["bad \N{REPLACEMENT CHARACTER} byte"]),
    (b"", []),
]


@ENDS
@pytest.mark.parametrize(("stream", "expected"), STANDARD)
def test_the_examples_of_the_standard_are_parsed_at_any_split(stream: bytes, expected: list[str], end: bytes) -> None:
    # A CR at the end may be half of a CRLF, so the parser waits for another byte.
    stream = stream.replace(b"\n", end) + (b":" if end == b"\r" else b"")
    assert [event.data for event in parse(stream)] == expected
    for cut in range(len(stream)):
        assert [event.data for event in parse(stream, [cut])] == expected
    assert [event.data for event in parse(stream, list(range(len(stream))))] == expected


def test_event_types_and_ids_follow_the_standard() -> None:
    stream = (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
        b"event: add\ndata: 73857293\nid: 4\n\nevent: lost\n\ndata: same id\nid: n\0l\n\n"
    )
    assert parse(stream) == [
        SseEvent("first event", "", "1"),
        SseEvent("second event", "", ""),
        SseEvent(" third event", "", ""),
        SseEvent("73857293", "add", "4"),
        SseEvent("same id", "", "4"),
    ]


lines = st.sampled_from(
    [b"data: x", b"data:y", b"data", b": c", b"event: e", b"id: 1", b"", b"", b"data: \xc3\xa9", b"zz"]
)
streams = st.builds(
    lambda parts, end: end.join(parts) + end + end + b":",
    st.lists(lines, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
)


@given(streams, st.lists(st.integers(0, 80), max_size=6))
def test_parsed_events_do_not_depend_on_splits(stream: bytes, cuts: list[int]) -> None:
    assert parse(stream, [min(cut, len(stream)) for cut in cuts]) == parse(stream)


mixed = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"data: x", b"a"]), max_size=14).map(b"".join)


@given(mixed | streams, st.lists(st.integers(0, 80), max_size=6))
def test_the_splitter_keeps_all_bytes_and_returns_complete_events(stream: bytes, cuts: list[int]) -> None:
    splitter, blocks = EventSplitter(), []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in itertools.pairwise(edges):
        blocks.append(splitter.feed(stream[start:stop]))
    rest = splitter.rest()
    assert b"".join(blocks) + rest == stream
    assert last_boundary(rest) == 0
    assert all(last_boundary(block) == len(block) for block in blocks)
    assert splitter.rest() == b""


@given(mixed)
def test_split_events_add_up_to_the_block(block: bytes) -> None:
    parts = split_events(block)
    assert list(iterate_events(block)) == parts
    assert b"".join(parts) == block
    assert all(parts)


@ENDS
def test_events_end_after_their_blank_line(end: bytes) -> None:
    first, second = b"data: 1" + end * 2, b"data: 2" + end + b"data: 3" + end * 2
    assert split_events(first + second + b"rest") == [first, second, b"rest"]
    assert last_boundary(first + second + b"rest" + end) == len(first + second)
    assert last_boundary(b"rest" + end) == 0


def test_the_size_of_an_event_is_limited() -> None:
    splitter = EventSplitter(limit_bytes=10)
    assert splitter.feed(b"0123456789") == b""
    assert splitter.feed(b"\n\n") == b"0123456789\n\n"
    assert splitter.feed(b"01234") == b""
    with pytest.raises(errors.UpstreamMalformed, match="larger than 10 bytes"):
        splitter.feed(b"567890")


def test_an_incomplete_event_after_a_complete_one_is_limited() -> None:
    with pytest.raises(errors.UpstreamMalformed):
        EventSplitter(limit_bytes=10).feed(b"data: 1\n\n01234567890")


def test_the_limit_applies_to_each_event() -> None:
    block = b"data: 1\n\n" * 100
    assert EventSplitter(limit_bytes=10).feed(block) == block


def test_a_large_event_in_small_pieces_takes_linear_time() -> None:
    splitter, piece = EventSplitter(), b"x" * 100
    started = time.process_time()
    for _ in range(100_000):
        assert splitter.feed(piece) == b""
    assert len(splitter.feed(b"\n\n")) == 10_000_002
    assert time.process_time() - started < 5.0  # joining again for each piece would copy 500 GB


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\n\n", b"{}"),
        (b"data: {}\r\n\r\n", b"{}"),
        (b"data:{}\r\r", b"{}"),
        (b"data: {\ndata: }\n\n", b"{\n}"),
        (b"data\n\n", b""),
        (b"data:\n\n", b""),
        (b": c\ndata: 1\nid: 4\n\n", b"1"),
        (b"event: ping\n\n", None),
        (b": c\n\n", None),
        (b"\n\n", None),
        (b"database: x\n\n", None),
    ],
)
def test_event_data_returns_the_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert event_data(event) == data


@pytest.mark.parametrize(
    ("event", "is_foreign"),
    [
        (b"data: x\n\n", False),
        (b": x\r\n\r\n", False),
        (b"event: x\rid: 1\rretry: 5\r\r", False),
        (b"\n\n", False),
        (b"<html>\n\n", True),
        (b'{"error":1}\n\n', True),
        (b"data: x\nfoo: bar\n\n", True),
    ],
)
def test_lines_that_are_not_sse_are_detected(event: bytes, is_foreign: bool) -> None:
    assert has_foreign_lines(event) is is_foreign


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        ('{"error": {"message": "out of memory"}}', "out of memory"),
        ("x" + "é" * 400, "éé"),  # a quotation may end within a multi-byte character
        ("<!doctype html><html><h1>502 Bad Gateway</h1></html>", "a web page"),
    ],
)
def test_the_error_quotes_what_was_received_instead_of_a_stream(body: str, quoted: str) -> None:
    reader = EventReader()
    assert reader.feed(body.encode()) + reader.end() == []
    with pytest.raises(errors.UpstreamMalformed) as caught:
        reader.check(_no_error_event)
    assert quoted in caught.value.message
    assert "<h1>" not in caught.value.message


SHAPES = [
    "data: a",
    "data:b",
    "data:  c  ",
    "event: x\ndata: d",
    "event: x\ndata: d\ndata: e",
    "data: f\ndata: g",
    "data: h\nid: 1",
    "id: 2\ndata: i",
    "event: x",
    ": comment",
    ": comment\ndata: j",
    "retry: 5",
    "data",
    "\ndata: k",
]


@given(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_events_of_a_block_are_those_of_its_parts(shapes: list[str], end: str) -> None:
    block = "".join(shape + "\n\n" for shape in shapes).replace("\n", end).encode()
    one_by_one = [data for event in split_events(block) if (data := event_data(event)) is not None]
    assert EventReader().feed(block) == one_by_one


@pytest.mark.parametrize(
    "block",
    [
        b'data: {"a":1}\n\ndata:{"b":2}\n\n',
        b"data: 1\n\n",
    ],
)
def test_data_of_events_that_are_one_line_each(block: bytes) -> None:
    events = split_events(block)
    expected = b"".join([(event_data(event) or b"") + b"\n" for event in events])
    found = data_lines(block)
    assert found is not None
    assert (found[0].replace(b" ", b""), found[1]) == (expected, len(events))


def test_data_of_events_that_are_one_line_each_after_their_type() -> None:
    block = b"event: x\ndata: 1\n\nevent: x\ndata: 2\n\n"
    assert data_lines(block, b"event: x\n") == (b" 1\n 2\n", 2)


@pytest.mark.parametrize(
    ("block", "type_line"),
    [
        (b'data: {"a":1}\n\n{"b":2}\n\n', b""),
        (b'data: {"a":\n1}\n\ndata: {"b":2}\n\n', b""),
        (b'data: {"a":1}\n\ndata: {"b":2}\n', b""),
        (b'data: {"a":1}\n\ndata: {"b":2}', b""),
        (b'data: {"a":\r1}\n\ndata: {"b":2}\n\n', b""),
        (b"data: 1\r\n\r\ndata: 2\r\n\r\n", b""),
        (b'{"a":1}\ndata:\n', b""),
        (b'{"a":1}\ndata:\n\n', b""),
        (b": x\n\ndata: 1\n\n", b""),
        (b" data: 1\n\n", b""),
        (b"\n\ndata: 1\n\n", b""),
        (b"event: x\ndata: 1\n\nevent: y\ndata: 2\n\n", b"event: x\n"),
        (b"event: x\ndata: 1\n\nevent: x\n 2\n\n", b"event: x\n"),
        (b"event: x\ndata: 1\ndata: 2\n\n", b"event: x\n"),
        (b"data: 1\nevent: x\n\n", b"event: x\n"),
        (b"event: x\ndata: 1\n\n\nevent: x\ndata: 1\n", b"event: x\n"),
    ],
)
def test_events_of_any_other_form_are_read_one_by_one(block: bytes, type_line: bytes) -> None:
    assert data_lines(block, type_line) is None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("event", "message"),
    [
        (b"<html>", "a web page instead of an event stream"),
        (b"data: \xff", "not valid UTF-8"),
    ],
)
def test_what_is_not_an_event_is_rejected_after_the_valid_events(event: bytes, message: str, end: str) -> None:
    reader = EventReader()
    block = b"data: a\n\n" + event + b"\n\ndata: b\n\n"
    assert reader.feed(block.replace(b"\n", end.encode())) == [b"a"]
    with pytest.raises(errors.UpstreamMalformed, match=message):
        reader.check(_no_error_event)


def test_an_event_that_is_too_large_is_rejected() -> None:
    reader = EventReader(limit_bytes=10)
    assert reader.feed(b"data: a\n\n") == [b"a"]
    reader.check(_no_error_event)
    assert reader.feed(b"data: 0123456789") == []
    with pytest.raises(errors.UpstreamAnswerTooLarge):
        reader.check(_no_error_event)


@pytest.mark.parametrize(
    "head", [b"event: error\n", b"event:error\n", b"id: 1\nevent: error\n", b"event: error \n: c\n"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_reader_stops_at_an_error_event(head: bytes, end: str) -> None:
    reader = EventReader()
    block = b"data: a\n\n" + head + b'data: {"text": "slow"}\n\ndata: b\n\n'
    assert reader.feed(block.replace(b"\n", end.encode())) == [b"a"]
    with pytest.raises(errors.UpstreamRateLimited) as caught:
        reader.check(lambda data: errors.UpstreamRateLimited(data.decode()))
    assert caught.value.message == '{"text": "slow"}'


@pytest.mark.parametrize("event", [b"event: errors", b"event: error.x", b": event: error"])
def test_other_event_types_are_not_errors(event: bytes) -> None:
    reader = EventReader()
    assert reader.feed(event + b"\ndata: a\n\ndata: event: error\n\n") == [b"a", b"event: error"]
    reader.check(_no_error_event)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_documents_end_with_their_event(end: bytes) -> None:
    events = [b"data: a\n\n", b": comment\n\ndata: b\ndata: c\n\n", b"event: x\ndata: d\n\n"]
    events = [event.replace(b"\n", end) for event in events]
    assert EventSplitter().documents(b"".join(events) + b": last" + end + end + b"data: cut") == events


def _no_error_event(data: bytes) -> errors.UpstreamError:
    raise AssertionError(data)
