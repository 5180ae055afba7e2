"""Answers that break their format or repeat themselves end visibly, streamed or whole, for clients of every dialect."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport, errors
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Event,
    Reasoning,
    ReasoningDelta,
    Response,
    Stop,
    StopReason,
    StreamStarted,
    Text,
    TextDelta,
    ToolCallStarted,
)
from intellirouter.dialects.openai_completions.passthrough import CompletionsPassthrough
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, call_of, plain_call
from tests.support.dialects.standard import ENDPOINTS

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
TOOL_SCHEMA = {"type": "object", "properties": {"value": {}}}
LOOP = "and then again "
MESSAGES = [{"role": "user", "content": "x"}]
BODIES: dict[str, dict[str, dict[str, Any]]] = {
    "openai_chat": {
        "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL_SCHEMA}}]},
        "schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
        "json": {"response_format": {"type": "json_object"}},
        "choices": {"n": 2},
        "plain": {"model": "m", "messages": MESSAGES},
    },
    "openai_responses": {
        "tools": {"tools": [{"type": "function", "name": "f", "parameters": TOOL_SCHEMA}]},
        "schema": {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}},
        "json": {"text": {"format": {"type": "json_object"}}},
        "plain": {"model": "m", "input": "x"},
    },
    "anthropic_messages": {
        "tools": {"tools": [{"name": "f", "input_schema": TOOL_SCHEMA}]},
        "schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        "plain": {"model": "m", "max_tokens": 9, "messages": MESSAGES},
    },
    "gemini": {
        "tools": {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": TOOL_SCHEMA}]}]},
        "schema": {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
        "json": {"generationConfig": {"responseMimeType": "application/json"}},
        "plain": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
    },
    "ollama": {
        "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL_SCHEMA}}]},
        "schema": {"format": SCHEMA},
        "json": {"format": "json"},
        "plain": {"model": "m", "messages": MESSAGES},
    },
}
"""The members of a request that ask for each format."""


def endpoint_of(dialect: str) -> Any:
    return ENDPOINTS["ollama_chat" if dialect == "ollama" else dialect]


def call_for(client: str, form: str, *, is_stream: bool) -> Any:
    body = {**BODIES[client]["plain"], **(BODIES[client][form] if form != "plain" else {})}
    if client == "gemini":
        path = {"model": "m", "is_stream": is_stream, "query": "alt=sse" if is_stream else ""}
        return call_of(client, {"body": body, "path": path})
    return call_of(client, {"body": {**body, "stream": is_stream}, "path": None})


def stream_of(upstream: str, *events: Event, reason: StopReason = "stop") -> list[bytes]:
    """Return the pieces of an upstream's stream."""
    encoder = endpoint_of(upstream).chat.stream(plain_call(upstream, is_stream=True), LossReport())
    start = StreamStarted(id="c", model="m", created_s=1)
    pieces = [encoder.encode([event]) for event in (start, *events, ChoiceFinished(stop=Stop(reason=reason)))]
    return [*pieces, encoder.end()]


def whole_of(upstream: str, text: str, reason: StopReason = "stop") -> bytes:
    response = Response(id="c", model="m", choices=[Choice(parts=[Text(text=text)], stop=Stop(reason=reason))])
    body: bytes = endpoint_of(upstream).chat.encode(response, plain_call(upstream), LossReport())
    return body


def relayed(client: str, upstream: str, form: str, pieces: list[bytes]) -> tuple[Any, bytes]:
    """Return the relay and what the client has received at its end."""
    call = call_for(client, form, is_stream=True)
    relay = endpoint_of(client).route(call, BY_UPSTREAM[upstream]).relay(call, BY_UPSTREAM[upstream])
    out = b""
    for piece in pieces:
        if relay.is_finished:
            break
        try:
            out += relay.feed(piece)
        except errors.UpstreamMalformed as error:
            assert relay.has_content
            return error, out + relay.fail(error)
    out += relay.end()
    return relay.error, out


