"""Relayed streams: pieces of text that arrive together are read at once, and nothing else changes."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import LossReport, errors
from intellirouter.dialects.anthropic_messages import CLIENT, SPEC, UPSTREAM
from intellirouter.dialects.anthropic_messages.upstream_stream import MessageStreamDecoder
from intellirouter.dialects.ir import Event, Response, TextDelta, collect, origin_of
from intellirouter.dialects.routes.passthrough import RelayedStream
from tests.support.dialects.anthropic_messages import any_call, deployment
from tests.support.dialects.golden import load, wire_of
from tests.support.dialects.raising import RaisingDecoder

DIALECT = "anthropic_messages"
DEPLOYMENT = deployment()


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def text(piece: str, index: int = 0) -> bytes:
    return event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})


START = event("message_start", message={"id": "m", "model": "c", "usage": {"input_tokens": 3, "output_tokens": 1}})
OPEN = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
PING = event("ping")
CLOSE = event("content_block_stop", index=0)
STOP = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}) + event("message_stop")
RUN = text("one ") + text('"two" \n\n event: content_block_delta\ndata: ') + text("three \u4f60")
MADE_UP = {
    "run": START + OPEN + RUN + CLOSE + STOP,
    "ping_in_the_run": START + OPEN + RUN + PING + RUN + CLOSE + STOP,
    "two_texts": START + OPEN + RUN + event("content_block_start", index=1) + text("x", 1) + text("y", 1) + STOP,
    "texts_of_two_blocks": START + OPEN + RUN + text("x", 1) + text("y", 1) + CLOSE + STOP,
    "no_start": RUN + CLOSE + STOP,
    "empty_texts": START + OPEN + text("") + text("") + CLOSE + STOP,
    "empty_text_in_the_run": START + OPEN + RUN + text("") + RUN + CLOSE + STOP,
    "no_name": START + OPEN + RUN + RUN.replace(b"event: content_block_delta\n", b"") + RUN + CLOSE + STOP,
    "id_before_the_run": START + OPEN + b"id: 7\n" + RUN + RUN + CLOSE + STOP,
    "id_in_the_run": START + OPEN + RUN + b"id: 7\n" + RUN + CLOSE + STOP,
    "citation_in_the_run": START
    + OPEN
    + RUN
    + event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {"cited_text": "a"}})
    + RUN
    + CLOSE
    + STOP,
    "run_after_the_end": START + OPEN + RUN + CLOSE + STOP + RUN,
    "blank_lines": START + OPEN + RUN.replace(b"\n\n", b"\n\n\n\n") + RUN + CLOSE + STOP,
}
STREAMS = MADE_UP | {name: wire_of(case) for name, case in load(DIALECT, "streams")}


def pieces_of(data: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream after some of its events."""
    ends = [place + 2 for place in range(len(data)) if data.startswith(b"\n\n", place)]
    cuts = sorted({0, len(data), *(ends[place % len(ends)] for place in places if ends)})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


def read(pieces: list[bytes], *, joins_texts: bool) -> tuple[list[Event], Response]:
    decoder = MessageStreamDecoder(origin_of(DEPLOYMENT), joins_texts=joins_texts)
    events = [found for piece in pieces for found in decoder.feed(piece)] + decoder.end()
    return events, collect(events, DIALECT)


def count(events: list[Event]) -> int:
    return sum(each.pieces for each in events if isinstance(each, TextDelta))


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 40), max_size=4))
def test_joining_changes_neither_the_answer_nor_the_count(name: str, places: list[int]) -> None:
    pieces = pieces_of(STREAMS[name], places)
    joined, answer = read(pieces, joins_texts=True)
    apart, expected = read(pieces, joins_texts=False)
    assert answer == expected
    assert count(joined) == count(apart)


@pytest.mark.parametrize(("name", "deltas"), [("run", 1), ("no_start", 1), ("ping_in_the_run", 6), ("two_texts", 5)])
def test_a_run_is_one_event_if_nothing_else_is_in_it(name: str, deltas: int) -> None:
    events, _ = read([MADE_UP[name]], joins_texts=True)
    assert len([each for each in events if isinstance(each, TextDelta)]) == deltas


def relayed(data: bytes) -> tuple[bytes, Any]:
    route = next(each.passthrough for each in SPEC.endpoints if each.name == DIALECT)  # type: ignore[attr-defined]
    relay = route.relay(any_call(), DEPLOYMENT)
    return relay.feed(data) + relay.end(), relay


@pytest.mark.parametrize("name", MADE_UP)
def test_relayed_bytes_and_counts_are_those_of_a_stream_that_is_read_one_by_one(name: str) -> None:
    sent, relay = relayed(MADE_UP[name])
    plain = RelayedStream(
        UPSTREAM.stream(DEPLOYMENT), CLIENT.stream(any_call(), LossReport()), UPSTREAM.splitter(), None, None
    )
    assert sent == plain.feed(MADE_UP[name]) + plain.end() == MADE_UP[name]
    assert (relay.content_events, relay.usage) == (plain.content_events, plain.usage)


@pytest.mark.parametrize("broken", [b'data: {"type":\n\n', b"<html>\n\n"])
def test_an_error_in_a_run_is_found(broken: bytes) -> None:
    decoder = RaisingDecoder(MessageStreamDecoder(joins_texts=True))
    with pytest.raises(errors.UpstreamMalformed):
        decoder.feed(START + OPEN + RUN + broken + RUN)


def test_stream_that_is_cut_within_its_end_has_either_the_end_or_an_error() -> None:
    whole = MADE_UP["run"]
    last = whole.index(b"event: message_stop")
    data_end = len(whole.rstrip())
    for size in range(last, len(whole) + 1):
        sent, relay = relayed(whole[:size])
        if size >= data_end:
            assert sent == whole[:size]
            assert relay.error is None
        else:
            assert sent.startswith(whole[:last] + b"event: error")
            assert sent.count(b"\nevent: error") == 1
            assert b"message_stop" not in sent.removeprefix(whole[:last]) or b"ended without `message_stop`" in sent
