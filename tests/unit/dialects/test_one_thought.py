"""A client gets one thinking block or reasoning item for one thought of the model, complete and streamed."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport
from intellirouter.dialects.ir import Reasoning, Response, Text, ToolCall
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    call_of,
    client_of,
    collected,
    plain_call,
    read_answer,
    read_back,
    read_stream,
    send,
)
from tests.unit.dialects.test_pairs_tokens import history

SIGNATURE = "c2lnbmF0dXJl"
THOUGHT: dict[str, Any] = {"text": "First, the weather.", "thought": True}
CALL: dict[str, Any] = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": SIGNATURE}
OTHER_CALL: dict[str, Any] = {"functionCall": {"name": "g", "args": {}}}
TEXT: dict[str, Any] = {"text": "I look it up."}


class Memory:
    """A memory that is available, but empty."""

    is_empty = True

    def put(self, key: str, value: bytes) -> None: ...

    def get(self, key: str) -> None: ...


def gemini_answer(parts: list[dict[str, Any]]) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return {"body": {"candidates": [candidate]}}


def gemini_stream(parts: list[dict[str, Any]]) -> bytes:
    candidates = [{"content": {"role": "model", "parts": [part]}, "index": 0} for part in parts]
    candidates.append({"finishReason": "STOP", "index": 0})
    return b"".join(b"data: " + json.dumps({"candidates": [each]}).encode() + b"\r\n\r\n" for each in candidates)


def kinds(client: str, parts: list[dict[str, Any]], *, stream: bool, is_remembered: bool) -> list[str]:
    """Return the types of the blocks or items that a client gets of Gemini's answer."""
    call = plain_call(client, is_stream=stream)
    call.memory = Memory() if is_remembered else None
    if not stream:
        document = json.loads(client_of(client).encode(read_answer("gemini", gemini_answer(parts)), call, LossReport()))
        return [each["type"] for each in document["content" if client == "anthropic_messages" else "output"]]
    encoder = client_of(client).stream(call, LossReport())
    events = [each for each in read_stream("gemini", gemini_stream(parts)) if type(each).__name__ != "StreamEnded"]
    out = b"".join(encoder.encode([event]) for event in events) + encoder.end()
    documents = [json.loads(line[6:]) for line in out.decode().splitlines() if line.startswith("data: ")]
    if client == "anthropic_messages":
        return [each["content_block"]["type"] for each in documents if each["type"] == "content_block_start"]
    return [each["item"]["type"] for each in documents if each["type"] == "response.output_item.done"]


NAMES = {
    "anthropic_messages": {"thought": "thinking", "text": "text", "call": "tool_use"},
    "openai_responses": {"thought": "reasoning", "text": "message", "call": "function_call"},
}
every_client = pytest.mark.parametrize("client", list(NAMES))
streamed_and_not = pytest.mark.parametrize("stream", [False, True])
remembered_and_not = pytest.mark.parametrize("is_remembered", [False, True])


@every_client
@streamed_and_not
@remembered_and_not
def test_a_thought_and_the_signature_of_the_call_after_it_are_one(
    client: str, stream: bool, is_remembered: bool
) -> None:
    parts = [THOUGHT, THOUGHT, CALL, OTHER_CALL]
    found = kinds(client, parts, stream=stream, is_remembered=is_remembered)
    assert found == [NAMES[client][each] for each in ("thought", "call", "call")]


@every_client
@streamed_and_not
def test_a_remembered_signature_after_a_text_needs_no_thought_of_its_own(client: str, stream: bool) -> None:
    found = kinds(client, [THOUGHT, TEXT, CALL], stream=stream, is_remembered=True)
    assert found == [NAMES[client][each] for each in ("thought", "text", "call")]


@every_client
@streamed_and_not
@remembered_and_not
def test_a_signature_without_a_visible_thought_is_still_sent_to_the_client(
    client: str, stream: bool, is_remembered: bool
) -> None:
    found = kinds(client, [CALL], stream=stream, is_remembered=is_remembered)
    assert found == [NAMES[client][each] for each in ("thought", "call")]


@every_client
def test_without_a_memory_the_client_gets_every_signature(client: str) -> None:
    for stream in (False, True):
        found = kinds(client, [THOUGHT, TEXT, CALL], stream=stream, is_remembered=False)
        assert found == [NAMES[client][each] for each in ("thought", "text", "thought", "call")]


