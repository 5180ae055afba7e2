"""The rest of a stream is written by another upstream, in every client's dialect, as if there had been only one."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intellirouter.core import Call, LossReport, Usage, errors
from intellirouter.dialects import ContinuableRelay, Endpoint
from intellirouter.dialects.adapt.prefill import INSTRUCTION
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    Citation,
    CitationDelta,
    Event,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    Response,
    Stop,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
    collect,
)
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, OTHERS, call_of, client_of, endpoint_of, upstream_of
from tests.support.dialects.standard import ENDPOINTS

MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}},
    "openai_responses": {"model": "m", "input": "hi", "stream": True},
    "anthropic_messages": {"model": "m", "max_tokens": 99, "messages": MESSAGES, "stream": True},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "ollama": {"model": "m", "messages": MESSAGES, "stream": True},
}
SENT = ["Once upon ", "a time there was a ", "fox who "]
REST = ["lived in", " a forest."]
FIRST_USAGE, SECOND_USAGE = Usage(input_tokens=5, output_tokens=3), Usage(input_tokens=9, output_tokens=4)
START = StreamStarted(id="first", model="m1")
UPSTREAMS = tuple(CLIENTS)


def stream_call(client: str, **members: Any) -> Call:
    path = {"model": "m", "is_stream": True, "query": "alt=sse"} if client == "gemini" else None
    return call_of(client, {"body": {**BODIES[client], **members}, "path": path})


def wire_of(upstream: str, events: Sequence[Event], *, is_complete: bool = False) -> list[bytes]:
    """Return what an upstream sends for each of these events."""
    encoder = client_of(upstream).stream(stream_call(upstream), LossReport())
    wire = [encoder.encode([event]) for event in events]
    return [*wire, encoder.end()] if is_complete else wire


def texts(pieces: Sequence[str], part: int = 0) -> list[Event]:
    return [TextDelta(text=piece, part=part) for piece in pieces]


def finished(pieces: Sequence[str], usage: Usage | None = SECOND_USAGE) -> list[Event]:
    update: list[Event] = [] if usage is None else [UsageUpdate(usage=usage)]
    start = StreamStarted(id="second", model="m2")
    return [start, *texts(pieces), ChoiceFinished(stop=Stop(reason="stop")), *update]


class Client:
    """A client's stream that breaks off and is continued."""

    def __init__(self, client: str, upstream: str, **members: Any) -> None:
        self.dialect = client
        self.call = stream_call(client, **members)
        self.endpoint: Endpoint = ENDPOINTS[endpoint_of(client, self.call.body)]
        self.wire = b""
        deployment = BY_UPSTREAM[upstream]
        relay = self.endpoint.route(self.call, deployment).relay(self.call, deployment)
        assert self.endpoint.continuations is not None
        self.continuations = self.endpoint.continuations
        self.relay: ContinuableRelay = self.continuations.record(relay, self.call, deployment)

    def feed(self, wire: Sequence[bytes]) -> None:
        for piece in wire:
            self.wire += self.relay.feed(piece)

    def request(self, upstream: str, sent_tokens: int = 3) -> Call | None:
        return self.continuations.request(self.relay, self.call, BY_UPSTREAM[upstream], sent_tokens)

    def go_on(self, upstream: str) -> bytes:
        """Continue with this upstream. Return the body of the request to it."""
        deployment = BY_UPSTREAM[upstream]
        request = self.request(upstream)
        assert request is not None
        body = self.endpoint.route(request, deployment).encode_request(request, deployment).body
        relay = self.continuations.relay(self.relay, request, deployment, FIRST_USAGE)
        assert relay is not None
        self.relay = relay
        return body

    def end(self) -> None:
        self.wire += self.relay.end()

    def read(self) -> Response:
        """Return the answer as the client reads it. Raises the error of a stream that has failed."""
        decoder = upstream_of(self.dialect).stream(BY_UPSTREAM[self.dialect])
        return collect([*decoder.feed(self.wire), *decoder.end()])


def text_of(response: Response) -> str:
    return "".join(part.text for part in response.choices[0].parts if isinstance(part, Text))