def texts(*pieces: str) -> list[Event]:
    return [TextDelta(text=piece) for piece in pieces]


PAIRS = [(client, upstream) for client in CLIENTS for upstream in CLIENTS]
FORMS = [(client, form) for client in CLIENTS for form in ("schema", "json") if form in BODIES[client]]
SUCCESSES = {
    "openai_chat": b'"finish_reason":"stop"',
    "openai_responses": b"response.completed",
    "anthropic_messages": b"message_stop",
    "gemini": b'"finishReason":"STOP"',
    "ollama": b'"done":true',
}


@pytest.mark.parametrize("upstream", CLIENTS)
@pytest.mark.parametrize(("client", "form"), FORMS)
def test_a_stream_without_the_requested_format_ends_with_an_error(client: str, form: str, upstream: str) -> None:
    wrong = ('{"b":', " 1}") if form == "schema" else ("Sure! ", '{"a": 1}')
    error, out = relayed(client, upstream, form, stream_of(upstream, *texts(*wrong)))
    assert isinstance(error, errors.UpstreamMalformed)
    assert json.dumps(wrong[0])[1:-1].encode() in out, "the stream passes"
    assert b'"error' in out or b"event: error" in out
    assert SUCCESSES[client] not in out.replace(b'": ', b'":')


@pytest.mark.parametrize("upstream", CLIENTS)
@pytest.mark.parametrize(("client", "form"), FORMS)
def test_a_stream_with_the_requested_format_ends_well(client: str, form: str, upstream: str) -> None:
    error, out = relayed(client, upstream, form, stream_of(upstream, *texts('{"a":', " 1}")))
    assert error is None
    assert SUCCESSES[client] in out.replace(b'": ', b'":')
    error, _ = relayed(client, upstream, form, stream_of(upstream, *texts('{"a":'), reason="length"))
    assert error is None, "an answer that is cut off says so itself"


@pytest.mark.parametrize(("client", "form"), FORMS)
def test_every_piece_of_a_checked_stream_is_relayed_at_once(client: str, form: str) -> None:
    call = call_for(client, form, is_stream=True)
    relay = endpoint_of(client).route(call, BY_UPSTREAM[client]).relay(call, BY_UPSTREAM[client])
    out = b""
    for number, piece in enumerate(stream_of(client, *texts('{"a":', " 1", "}"))[:-2]):
        out += relay.feed(piece)
        assert (b'{\\"a\\":' in out) == (number > 0)
    assert b"}" in out


@pytest.mark.parametrize(("client", "form"), FORMS)
def test_a_whole_answer_without_the_requested_format_is_malformed(client: str, form: str) -> None:
    call = call_for(client, form, is_stream=False)
    route = endpoint_of(client).route(call, BY_UPSTREAM[client])
    assert route.decode_response(whole_of(client, '{"a": 1}'), call, BY_UPSTREAM[client]).body is None
    with pytest.raises(errors.UpstreamMalformed):
        route.decode_response(whole_of(client, "Sure!"), call, BY_UPSTREAM[client])


def test_a_format_that_only_the_upstream_knows_is_not_checked() -> None:
    """The upstream has accepted the request and has done its work."""
    body = {**BODIES["gemini"]["plain"], "generationConfig": {"responseMimeType": "text/x.enum"}}
    body["generationConfig"]["responseSchema"] = {"type": "STRING", "enum": ["a"]}
    for is_stream in (False, True):
        call = call_of("gemini", {"body": body, "path": {"model": "m", "is_stream": is_stream, "query": "alt=sse"}})
        route = endpoint_of("gemini").route(call, BY_UPSTREAM["gemini"])
        if is_stream:
            relay = route.relay(call, BY_UPSTREAM["gemini"])
            b"".join(map(relay.feed, stream_of("gemini", *texts("a")))) + relay.end()
            assert relay.error is None
        else:
            route.decode_response(whole_of("gemini", "a"), call, BY_UPSTREAM["gemini"])


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("chunk_chars", [5, 700])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_endless_repetition_in_a_stream_ends_with_an_error(
    client: str, upstream: str, chunk_chars: int, line_end: bytes
) -> None:
    text = "A good beginning. " + LOOP * 2_500
    events = texts(*(text[at : at + chunk_chars] for at in range(0, len(text), chunk_chars)))
    pieces = [piece.replace(b"\n", line_end) for piece in stream_of(upstream, *events)]
    error, out = relayed(client, upstream, "plain", pieces)
    assert isinstance(error, errors.UpstreamMalformed)
    assert "repeats itself" in error.message
    assert b"A goo" in out
    assert len(out) < len(b"".join(pieces))


