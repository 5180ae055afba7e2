"""Relayed streams do not depend on how they are split, and only `end` returns the terminator."""

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Usage, errors
from intellirouter.dialects.openai_chat.passthrough_stream import ChatStreamRelay
from tests.support.dialects.chat_streams import END, call, chunk, cut, relayed, stream


def feed_all(relay: ChatStreamRelay, pieces: list[bytes], out: list[bytes]) -> None:
    """Feed all pieces and end. `out` gets the results, also if an error is raised."""
    out.extend(relay.feed(piece) for piece in pieces)
    out.append(relay.end())


ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": 'Hi \u4f60\U0001f600 "[DONE]" \n\n data: '})
RAW = b'{"choices":[{"index":0,"delta":{"content":"\xe4\xbd\xa0\xf0\x9f\x98\x80 braces }{"}}]}'
STOP = chunk("stop")
USAGE = chunk(usage={"prompt_tokens": 5, "completion_tokens": 3})
COUNTED = Usage(input_tokens=5, output_tokens=3)
FAILED = b'{"error":{"message":"it broke","code":"server_error"}}'
LONG = stream(*[RAW] * 8)
STOPPED = stream(STOP, USAGE)
CONTENT = stream(ROLE, HI, RAW, STOP)

# name: (upstream bytes, client bytes, whether the client requested usage, usage, finish reason)
GOLDEN: dict[str, tuple[bytes, bytes, bool, Usage | None, str | None]] = {
    "content": (CONTENT + END, CONTENT + END, False, None, "stop"),
    "no_done": (CONTENT, CONTENT + END, False, None, "stop"),
    "no_last_newline": (CONTENT[:-1], CONTENT + END, False, None, "stop"),
    "no_last_newlines": (CONTENT[:-2], CONTENT + END, False, None, "stop"),
    "done_without_newline": (CONTENT + END[:-2], CONTENT + END, False, None, "stop"),
    "after_done": (CONTENT + END + stream(HI), CONTENT + END, False, None, "stop"),
    "done_without_space": (CONTENT + b"data:[DONE]\n\n", CONTENT + b"data:[DONE]\n\n", False, None, "stop"),
    "done_with_spaces": (CONTENT + b"data:  [DONE] \r\n\r\n", CONTENT + END, False, None, "stop"),
    "parallel_tools": (
        stream(ROLE, chunk(call(0, name="f", arguments="")), chunk(call(1, name="g", arguments='{"a":')))
        + stream(chunk(call(0, arguments="{}")), chunk(call(1, arguments="1}")), chunk("tool_calls"))
        + END,
        stream(ROLE, chunk(call(0, name="f", arguments="")), chunk(call(1, name="g", arguments='{"a":')))
        + stream(chunk(call(0, arguments="{}")), chunk(call(1, arguments="1}")), chunk("tool_calls"))
        + END,
        False,
        None,
        "tool_calls",
    ),
    "usage_stripped": (CONTENT + stream(USAGE) + END, CONTENT + END, False, COUNTED, "stop"),
    "usage_kept": (CONTENT + stream(USAGE) + END, CONTENT + stream(USAGE) + END, True, COUNTED, "stop"),
    "usage_first": (stream(USAGE) + CONTENT + END, CONTENT + END, False, COUNTED, "stop"),
    "usage_on_a_choice": (
        stream(HI, chunk("length", usage={"prompt_tokens": 5, "completion_tokens": 3})) + END,
        stream(HI, chunk("length", usage={"prompt_tokens": 5, "completion_tokens": 3})) + END,
        False,
        COUNTED,
        "length",
    ),
    "usage_on_every_choice": (
        stream(chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}))
        + stream(chunk("stop", usage={"prompt_tokens": 5, "completion_tokens": 3})),
        stream(chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}))
        + stream(chunk("stop", usage={"prompt_tokens": 5, "completion_tokens": 3}))
        + END,
        False,
        COUNTED,
        "stop",
    ),
    "usage_null_stripped": (
        stream(chunk({"content": 'x ,"usage":null'}, usage=None), chunk({"content": "y"}, usage=None, z=1)) + CONTENT,
        stream(chunk({"content": 'x ,"usage":null'}), chunk({"content": "y"}, z=1)) + CONTENT + END,
        False,
        None,
        "stop",
    ),
    "usage_null_kept": (
        stream(chunk({"content": "x"}, usage=None), chunk({"content": "y"}, usage=None)) + CONTENT + END,
        stream(chunk({"content": "x"}, usage=None), chunk({"content": "y"}, usage=None)) + CONTENT + END,
        True,
        None,
        "stop",
    ),
    "two_choices": (
        stream(chunk({"content": "a"}, {"content": "b"}), chunk("stop", {"content": "c"}), chunk({}, "length")) + END,
        stream(chunk({"content": "a"}, {"content": "b"}), chunk("stop", {"content": "c"}), chunk({}, "length")) + END,
        False,
        None,
        "length",
    ),
    "empty_choices_first": (
        stream(chunk(), ROLE) + CONTENT,
        stream(chunk(), ROLE) + CONTENT + END,
        False,
        None,
        "stop",
    ),
    "finish_without_content": (stream(ROLE, STOP) + END, stream(ROLE, STOP) + END, False, None, "stop"),
    "comments": (
        b": one\n\n" + stream(ROLE) + b":\n\n" + stream(HI) + b": two\n\nevent: ping\n\n" + stream(STOP),
        b": one\n\n" + stream(ROLE) + b":\n\n" + stream(HI) + b": two\n\nevent: ping\n\n" + stream(STOP) + END,
        False,
        None,
        "stop",
    ),
    "named": (
        b"event: message\nid: 7\nretry: 5\n" + CONTENT + END,
        b"event: message\nid: 7\nretry: 5\n" + CONTENT + END,
        False,
        None,
        "stop",
    ),
    "no_space": (
        (CONTENT + END).replace(b"data: {", b"data:{"),
        (CONTENT + END).replace(b"data: {", b"data:{"),
        False,
        None,
        "stop",
    ),
    "multi_line": (
        b'data: {"choices":\ndata: [{"delta":{"content":"x"}}\ndata:]}\n\n' + CONTENT,
        b'data: {"choices":\ndata: [{"delta":{"content":"x"}}\ndata:]}\n\n' + CONTENT + END,
        False,
        None,
        "stop",
    ),
    "crlf": (
        (CONTENT + stream(USAGE) + END).replace(b"\n", b"\r\n"),
        CONTENT.replace(b"\n", b"\r\n") + END,
        False,
        COUNTED,
        "stop",
    ),
    "cr": ((CONTENT + END).replace(b"\n", b"\r"), CONTENT.replace(b"\n", b"\r") + END, False, None, "stop"),
    "error_after_content": (
        stream(ROLE, HI, FAILED, HI) + END,
        stream(ROLE, HI, FAILED),
        False,
        None,
        None,
    ),
    "error_null": (
        stream(chunk({"content": "x"}, error=None), chunk({"content": "x"}, error=None), STOP),
        stream(chunk({"content": "x"}, error=None), chunk({"content": "x"}, error=None), STOP) + END,
        False,
        None,
        "stop",
    ),
    "long": (LONG + STOPPED + END, LONG + stream(STOP) + END, False, COUNTED, "stop"),
    "long_and_kept_usage": (LONG + STOPPED + END, LONG + STOPPED + END, True, COUNTED, "stop"),
    "content_after_the_finish": (
        LONG + STOPPED + LONG + END,
        LONG + stream(STOP) + LONG + END,
        False,
        COUNTED,
        "stop",
    ),
    "blank_lines": (
        LONG.replace(b"\n\n", b"\n\n\n\n") + STOPPED + END,
        LONG.replace(b"\n\n", b"\n\n\n\n") + stream(STOP) + END,
        False,
        COUNTED,
        "stop",
    ),
    "comment_in_a_long_run": (
        LONG + b": keep-alive\n\n" + LONG + STOPPED + END,
        LONG + b": keep-alive\n\n" + LONG + stream(STOP) + END,
        False,
        COUNTED,
        "stop",
    ),
    "huge_event": (
        stream(chunk({"content": "x" * 3000})) + CONTENT + END,
        stream(chunk({"content": "x" * 3000})) + CONTENT + END,
        False,
        None,
        "stop",
    ),
}
golden = pytest.mark.parametrize(("sent", "expected", "keeps_usage", "usage", "finish"), GOLDEN.values(), ids=GOLDEN)