@pytest.mark.parametrize("second", UPSTREAMS)
@pytest.mark.parametrize("first", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_answer_is_one_answer(client: str, first: str, second: str) -> None:
    stream = Client(client, first)
    stream.feed(wire_of(first, [START, *texts(SENT)]))
    stream.go_on(second)
    stream.feed(wire_of(second, finished(REST), is_complete=True))
    stream.end()
    response = stream.read()
    assert text_of(response) == "".join(SENT + REST)
    assert len(response.choices[0].parts) == 1
    assert response.choices[0].stop is not None
    assert response.choices[0].stop.reason == "stop"
    assert response.model in {"m1", "first"}
    assert response.usage is not None
    assert (response.usage.total_input_tokens, response.usage.output_tokens) == (14, 7)
    assert b"second" not in stream.wire
    assert b"m2" not in stream.wire


@pytest.mark.parametrize("first", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_answer_with_reasoning_is_continued(client: str, first: str) -> None:
    stream = Client(client, first)
    stream.feed(wire_of(first, [START, ReasoningDelta(text="Let me think.", part=0), *texts(SENT, 1)]))
    stream.go_on("openai_chat")
    start = StreamStarted(id="second", model="m2")
    again = [start, ReasoningDelta(text="Hidden.", part=0), *texts(REST, 1), ChoiceFinished(stop=Stop(reason="stop"))]
    stream.feed(wire_of("openai_chat", again, is_complete=True))
    stream.end()
    response = stream.read()
    assert text_of(response) == "".join(SENT + REST)
    assert b"Hidden" not in stream.wire
    assert len([part for part in response.choices[0].parts if isinstance(part, Reasoning)]) <= 1


@pytest.mark.parametrize("client", CLIENTS)
def test_stream_is_continued_more_than_once(client: str) -> None:
    stream = Client(client, client)
    stream.feed(wire_of(client, [START, *texts(SENT)]))
    stream.go_on("gemini")
    stream.feed(wire_of("gemini", [StreamStarted(id="second", model="m2"), *texts(REST[:1])]))
    stream.go_on("anthropic_messages")
    stream.feed(wire_of("anthropic_messages", finished(REST[1:]), is_complete=True))
    stream.end()
    assert text_of(stream.read()) == "".join(SENT + REST)


@pytest.mark.parametrize("client", CLIENTS)
def test_tool_call_after_the_text_is_relayed(client: str) -> None:
    tools: dict[str, Any] = {
        "openai_chat": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        "openai_responses": {"tools": [{"type": "function", "name": "f", "parameters": {}}]},
        "anthropic_messages": {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        "gemini": {"tools": [{"functionDeclarations": [{"name": "f"}]}]},
        "ollama": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    }
    stream = Client(client, client, **tools[client])
    stream.feed(wire_of(client, [START, *texts(SENT)]))
    stream.go_on("openai_chat")
    call: list[Event] = [ToolCallStarted(id="c1", name="f", part=1), ArgumentsDelta(text='{"a":1}', part=1)]
    events = [StreamStarted(id="second"), *texts(REST), *call, ChoiceFinished(stop=Stop(reason="tool_calls"))]
    stream.feed(wire_of("openai_chat", events, is_complete=True))
    stream.end()
    response = stream.read()
    assert text_of(response) == "".join(SENT + REST)
    (made,) = [part for part in response.choices[0].parts if isinstance(part, ToolCall)]
    assert (made.name, made.arguments_object()) == ("f", {"a": 1})


@pytest.mark.parametrize("client", CLIENTS)
def test_error_event_is_in_the_clients_dialect_if_the_rest_breaks_off_as_well(client: str) -> None:
    stream = Client(client, client)
    stream.feed(wire_of(client, [START, *texts(SENT)]))
    stream.go_on("openai_chat")
    stream.feed(wire_of("openai_chat", [StreamStarted(id="second"), *texts(REST)]))
    with_error = b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n'
    stream.feed([with_error])
    stream.end()
    assert stream.relay.error is not None
    before = stream.wire
    stream.wire += stream.relay.error_event()
    assert before != stream.wire
    with pytest.raises(errors.UpstreamError, match="overloaded"):
        stream.read()


@pytest.mark.parametrize("client", CLIENTS)
def test_error_of_the_first_upstream_is_kept_apart_from_what_precedes_it(client: str) -> None:
    """If the stream cannot be continued, its end is what it would be without this feature."""
    plain, stream = Client(client, "openai_chat"), Client(client, "openai_chat")
    wire = [*wire_of("openai_chat", [START, *texts(SENT)]), b'data: {"error": {"message": "overloaded"}}\n\n']
    relay = plain.endpoint.route(plain.call, BY_UPSTREAM["openai_chat"]).relay(plain.call, BY_UPSTREAM["openai_chat"])
    expected = b"".join(map(relay.feed, wire)) + relay.end()
    stream.feed(wire)
    stream.end()
    assert b"overloaded" not in stream.wire
    assert _without_ids(stream.wire + stream.relay.error_event()) == _without_ids(expected)


def _without_ids(wire: bytes) -> str:
    """Return the text of a stream without what is random or depends on the time."""
    words = wire.decode().split('"')
    return '"'.join(word for word in words if not word.startswith(("resp_", "msg_", "2")) and not word[1:11].isdigit())


@pytest.mark.parametrize(
    ("upstream", "is_asked"),
    [
        ("openai_chat", True),
        ("openai_responses", True),
        ("anthropic_messages", False),
        ("bedrock", False),
        ("gemini", False),
        ("ollama", False),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_models_that_do_not_continue_by_themselves_are_asked_to(client: str, upstream: str, is_asked: bool) -> None:
    stream = Client(client, client)
    stream.feed(wire_of(client, [START, *texts(SENT)]))
    request = stream.request(upstream)
    assert request is not None
    body = stream.endpoint.route(request, BY_UPSTREAM[upstream]).encode_request(request, BY_UPSTREAM[upstream]).body
    assert (INSTRUCTION.encode() in body) is is_asked
    assert "".join(SENT).rstrip().encode() in body
    assert "".join(SENT).encode() not in body, "models do not see white space at the end"


@pytest.mark.parametrize("client", CLIENTS)
def test_claude_without_prefill_is_asked_to_continue(client: str) -> None:
    stream, target = Client(client, client), OTHERS["claude-4.6"]
    stream.feed(wire_of(client, [START, *texts(SENT)]))
    request = stream.continuations.request(stream.relay, stream.call, target, 3)
    assert request is not None
    body = json.loads(stream.endpoint.route(request, target).encode_request(request, target).body)
    assert body["messages"][-1]["role"] == "user"
    assert INSTRUCTION in json.dumps(body["messages"][-1])


def test_prefill_of_the_client_is_continued_as_one_answer() -> None:
    messages = [*MESSAGES, {"role": "assistant", "content": "Story: "}]
    stream = Client("anthropic_messages", "anthropic_messages", messages=messages)
    stream.feed(wire_of("anthropic_messages", [START, *texts(SENT)]))
    body = json.loads(stream.go_on("anthropic_messages"))
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"]
    assert "Story: Once upon a time there was a fox who" in json.dumps(body["messages"][-1])


@pytest.mark.parametrize(("client", "name"), [("openai_chat", "max_tokens"), ("anthropic_messages", "max_tokens")])
def test_limit_of_tokens_is_that_of_the_whole_answer(client: str, name: str) -> None:
    stream = Client(client, client, **{name: 50})
    stream.feed(wire_of(client, [START, *texts(SENT)]))
    body = json.loads(stream.go_on(client))
    assert body.get(name, body.get("max_completion_tokens")) == 47
    request = stream.request(client, sent_tokens=1000)
    assert request is not None
    assert request.max_output_tokens == 1


def test_members_that_only_the_dialect_knows_are_sent_to_its_upstreams() -> None:
    stream = Client("openai_chat", "openai_chat", unknown_member={"a": 1})
    stream.feed(wire_of("openai_chat", [START, *texts(SENT)]))
    body = json.loads(stream.go_on("openai_chat"))
    assert body["unknown_member"] == {"a": 1}
    assert body["model"] == BY_UPSTREAM["openai_chat"].upstream_model


SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
UNSUITABLE: dict[str, dict[str, Any]] = {
    "format": {"response_format": SCHEMA},
    "json": {"response_format": {"type": "json_object"}},
    "choices": {"n": 2},
    "logprobs": {"logprobs": True},
    "forced tool": {
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
    "audio": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
}


@pytest.mark.parametrize("why", UNSUITABLE)
def test_requests_whose_answers_are_more_than_text_are_not_continued(why: str) -> None:
    stream = Client("openai_chat", "openai_chat", **UNSUITABLE[why])
    stream.feed(wire_of("openai_chat", [START, *texts(SENT)]))
    assert stream.request("openai_chat") is None


CALL: list[Event] = [
    ToolCallStarted(id="c", name="f", part=1),
    ArgumentsDelta(text='{"a":1}', part=1),
    PartEnded(part=1),
]
ENDINGS: dict[str, list[Event]] = {
    "reasoning": [ReasoningDelta(text="hm", part=0)],
    "tool call after text": [*texts(SENT), *CALL],
    "tool call": CALL,
    "complete text": [*texts(SENT), PartEnded(part=0), *CALL[:1]],
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_answers_that_do_not_end_with_text_are_not_continued(client: str, ending: str) -> None:
    stream = Client(client, client)
    stream.feed(wire_of(client, [START, *ENDINGS[ending]]))
    assert stream.request("openai_chat") is None


@pytest.mark.parametrize("client", [each for each in CLIENTS if each != "gemini"])
def test_finished_answers_are_not_continued(client: str) -> None:
    stream = Client(client, client)
    stream.feed(wire_of(client, finished(SENT), is_complete=True))
    assert stream.request("openai_chat") is None


def test_text_that_is_complete_is_not_continued() -> None:
    """Between the end of the text and that of the answer, clients do not expect more text."""
    for client, size in (("openai_responses", 2), ("anthropic_messages", 1)):
        events = b"".join(wire_of(client, finished(SENT), is_complete=True)).split(b"\n\n")
        end = next(
            at for at, event in enumerate(events) if b"output_text.done" in event or b"content_block_stop" in event
        )
        stream = Client(client, client)
        stream.feed([b"\n\n".join(events[: end + size]) + b"\n\n"])
        assert stream.request("openai_chat") is None


def test_answer_with_citations_is_not_continued() -> None:
    stream = Client("anthropic_messages", "anthropic_messages")
    citation = CitationDelta(citation=Citation(kind="url", url="https://a.test", title="t", cited_text="c"))
    stream.feed(wire_of("anthropic_messages", [START, *texts(SENT), citation]))
    assert stream.request("openai_chat") is None


@settings(deadline=None, max_examples=60)
@given(
    client=st.sampled_from(CLIENTS),
    first=st.sampled_from(UPSTREAMS),
    second=st.sampled_from(UPSTREAMS),
    data=st.data(),
)
def test_no_text_is_lost_or_repeated(client: str, first: str, second: str, data: st.DataObject) -> None:
    """Wherever the stream breaks off, and whatever the second model repeats: nothing, the end, or everything."""
    text = " ".join(data.draw(st.permutations([f"word{number}" for number in range(12)])))
    at = data.draw(st.integers(9, len(text) - 1))
    repeated = data.draw(st.sampled_from([0, 8, min(20, at), at]))
    stream = Client(client, first)
    cut = data.draw(st.integers(1, at - 1))
    stream.feed(wire_of(first, [START, *texts([text[:cut], text[cut:at]])]))
    stream.go_on(second)
    rest = text[at - repeated :]
    split = data.draw(st.integers(0, len(rest)))
    wire = b"".join(
        wire_of(second, finished([each for each in (rest[:split], rest[split:]) if each]), is_complete=True)
    )
    place = int(data.draw(st.floats(0, 1)) * len(wire))
    stream.feed([each for each in (wire[:place], wire[place:]) if each])
    stream.end()
    assert text_of(stream.read()) == text
