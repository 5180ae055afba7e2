"""What the relay of a stream rejects after content, and what the client gets before the error."""

import msgspec
import pytest

from intellirouter.core import errors
from intellirouter.dialects.openai_chat import relayed_text
from intellirouter.dialects.openai_chat.passthrough_stream import ChatStreamRelay
from tests.support.dialects.chat_streams import END, call, chunk, cut, relayed, stream

HI = chunk({"content": 'Hi \u4f60\U0001f600 "[DONE]" \n\n data: '})
RAW = b'{"choices":[{"index":0,"delta":{"content":"\xe4\xbd\xa0\xf0\x9f\x98\x80 braces }{"}}]}'
STOP = chunk("stop")


REPEATED = "I am sorry, I cannot help. " * 5_000


def outcome(pieces: list[bytes]) -> str:
    try:
        relayed(pieces)
    except errors.UpstreamMalformed as error:
        return error.message
    return ""


@pytest.mark.parametrize("chars", [5, 200, 3_000, 100_000])
@pytest.mark.parametrize("per_block", [1, 10_000])
@pytest.mark.parametrize(
    ("size", "reason"), [(2_500, "length"), (6_500, "length"), (20_000, "stop"), (100_000, "stop")]
)
def test_repetition_is_found_at_every_size_of_events(chars: int, per_block: int, size: int, reason: str) -> None:
    text = REPEATED[:size]
    events = [stream(chunk({"content": text[at : at + chars]})) for at in range(0, size, chars)]
    events += [stream(chunk(reason)), END]
    blocks = [b"".join(events[at : at + per_block]) for at in range(0, len(events), per_block)]
    assert "repeats itself" in outcome(blocks)


@pytest.mark.parametrize(
    ("size", "reason", "piece"),
    [
        (2_100, "length", "I am sorry, I cannot help. "),
        (2_600, "length", "I am sorry, I cannot help. "),
        (5_000, "length", "I am sorry, I cannot help. "),
        (16_500, "length", "One two three " * 28),
        (18_050, "stop", "I am sorry, I cannot help. "),
        (19_900, "stop", "I am sorry, I cannot help. "),
    ],
)
@pytest.mark.parametrize("per_block", [1, 100, 10_000])
def test_short_events_at_the_beginning_are_not_left_out(size: int, reason: str, piece: str, per_block: int) -> None:
    text = (piece * 2_000)[:size]
    envelope = {"system_fingerprint": "f" * 200}
    events = [stream(chunk({"content": text[at : at + 3]}, **envelope)) for at in range(0, size, 3)]
    events += [stream(chunk(reason, **envelope)), END]
    blocks = [b"".join(events[at : at + per_block]) for at in range(0, len(events), per_block)]
    assert "repeats itself" in outcome(blocks)


def test_what_is_set_aside_is_bounded() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    text = relay._text
    event = stream(chunk({"content": ""}, system_fingerprint="f" * 5_000))
    relay.feed(stream(HI))
    largest = 0
    for _ in range(500):
        relay.feed(event)
        largest = max(largest, sum(map(len, text._early)))
    assert not text.is_read
    assert 400_000 < largest <= 512 * 1024
    assert text._early == []


def test_a_stream_is_cut_off_if_one_choice_has_not_finished() -> None:
    events = [chunk({"content": "a"}, {"content": "b"}), chunk("stop"), chunk({}, {"content": "more"})]
    for pieces in ([stream(*events)], [stream(event) for event in events]):
        assert "cut off" in outcome(pieces)


def test_a_finish_is_put_in_for_each_choice_without_one() -> None:
    _, last, relay = relayed([stream(chunk({"content": "a"}, {"content": "b"}), chunk("stop"), HI) + END])
    finishes = [msgspec.json.decode(line[6:])["choices"][0] for line in last.splitlines() if b"{" in line]
    assert [(each["index"], each["finish_reason"]) for each in finishes] == [(1, "stop")]
    assert relay.finish_reason is None, "nobody knows whether the answer is complete"


def test_the_finish_that_is_put_in_does_not_depend_on_the_split() -> None:
    sent = stream(HI, RAW, chunk(call(0, name="f", arguments="{}")), RAW, RAW, chunk({})) + END
    for place in range(len(sent)):
        _, last, relay = relayed(cut(sent, place))
        assert b'"finish_reason":"tool_calls"' in last
        assert relay.finish_reason is None


def test_json_on_several_lines_without_a_field_is_malformed() -> None:
    broken = b'data: {"choices":\n[{"index":0,"delta":{"content":"b"}}]}\n\n'
    for pieces in ([stream(HI), broken + stream(STOP) + END], [stream(HI) + broken + stream(STOP) + END]):
        assert "invalid chat completion chunk" in outcome(pieces)


@pytest.mark.parametrize("invalid", [b"data: {bad\n\n", b'data: "\xff"\n\n', b"<html>\n\n"])
def test_the_client_gets_what_came_before_a_malformed_event(invalid: bytes) -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    relay.feed(stream(HI))
    assert relay.feed(stream(RAW, RAW) + invalid + stream(HI)) == stream(RAW, RAW)
    assert relay.is_finished
    with pytest.raises(errors.UpstreamMalformed):
        relay.end()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_an_event_of_the_type_error_is_an_error_whatever_its_data_says(line_end: bytes) -> None:
    failure = b'event: error\ndata: {"message":"boom"}\n\n'.replace(b"\n", line_end)
    _, last, relay = relayed([stream(HI), failure, stream(STOP, b"[DONE]")])
    assert isinstance(relay.error, errors.UpstreamUnavailable)
    assert "boom" in relay.error.message
    assert b"[DONE]" not in last
    with pytest.raises(errors.UpstreamUnavailable, match="boom"):
        relayed([failure])


def test_a_stream_that_is_checked_elsewhere_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relayed_text, "_texts", lambda _: pytest.fail("The text was read."))
    relay = ChatStreamRelay(keeps_usage=False, text=relayed_text.UnwatchedText())
    for _ in range(50):
        relay.feed(stream(HI))
    relay.feed(stream(STOP, b"[DONE]"))
    relay.end()
    assert relay.error is None