@golden
def test_a_relayed_stream_is_the_same_at_every_split(
    sent: bytes, expected: bytes, keeps_usage: bool, usage: Usage | None, finish: str | None
) -> None:
    for pieces in itertools.chain(
        ([sent], [sent[place : place + 1] for place in range(len(sent))]),
        (cut(sent, place) for place in range(1, len(sent))),
    ):
        fed, last, relay = relayed(pieces, keeps_usage=keeps_usage)
        assert fed + last == expected
        assert (relay.usage, relay.finish_reason) == (usage, finish)
        assert (b"it broke" if relay.error else b"[DONE]") in last
        assert b"[DONE]\n" not in fed.replace(b"\r", b"\n")
        assert b"it broke" not in fed
        assert (relay.error is not None) == (b"it broke" in sent)


@given(st.sampled_from(list(GOLDEN.values())), st.lists(st.integers(0, 4000), max_size=12))
def test_a_relayed_stream_is_the_same_in_random_pieces(
    case: tuple[bytes, bytes, bool, Usage | None, str | None], places: list[int]
) -> None:
    sent, expected, keeps_usage, usage, finish = case
    pieces = cut(sent, *(min(place, len(sent)) for place in places))
    fed, last, relay = relayed(pieces, keeps_usage=keeps_usage)
    assert fed + last == expected
    assert (relay.usage, relay.finish_reason) == (usage, finish)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        call(0, name="f", arguments=""),
        {"function_call": {"name": "f"}},
        {"refusal": "no"},
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"audio": {"id": "a"}},
    ],
    ids=lambda delta: next(iter(delta)),
)
def test_all_kinds_of_content_count_as_first_content(delta: dict[str, Any]) -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    assert relay.feed(stream(ROLE)) == b""
    assert not relay.has_content
    assert relay.feed(stream(chunk(delta))) == stream(ROLE, chunk(delta))
    assert relay.has_content
    assert relay.content_events == 1
    assert relay.feed(stream(STOP)) == stream(STOP)
    assert relay.end() == END