@every_client
@pytest.mark.parametrize("parts", [[THOUGHT, CALL, OTHER_CALL], [CALL], [THOUGHT, TEXT, CALL]])
def test_the_signature_comes_back_with_its_call(client: str, parts: list[dict[str, Any]]) -> None:
    answer = client_of(client).encode(read_answer("gemini", gemini_answer(parts)), plain_call(client), LossReport())
    call = call_of(client, history(client, json.loads(answer)))
    sent = send(call, client, BY_UPSTREAM["gemini"])
    assert sent.request is not None
    turn = next(each for each in read_back(sent.request, "gemini").messages if each.role == "assistant")
    tokens = {part.name: part.token and part.token.value for part in turn.parts if isinstance(part, ToolCall)}
    assert tokens["f"] == SIGNATURE
    assert tokens.get("g") is None
    assert not any(isinstance(part, Reasoning) and part.token is not None for part in turn.parts)


SIGNED_THOUGHT: dict[str, Any] = {**THOUGHT, "thoughtSignature": SIGNATURE}
OTHER_THOUGHT: dict[str, Any] = {**THOUGHT, "thoughtSignature": "b3RoZXI="}
NO_TEXT: dict[str, Any] = {"text": "", "thought": True, "thoughtSignature": SIGNATURE}


@pytest.mark.parametrize(
    "pieces",
    [
        [SIGNED_THOUGHT, THOUGHT],
        [THOUGHT, SIGNED_THOUGHT],
        [SIGNED_THOUGHT, SIGNED_THOUGHT],
        [THOUGHT, THOUGHT, NO_TEXT],
        [NO_TEXT, THOUGHT],
    ],
)
@pytest.mark.parametrize("after", [[TEXT], [OTHER_CALL], []])
@streamed_and_not
def test_the_pieces_of_a_signed_thought_are_one(
    pieces: list[dict[str, Any]], after: list[dict[str, Any]], stream: bool
) -> None:
    parts = [*pieces, *after]
    answer = collected("gemini", gemini_stream(parts)) if stream else read_answer("gemini", gemini_answer(parts))
    (thought,) = [part for part in answer.choices[0].parts if isinstance(part, Reasoning)]
    assert thought.text == "".join(piece["text"] for piece in pieces)
    assert thought.token is not None
    assert thought.token.value == SIGNATURE
    for client in NAMES:
        found = kinds(client, parts, stream=stream, is_remembered=False)
        assert found.count(NAMES[client]["thought"]) == 1


@streamed_and_not
def test_thoughts_with_different_signatures_stay_separate(stream: bool) -> None:
    parts = [SIGNED_THOUGHT, OTHER_THOUGHT]
    answer = collected("gemini", gemini_stream(parts)) if stream else read_answer("gemini", gemini_answer(parts))
    tokens = [part.token and part.token.value for part in answer.choices[0].parts if isinstance(part, Reasoning)]
    assert tokens == [SIGNATURE, "b3RoZXI="]


LOOSE: list[dict[str, Any]] = [{"text": "", "thoughtSignature": SIGNATURE}, {"thoughtSignature": SIGNATURE}]
"""Parts with nothing but a signature."""


@pytest.mark.parametrize("loose", LOOSE)
@streamed_and_not
def test_a_signature_in_a_part_of_its_own_belongs_to_the_call_after_it(loose: dict[str, Any], stream: bool) -> None:
    parts = [THOUGHT, loose, OTHER_CALL, OTHER_CALL]
    answer = collected("gemini", gemini_stream(parts)) if stream else read_answer("gemini", gemini_answer(parts))
    tokens = [part.token for part in answer.choices[0].parts if isinstance(part, ToolCall)]
    assert [token and token.value for token in tokens] == [SIGNATURE, None]
    for client in NAMES:
        found = kinds(client, parts, stream=stream, is_remembered=True)
        assert found == [NAMES[client][each] for each in ("thought", "call", "call")]


@streamed_and_not
def test_the_signature_of_a_text_does_not_belong_to_a_call(stream: bool) -> None:
    parts = [{**TEXT, "thoughtSignature": SIGNATURE}, OTHER_CALL]
    answer = collected("gemini", gemini_stream(parts)) if stream else read_answer("gemini", gemini_answer(parts))
    assert [part.token for part in answer.choices[0].parts if isinstance(part, ToolCall)] == [None]