@pytest.mark.parametrize("kind", [TextDelta, ReasoningDelta])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_endless_repetition_until_the_limit_ends_with_an_error(client: str, upstream: str, kind: Any) -> None:
    """The model was stopped before a stream would have been cut off. The end says why it is worthless."""
    if kind is ReasoningDelta and upstream == "openai_responses":
        pytest.skip("the text of reasoning is not sent in this dialect")
    events = [kind(text=f"{number} ") for number in range(900)] + [kind(text=LOOP)] * 500
    error, _ = relayed(client, upstream, "plain", stream_of(upstream, *events, reason="length"))
    assert isinstance(error, errors.UpstreamMalformed)
    assert "repeats itself" in error.message


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_long_stream_without_repetition_is_relayed(client: str, upstream: str) -> None:
    events = [TextDelta(text=f"word {number} and ") for number in range(3_000)]
    error, out = relayed(client, upstream, "plain", stream_of(upstream, *events))
    assert error is None
    assert b"2999" in out


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_endless_repetition_in_a_whole_answer_is_malformed(client: str, upstream: str) -> None:
    call = call_for(client, "plain", is_stream=False)
    route = endpoint_of(client).route(call, BY_UPSTREAM[upstream])
    body = whole_of(upstream, "Well, " + LOOP * 400, "length")
    with pytest.raises(errors.UpstreamMalformed, match="repeats itself"):
        route.decode_response(body, call, BY_UPSTREAM[upstream])
    assert route.decode_response(whole_of(upstream, "Well, " + LOOP * 400), call, BY_UPSTREAM[upstream])


def tool_events(upstream: str, arguments: str, chunk_chars: int) -> list[Event]:
    pieces = [arguments[at : at + chunk_chars] for at in range(0, len(arguments), chunk_chars)]
    if upstream in {"gemini", "ollama"}:  # which send the arguments of a call as one object
        pieces = [arguments]
    return [
        TextDelta(text="Well. "),
        ToolCallStarted(id="call_1", name="f", part=1),
        *[ArgumentsDelta(text=each, part=1) for each in pieces],
    ]


