"""Tool calls of relayed streams get the members that clients require, and a finish fits the kind of call."""

import json
from typing import Any

import pytest

from tests.support.dialects.chat_streams import END, call, chunk, relayed, stream

TEXT = chunk({"content": "Hi"})


def piece(**members: Any) -> bytes:
    return chunk({"tool_calls": [members]})


def calls_in(out: bytes) -> list[dict[str, Any]]:
    documents = [json.loads(line[6:]) for line in out.splitlines() if line.startswith(b"data: {")]
    return [each for found in documents for each in found["choices"][0]["delta"].get("tool_calls", ())]


STREAMS = {
    "no index": [
        piece(id="a", function={"name": "f"}),
        piece(function={"arguments": "{"}),
        piece(function={"arguments": "}"}),
        piece(id="b", function={"name": "g", "arguments": ""}),
        piece(id="b", function={"arguments": "{}"}),
    ],
    "no id": [
        piece(index=0, function={"name": "f"}),
        piece(index=0, function={"arguments": "{"}),
        piece(index=0, function={"arguments": "}"}),
        piece(index=1, function={"name": "g"}),
        piece(index=1, function={"arguments": "{}"}),
    ],
    "an index that is null": [
        piece(index=None, id="a", type="function", function={"name": "f", "arguments": "{}"}),
        piece(index=None, id="b", type="function", function={"name": "g", "arguments": "{}"}),
    ],
    "the same index": [  # Gemini's endpoint for OpenAI clients
        piece(index=0, id="a", type="function", function={"name": "f", "arguments": "{}"}),
        piece(index=0, id="b", type="function", function={"name": "g", "arguments": "{"}),
        piece(index=0, function={"arguments": "}"}),
    ],
    "the same index, then others": [
        piece(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
        piece(index=0, id="b", type="function", function={"name": "g", "arguments": ""}),
        piece(index=0, id="a", type="function", function={"name": "f", "arguments": "{}"}),
        piece(index=0, id="b", type="function", function={"name": "g", "arguments": "{}"}),
    ],
    "a repeated name": [
        piece(index=0, id="a", type="function", function={"name": "f", "arguments": "{"}),
        piece(index=0, id="a", type="function", function={"name": "f", "arguments": "}"}),
        piece(index=1, id="b", type="function", function={"name": "g", "arguments": ""}),
        piece(index=1, id="b", type="function", function={"name": "g", "arguments": "{}"}),
    ],
    "arguments as an object": [
        piece(index=0, id="a", type="function", function={"name": "f", "arguments": {}}),
        piece(index=1, id="b", type="function", function={"name": "g", "arguments": {}}),
    ],
    "an index only at first": [
        piece(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
        piece(function={"arguments": "{}"}),
        piece(index=1, id="b", type="function", function={"name": "g", "arguments": ""}),
        piece(function={"arguments": "{}"}),
    ],
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("before", [[], [TEXT], [TEXT] * 300])
@pytest.mark.parametrize("is_one_block", [False, True])
def test_members_that_clients_require_are_put_in(name: str, before: list[bytes], is_one_block: bool) -> None:
    events = [*map(stream, (*before, *STREAMS[name], chunk("tool_calls"))), END]
    out, last, _ = relayed([b"".join(events)] if is_one_block else events)
    joined: dict[int, dict[str, str]] = {}
    for each in calls_in(out + last):
        assert type(each["index"]) is int
        known = joined.setdefault(each["index"], {"arguments": ""})
        if "id" not in known:
            assert each["id"]
            assert each["type"] == "function"
            assert each["function"]["arguments"] is not None
            known |= {"id": each["id"], "name": each["function"]["name"]}
        elif each["function"].get("name"):
            known["name"] += each["function"]["name"]
        known["arguments"] += each["function"].get("arguments") or ""
    assert [joined[index]["name"] for index in sorted(joined)] == ["f", "g"]
    assert [joined[index]["arguments"] for index in sorted(joined)] == ["{}", "{}"]
    assert len({known["id"] for known in joined.values()}) == 2


def test_complete_calls_are_relayed_unchanged() -> None:
    pieces = [call(0, name="f", arguments=""), {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}]
    events = [*(stream(chunk(each)) for each in pieces), stream(chunk("tool_calls")), END]
    for blocks in (events, [b"".join(events)]):
        out, last, _ = relayed(blocks)
        assert out + last == b"".join(events)


@pytest.mark.parametrize("before", [[], [TEXT], [TEXT] * 300])
@pytest.mark.parametrize("is_one_block", [False, True])
def test_the_finish_that_is_put_in_after_a_legacy_function_call(before: list[bytes], is_one_block: bool) -> None:
    legacy = [chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}})]
    events = [*map(stream, (*before, *legacy)), END]
    _, last, relay = relayed([b"".join(events)] if is_one_block else events)
    assert relay.finish_reason is None
    assert b'"finish_reason":"function_call"' in last


def test_calls_with_the_same_index_are_not_joined_with_later_ones() -> None:
    pieces = [
        piece(index=at // 2, id=name, function={"name": name, "arguments": "{}"}) for at, name in enumerate("abcd")
    ]
    out, last, _ = relayed([*map(stream, (*pieces, chunk("tool_calls"))), END])
    assert [(each["index"], each["function"]["name"]) for each in calls_in(out + last)] == [*enumerate("abcd")]


@pytest.mark.parametrize("before", [[], [TEXT], [TEXT] * 300])
def test_event_with_empty_data_becomes_a_comment(before: list[bytes]) -> None:
    events = [*map(stream, (*before, TEXT)), b"data:\n\n", *map(stream, (TEXT, chunk("stop"))), b"data: \n\n", END]
    for blocks in (events, [b"".join(events)]):
        out, last, relay = relayed(blocks)
        assert relay.error is None
        assert (out + last).endswith(END)
        assert b"data:\n" not in out + last
        assert b"data: \n" not in out + last
