"""Streams: written for clients of this dialect, relayed, and read from its upstreams."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport, Usage, errors
from intellirouter.dialects.gemini import CLIENT, UPSTREAM
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    Citation,
    CitationDelta,
    Media,
    Opaque,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    Source,
    Stop,
    StreamEnded,
    StreamStarted,
    Text,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.routes.passthrough import RelayedStream
from tests.support.dialects.gemini import deployment, documents_in, encode_stream, read_stream, stream_call
from tests.support.dialects.raising import RaisingDecoder

DONE = ChoiceFinished(stop=Stop(reason="stop"))


def parts_of(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for each in documents for part in each["candidates"][0]["content"]["parts"]]


def test_a_call_is_written_in_one_chunk_with_all_its_arguments() -> None:
    found = encode_stream(
        StreamStarted(id="r"),
        ToolCallStarted(id="a", name="f", part=0),
        ToolCallStarted(id="b", name="g", part=1),
        ArgumentsDelta(text='{"x"', part=0),
        ArgumentsDelta(text='{"y":', part=1),
        ArgumentsDelta(text=":1}", part=0),
        PartEnded(part=0),
        ArgumentsDelta(text="2}", part=1),
        ToolCallStarted(id="c", name="h", part=2),
        ChoiceFinished(stop=Stop(reason="tool_calls")),
        UsageUpdate(usage=Usage(input_tokens=1, output_tokens=2)),
    )
    assert parts_of(found)[:-1] == [
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
        {"functionCall": {"id": "b", "name": "g", "args": {"y": 2}}},
        {"functionCall": {"id": "c", "name": "h", "args": {}}},
    ]
    assert found[-1]["usageMetadata"]["totalTokenCount"] == 3
    assert {each["responseId"] for each in found} == {"r"}
    assert ["finishReason" in each["candidates"][0] for each in found] == [False, False, False, True]


def test_a_call_without_an_end_event_is_written() -> None:
    assert parts_of(encode_stream(StreamStarted(), ToolCallStarted(id="a", name="f"))[:1]) == [
        {"functionCall": {"id": "a", "name": "f", "args": {}}}
    ]


@pytest.mark.parametrize("is_array", [False, True])
def test_all_kinds_of_events(*, is_array: bool) -> None:
    token = Opaque("sig", "", "gemini")
    found = encode_stream(
        StreamStarted(usage=Usage(input_tokens=9)),
        ReasoningDelta(text="a", is_summary=True),
        ReasoningDelta(text="b", is_summary=True, summary_index=1),
        ReasoningToken(token=token),
        TextDelta(text="x", part=1, logprobs=[{"token": "x", "logprob": -1.0}]),
        TextDelta(text="", part=1),
        TextDelta(text="y", part=2, token=token),
        CitationDelta(citation=Citation(kind="url", url="https://a", start=0, end=1), part=2),
        RefusalDelta(text="no", part=3),
        WholePart(value=Media(kind="image", source=Source(data="AA==")), part=4),
        DONE,
        is_array=is_array,
    )
    assert parts_of(found) == [
        {"text": "a", "thought": True},
        {"text": "\n\nb", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "sig"},
        {"text": "x"},
        {"text": "y", "thoughtSignature": "sig"},
        {"text": "no"},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"text": ""},
    ]
    assert found[3]["candidates"][0]["logprobsResult"]["chosenCandidates"] == [{"token": "x", "logProbability": -1.0}]
    support = found[-1]["candidates"][0]["groundingMetadata"]["groundingSupports"][0]
    assert support["segment"]["text"] == "y"


def test_an_array_is_one_json_document_for_every_ending() -> None:
    encoder = CLIENT.stream(stream_call(is_array=True), LossReport())
    wire = (
        encoder.encode([StreamStarted(), TextDelta(text="a")])
        + encoder.encode([])
        + encoder.encode([TextDelta(text="b")])
    )
    assert b",\r\n" in wire
    assert len(json.loads(wire + encoder.end())) == 3
    failed = json.loads(wire + encoder.fail(errors.UpstreamUnavailable("Failed.")))
    assert failed[-1]["error"]["status"] == "UNAVAILABLE"
    empty = CLIENT.stream(stream_call(is_array=True), LossReport())
    empty.encode([StreamStarted()])
    assert len(json.loads(empty.fail(errors.UpstreamUnavailable("Failed.")))) == 1
    nothing = CLIENT.stream(stream_call(is_array=True), LossReport())
    assert len(json.loads(nothing.end())) == 1


def test_errors_in_an_sse_stream() -> None:
    encoder = CLIENT.stream(stream_call(), LossReport())
    wire = encoder.encode([StreamStarted(), TextDelta(text="a")]) + encoder.fail(errors.UpstreamTimeout("Timed out."))
    assert documents_in(wire)[-1]["error"]["status"] == "DEADLINE_EXCEEDED"


def test_a_relayed_array_with_an_error_is_one_json_document() -> None:
    chunk = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "index": 0}]}
    encoder = CLIENT.stream(stream_call(is_array=True), LossReport())
    stream = RelayedStream(UPSTREAM.stream(deployment()), encoder, UPSTREAM.splitter(), None, None)
    wire = stream.feed(b"[" + json.dumps(chunk).encode() + b",\r\n")
    error = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "late"}}
    wire += stream.feed(json.dumps(error).encode() + b"]")
    assert [next(iter(each)) for each in json.loads(wire + stream.end())] == ["candidates", "error"]
    assert isinstance(stream.error, errors.UpstreamUnavailable)


@pytest.mark.parametrize("ending", [b"\n\n", b"\r\n\r\n"])
def test_the_last_chunk_of_a_relayed_stream_is_held_back(ending: bytes) -> None:
    chunks: list[dict[str, Any]] = [
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": 'say "finishReason": "STOP"'}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}]},
        {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}},
    ]
    wire = [b"data: " + json.dumps(chunk).encode() + ending for chunk in chunks]
    encoder = CLIENT.stream(stream_call(), LossReport())
    stream = RelayedStream(UPSTREAM.stream(deployment()), encoder, UPSTREAM.splitter(), None, None)
    assert stream.feed(b"".join(wire)) == wire[0] + wire[1]
    assert not stream.is_finished
    assert stream.end() == wire[2] + wire[3]
    assert (stream.is_finished, stream.finish_reason) == (True, "stop")
    assert stream.usage == Usage(input_tokens=1)


def test_an_array_ends_with_its_bracket() -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(deployment()))
    chunk = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}
    assert not any(isinstance(event, StreamEnded) for event in decoder.feed(b"[" + json.dumps(chunk).encode()))
    assert isinstance(decoder.feed(b"\n]")[-1], StreamEnded)
    assert decoder.feed(b"\n") == decoder.end() == []


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"  \n",
        b": nothing\n\n",
        b"<html>Bad gateway</html>\n\n",
        b"data: {}\n\n",
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: \xff\n\n",
        b"[",
        b"[]",
        b"[1]",
        b'["\xff"]',
        b'[{"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}]',
        b'[{"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}',
        b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}\n\n',
        b'data: {"candidates": [{"finishReason": "STOP"}, {"index": 1}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": "x"}}]}}]}\n\n',
        b"data: " + b'{"a":' * 5000 + b"\n\n",
    ],
)
def test_malformed_streams(wire: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        read_stream(wire)


def test_log_probabilities_without_text_belong_to_the_previous_text() -> None:
    chunks: list[Any] = [
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {"candidates": [{"logprobsResult": {"chosenCandidates": [{"token": "a"}]}, "finishReason": "STOP"}]},
    ]
    wire = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    part = read_stream(wire).choices[0].parts[0]
    assert isinstance(part, Text)
    assert [each["token"] for each in part.logprobs] == ["a"]


def test_an_oversized_chunk_is_malformed() -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(deployment()))
    decoder.feed(b'["')
    with pytest.raises(errors.UpstreamMalformed, match="larger than"):
        decoder.feed(b"x" * (17 * 2**20))