@pytest.mark.parametrize("form", ["plain", "tools"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_runaway_repetition_in_tool_arguments_ends_the_stream(client: str, upstream: str, form: str) -> None:
    if form == "plain" and client == upstream == "openai_chat":
        pytest.skip("a call of a tool that the client does not have is relayed as it is")
    events = tool_events(upstream, json.dumps({"value": LOOP * 2_000}), 20)
    error, _ = relayed(client, upstream, form, stream_of(upstream, *events, reason="tool_calls"))
    assert isinstance(error, errors.UpstreamMalformed)
    assert "repeats itself" in error.message


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_regular_data_passes_streamed_and_whole(client: str, upstream: str) -> None:
    for value in ([0] * 20_000, "AAAA" * 10_000, [{"name": "none"}] * 2_000):
        text = json.dumps({"value": value})
        error, out = relayed(
            client,
            upstream,
            "plain",
            stream_of(upstream, *texts(*[text[at : at + 50] for at in range(0, len(text), 50)])),
        )
        assert error is None
        assert SUCCESSES[client] in out.replace(b'": ', b'":')
        events = tool_events(upstream, text, 50)
        assert relayed(client, upstream, "tools", stream_of(upstream, *events, reason="tool_calls"))[0] is None
        call = call_for(client, "plain", is_stream=False)
        route = endpoint_of(client).route(call, BY_UPSTREAM[upstream])
        assert route.decode_response(whole_of(upstream, text), call, BY_UPSTREAM[upstream])


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_runaway_language_is_rejected_in_a_whole_answer_as_in_a_stream(client: str, upstream: str) -> None:
    call = call_for(client, "plain", is_stream=False)
    route = endpoint_of(client).route(call, BY_UPSTREAM[upstream])
    with pytest.raises(errors.UpstreamMalformed, match="repeats itself"):
        route.decode_response(whole_of(upstream, "Well, " + LOOP * 2_500), call, BY_UPSTREAM[upstream])


def test_repetition_is_found_in_each_choice_of_a_stream() -> None:
    events = [TextDelta(text=f"{at} " if choice else LOOP, choice=choice) for at in range(2_000) for choice in (0, 1)]
    error, _ = relayed("openai_chat", "openai_chat", "choices", stream_of("openai_chat", *events))
    assert isinstance(error, errors.UpstreamMalformed)


@pytest.mark.parametrize("kind", [TextDelta, ReasoningDelta])
@pytest.mark.parametrize("client", CLIENTS)
def test_repetition_is_found_in_blocks_of_many_events(client: str, kind: Any) -> None:
    if kind is ReasoningDelta and client == "openai_responses":
        pytest.skip("the text of reasoning is not sent in this dialect")
    pieces = stream_of(client, TextDelta(text="Well, "), *[kind(text=LOOP)] * 2_500)
    blocks = [b"".join(pieces[at : at + 50]) for at in range(0, len(pieces), 50)]
    error, out = relayed(client, client, "plain", blocks)
    assert isinstance(error, errors.UpstreamMalformed)
    assert len(out) < len(b"".join(pieces))


def test_white_space_and_escaped_characters_are_read_as_text() -> None:
    blank = texts("A table:", *["\n\t  "] * 6_000)
    assert relayed("openai_chat", "openai_chat", "plain", stream_of("openai_chat", *blank))[0] is None
    quotes = texts("Well, ", *['"\u00e9t\u00e9 comme hiver\\\U0001f600 '] * 2_000)
    assert isinstance(
        relayed("openai_chat", "openai_chat", "plain", stream_of("openai_chat", *quotes))[0], errors.UpstreamMalformed
    )


def test_repetition_in_legacy_completions_is_found() -> None:
    passthrough = CompletionsPassthrough()
    relay = passthrough.relay(passthrough.decode_request(b'{"model":"m","prompt":"x","stream":true}'))
    event = b'data: {"choices":[{"index":0,"text":"and then again ","finish_reason":null}]}\n\n'
    with pytest.raises(errors.UpstreamMalformed, match="repeats itself"):
        b"".join(map(relay.feed, [event] * 3_000))
    with pytest.raises(errors.UpstreamMalformed, match="repeats itself"):
        passthrough.decode_response(json.dumps({"choices": [{"text": LOOP * 400, "finish_reason": "length"}]}).encode())


def test_reasoning_of_a_whole_answer_is_checked_too() -> None:
    choice = Choice(parts=[Reasoning(text=LOOP * 400)], stop=Stop(reason="length"))
    response = Response(id="c", model="m", choices=[choice])
    body = endpoint_of("anthropic_messages").chat.encode(response, plain_call("anthropic_messages"), LossReport())
    call = call_for("anthropic_messages", "plain", is_stream=False)
    target = BY_UPSTREAM["anthropic_messages"]
    with pytest.raises(errors.UpstreamMalformed, match="repeats itself"):
        endpoint_of("anthropic_messages").route(call, target).decode_response(body, call, target)