def test_a_text_completion_in_a_choice_is_content() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    event = b'data: {"choices":[{"text":"x"}]}\n\n'
    assert relay.feed(event) == event
    assert relay.has_content


def test_content_events_are_counted_on_the_fast_and_the_slow_path() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    for _ in range(3):
        relay.feed(stream(RAW, RAW))
    relay.feed(stream(RAW, STOP))
    assert relay.content_events == 7
    assert relay.finish_reason == "stop"


@golden
def test_content_is_counted_alike_whether_events_arrive_together_or_not(
    sent: bytes, expected: bytes, keeps_usage: bool, usage: Usage | None, finish: str | None
) -> None:
    del expected, usage, finish
    _, _, together = relayed([sent], keeps_usage=keeps_usage)
    _, _, apart = relayed([sent[place : place + 1] for place in range(len(sent))], keeps_usage=keeps_usage)
    if together.usage is None:  # otherwise the number is not needed, and may include events without content
        assert together.content_events == apart.content_events


def test_events_without_choices_are_not_counted_as_content() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    relay.feed(stream(RAW))
    relay.feed(stream(*[b'{"choices":[]}'] * 100, RAW))
    assert relay.content_events == 2


def test_nothing_is_relayed_after_the_terminator() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    relay.feed(CONTENT + END)
    assert relay.is_finished
    assert relay.feed(stream(HI)) == b""
    assert relay.end() == END


def test_an_empty_piece_changes_nothing() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    assert relay.feed(b"") == b""
    assert relay.feed(CONTENT[:5]) == b""
    assert relay.feed(b"") == b""
    assert relay.feed(CONTENT[5:]) == CONTENT


INVALID_WITHOUT_CONTENT = {
    "empty": b"",
    "blank": b"\n\n\r\n",
    "comments_only": b": a\n\n: b\n\n",
    "role_only": stream(ROLE),
    "html": b"<html>\n\n<body>502</body></html>\n",
    "html_without_blank_line": b"<html><body>502</body></html>",
    "whole_json": b'{"choices":[{"message":{"content":"x"}}]}',
    "truncated_json": stream(ROLE) + b'data: {"choices":[{"delta":{"content":"x',
    "truncated_event": stream(b'{"choices":[{"delta":{"content":"x"}'),
    "no_object": stream(b"[1]"),
    "empty_data": stream(b""),
    "odd_choices": stream(b'{"choices":"x"}'),
    "odd_finish": stream(b'{"choices":[{"finish_reason":7}]}'),
    "deep": stream(b'{"choices":[{"delta":{"content":' + b"[" * 50_000 + b"]" * 50_000 + b"}}]}"),
    "invalid_utf8": stream(b'{"choices":[{"delta":{"content":"\xff"}}]}'),
    "invalid_utf8_in_what_we_skip": stream(b'{"choices":[{"delta":{"content":"x"}}],"unknown":"\xff"}'),
    "invalid_utf8_in_a_comment": b": \xff\n\n" + stream(HI),
}