SUMMARY = {"type": "reasoning.summary", "summary": "Thinking.", "format": "openai-responses-v1", "index": 0}
ENCRYPTED = {"type": "reasoning.encrypted", "data": "x7", "id": "rs_1", "format": "openai-responses-v1", "index": 0}
REDACTED = {"type": "reasoning.encrypted", "data": "x7", "format": "anthropic-claude-v1", "index": 1}
SIGNED = [
    {"type": "thinking", "thinking": "One.", "signature": "s1"},
    {"type": "thinking", "thinking": "Two.", "signature": "s2"},
]


def chat_answer(message: dict[str, Any], *, stream: bool) -> Response:
    """Decode an answer of a chat upstream. In a stream, reasoning comes before the rest."""
    if not stream:
        whole = {"role": "assistant", "content": "Hi.", **message}
        return read_answer("openai_chat", {"body": {"choices": [{"message": whole, "finish_reason": "stop"}]}})
    details = message.get("reasoning_details", [])
    deltas: list[dict[str, Any]] = [{"reasoning": message["reasoning"], "reasoning_details": details[:1]}]
    deltas += [{"reasoning_details": [each]} for each in details[1:]]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta} for delta in [*deltas, {"content": "Hi."}]]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    wire = b"".join(b"data: " + json.dumps({"choices": [each]}).encode() + b"\n\n" for each in choices)
    return collected("openai_chat", wire + b"data: [DONE]\n\n")


@streamed_and_not
def test_an_encrypted_entry_of_openrouter_belongs_to_the_summary_before_it(stream: bool) -> None:
    response = chat_answer({"reasoning": "Thinking.", "reasoning_details": [SUMMARY, ENCRYPTED]}, stream=stream)
    reasoning, text = response.choices[0].parts
    assert isinstance(reasoning, Reasoning)
    assert isinstance(text, Text)
    assert (reasoning.text, reasoning.is_redacted) == ("Thinking.", False)
    assert reasoning.token is not None
    assert json.loads(reasoning.token.value) == ENCRYPTED


@streamed_and_not
def test_redacted_reasoning_of_claude_stays_separate(stream: bool) -> None:
    response = chat_answer({"reasoning": "Thinking.", "reasoning_details": [SUMMARY, REDACTED]}, stream=stream)
    redacted = [part.is_redacted for part in response.choices[0].parts if isinstance(part, Reasoning)]
    assert redacted == [False, True]


def test_the_encrypted_entry_is_sent_back_unchanged() -> None:
    response = chat_answer({"reasoning": "Thinking.", "reasoning_details": [SUMMARY, ENCRYPTED]}, stream=False)
    answer = client_of("anthropic_messages").encode(response, plain_call("anthropic_messages"), LossReport())
    call = call_of("anthropic_messages", history("anthropic_messages", json.loads(answer)))
    sent = send(call, "anthropic_messages", BY_UPSTREAM["openai_chat"])
    assert sent.request is not None
    assert json.loads(sent.request.body)["messages"][1]["reasoning_details"] == [ENCRYPTED]


def test_several_signed_blocks_keep_their_own_texts() -> None:
    response = chat_answer({"reasoning_content": "One.\n\nTwo.", "thinking_blocks": SIGNED}, stream=False)
    parts = [part for part in response.choices[0].parts if isinstance(part, Reasoning)]
    assert [(part.text, part.token and part.token.value) for part in parts] == [("One.", "s1"), ("Two.", "s2")]


def test_text_and_signature_that_a_chat_client_sends_apart_are_one_part() -> None:
    """Clients that put a stream together have the text in `reasoning_content` and the signature in the details."""
    entry = {"type": "thinking", "thinking": "", "signature": "s1"}
    message = {"role": "assistant", "content": "Hi.", "reasoning_content": "One.", "thinking_blocks": [entry]}
    messages = [{"role": "user", "content": "hi"}, message]
    call = call_of("openai_chat", {"body": {"model": "m", "messages": messages}})
    conversation = client_of("openai_chat").decode(call)
    (reasoning,) = [part for part in conversation.messages[1].parts if isinstance(part, Reasoning)]
    assert (reasoning.text, reasoning.token and reasoning.token.value) == ("One.", "s1")