@pytest.mark.parametrize("sent", INVALID_WITHOUT_CONTENT.values(), ids=INVALID_WITHOUT_CONTENT)
def test_an_invalid_stream_without_content_sends_nothing_to_the_client(sent: bytes) -> None:
    places = range(len(sent) + 1) if len(sent) < 1000 else (0, 9, 50_000)
    for place in places:
        relay = ChatStreamRelay(keeps_usage=False)
        out: list[bytes] = []
        with pytest.raises(errors.UpstreamMalformed):
            feed_all(relay, cut(sent, place), out)
        assert not any(out)
        assert not relay.has_content


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (stream(FAILED), errors.UpstreamUnavailable),
        (stream(ROLE, FAILED, HI), errors.UpstreamUnavailable),
        (b"event: error\n" + stream(FAILED), errors.UpstreamUnavailable),
        (stream(b'{"error":"it broke"}'), errors.UpstreamUnavailable),
        (stream(b'{"error":{"code":429,"message":"slow down"}}'), errors.UpstreamRateLimited),
        (stream(ROLE) + b'data: {"error":"it broke"}', errors.UpstreamUnavailable),
        (FAILED, errors.UpstreamUnavailable),
        (FAILED + b"\r\n", errors.UpstreamUnavailable),
    ],
)
def test_an_error_before_content_is_raised(sent: bytes, kind: type[errors.UpstreamError]) -> None:
    for place in range(len(sent) + 1):
        relay = ChatStreamRelay(keeps_usage=False)
        out: list[bytes] = []
        with pytest.raises(kind):
            feed_all(relay, cut(sent, place), out)
        assert not any(out)


INVALID_AFTER_CONTENT = {
    "cut_off": b"",
    "cut_in_an_event": b'data: {"choices":[{"delta":{"cont',
    "truncated_event": stream(b'{"choices":[{"delta":{"content":"x"', HI),
    "html": b"<html>\n\n",
    "invalid_utf8": stream(b'{"choices":[{"delta":{"content":"\xc3"}}]}', HI),
    "invalid_utf8_in_a_comment": b": \xff\n\n",
    "invalid_utf8_in_a_rest_without_end": b": \xff",
    "usage_without_finish": stream(USAGE),
}


@pytest.mark.parametrize("invalid", INVALID_AFTER_CONTENT.values(), ids=INVALID_AFTER_CONTENT)
def test_a_stream_that_is_invalid_after_content_is_not_completed(invalid: bytes) -> None:
    good = stream(ROLE, HI, RAW)
    sent = good + invalid
    for pieces in ([sent], *(cut(sent, place) for place in range(len(sent))), [bytes([each]) for each in sent]):
        relay = ChatStreamRelay(keeps_usage=False)
        out: list[bytes] = []
        with pytest.raises(errors.UpstreamMalformed):
            feed_all(relay, pieces, out)
        assert good.startswith(b"".join(out))
    assert b"".join(out) == good  # the last stream was fed byte by byte, so all valid events were relayed


def test_a_split_character_is_relayed_completely() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    relay.feed(stream(HI))
    event = stream(RAW)
    place = event.index(b"\xe4") + 1
    assert relay.feed(event[:place]) == b""
    assert relay.feed(event[place:]) == event


def test_a_stream_without_content_is_limited() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    comment = b": " + b"x" * 1000 + b"\n\n"
    for _ in range(261):
        assert relay.feed(comment) == b""
    with pytest.raises(errors.UpstreamMalformed, match="no content in its first"):
        relay.feed(comment)


def test_an_event_with_invalid_usage_is_relayed() -> None:
    event = stream(b'{"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":1e999}}')
    relay = ChatStreamRelay(keeps_usage=False)
    assert relay.feed(event) == event
    assert relay.usage is None


def test_a_relayed_error_is_available() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    assert relay.feed(stream(HI, FAILED)) == stream(HI)
    assert isinstance(relay.error, errors.UpstreamUnavailable)
    assert relay.is_finished
    assert relay.end() == stream(FAILED)


texts = st.text(max_size=20) | st.sampled_from(['"usage":{', ',"usage":null', '"error":', "[DONE]", "\n\ndata: ", "\\"])


@given(st.lists(texts, min_size=1, max_size=6), st.lists(st.integers(0, 2000), max_size=8), st.booleans())
def test_text_that_looks_like_structure_is_relayed(texts_before: list[str], places: list[int], is_ascii: bool) -> None:
    events = [
        json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=is_ascii).encode("utf-8", "replace")
        for text in [*texts_before, "x"]
    ]
    sent = stream(*events, STOP) + END
    fed, last, relay = relayed(cut(sent, *(min(place, len(sent)) for place in places)))
    assert fed + last == sent
    assert relay.error is None
    assert relay.usage is None
    assert all(msgspec.json.decode(line[6:]) for line in fed.splitlines() if line.startswith(b"data: {"))
