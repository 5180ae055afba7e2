"""What is remembered of answers with tool calls, and how it is added to later requests."""

import json
from typing import Any

import pytest

from intellirouter.core import Call, LossReport
from intellirouter.dialects.adapt.remembered_reasoning import (
    AnswerWatcher,
    Issuer,
    remember,
    remembered_calls,
    with_remembered,
)
from intellirouter.dialects.ir import (
    Choice,
    Conversation,
    Message,
    Opaque,
    Part,
    Reasoning,
    Response,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    events_of,
)
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    OTHERS,
    call_of,
    client_of,
    plain_call,
    read_answer,
    translation_of,
)
from tests.support.dialects.standard import ENDPOINTS

HOME = Issuer("home", "gemini", wants_text_back=False)


class Memory:
    """One tenant's memory without limits."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    @property
    def is_empty(self) -> bool:
        return not self.values

    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)


def token(value: str, origin: str = "home", dialect: str = "gemini") -> Opaque:
    return Opaque(value, origin, dialect)


def signed(text: str, value: str) -> Reasoning:
    return Reasoning(text=text, token=token(value))


def call(call_id: str, name: str = "f", value: str = "", arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments, token=token(value) if value else None)


def chat(*parts: Part, dialect: str = "openai_chat", before: str = "hi") -> Conversation:
    """Return a conversation whose last model turn consists of these parts; without parts, it has none."""
    messages = [Message(role="user", parts=[Text(text=before)])]
    if parts:
        messages.append(Message(role="assistant", parts=list(parts)))
        results: list[Part] = [ToolResult(call_id=each.id) for each in parts if isinstance(each, ToolCall)]
        messages.append(Message(role="tool", parts=results))
    return Conversation(dialect=dialect, model="m", messages=messages)


def second(answer: list[Part], *sent: Part, issuer: Issuer = HOME, **more: Any) -> list[Part]:
    """Return the model turn that this endpoint gets, of an answer of `HOME`, if the client sends these parts."""
    memory = Memory()
    remember(memory, answer, chat(), HOME, has_ids=True)
    return with_remembered(chat(*sent, **more), memory, issuer).messages[1].parts


def test_the_token_of_a_call_is_restored() -> None:
    assert second([call("a", value="s"), call("b")], call("a"), call("b")) == [call("a", value="s"), call("b")]


@pytest.mark.parametrize("is_one_message", [False, True])
def test_a_history_that_repeats_a_call_does_not_grow_without_limit(is_one_message: bool) -> None:
    memory = Memory()
    remember(memory, [signed("x" * 2**20, "1"), call("a", value="s")], chat(), HOME, has_ids=True)
    conversation = chat(*[call("a")] * (50 if is_one_message else 1))
    conversation.messages *= 1 if is_one_message else 50
    parts = [part for message in with_remembered(conversation, memory, HOME).messages for part in message.parts]
    assert sum(len(part.text) for part in parts if isinstance(part, Reasoning)) <= 16 * 2**20


def test_reasoning_at_the_start_comes_before_text_and_calls_in_its_order() -> None:
    redacted = Reasoning(token=token("r"), is_redacted=True)
    answer: list[Part] = [signed("x", "1"), redacted, Text(text="t"), call("a"), call("b")]
    assert second(answer, Text(text="t"), call("a"), call("b")) == answer


def test_reasoning_between_calls_stays_between_them() -> None:
    answer: list[Part] = [call("a", value="s"), signed("x", "1"), call("b")]
    assert second(answer, call("a"), call("b")) == answer


def test_reasoning_after_text_comes_directly_before_its_call() -> None:
    answer: list[Part] = [signed("w", "0"), Text(text="t"), signed("x", "1"), call("a")]
    assert second(answer, Text(text="t"), call("a")) == answer


def test_the_remembered_reasoning_replaces_the_same_reasoning_without_its_token() -> None:
    answer: list[Part] = [signed("x", "1"), call("a")]
    assert second(answer, Reasoning(text="x"), call("a")) == answer


def test_what_the_client_sends_takes_precedence() -> None:
    answer: list[Part] = [signed("x", "1"), call("a", value="s")]
    sent: list[Part] = [signed("y", "2"), call("a", value="t")]
    assert second(answer, *sent) == sent


def test_a_token_of_another_endpoint_is_replaced() -> None:
    foreign = ToolCall(id="a", name="f", token=token("x", origin="elsewhere"))
    assert second([call("a", value="s")], foreign) == [call("a", value="s")]


@pytest.mark.parametrize("issuer", [Issuer("elsewhere", "gemini", True), Issuer("home", "openai_chat", True)])
def test_another_endpoint_or_dialect_gets_nothing(issuer: Issuer) -> None:
    assert second([signed("x", "1"), call("a", value="s")], call("a"), issuer=issuer) == [call("a")]


def test_a_call_of_another_name_gets_nothing() -> None:
    assert second([call("a", value="s")], call("a", name="g")) == [call("a", name="g")]


def test_ids_are_compared_as_clients_of_anthropic_see_them() -> None:
    assert second([call("functions.f:0", value="s")], call("functions_f_0"))[0].token == token("s")  # type: ignore[union-attr]


def test_answers_without_tokens_are_not_remembered() -> None:
    parts: list[Part] = [Reasoning(text="x"), Text(text="t"), call("a")]
    assert remembered_calls(parts, HOME) == []
    assert remembered_calls([signed("x", "1"), Text(text="t")], HOME) == []


def test_unsigned_reasoning_is_remembered_for_upstreams_that_want_it_back() -> None:
    issuer = Issuer("home", "openai_chat", wants_text_back=True)
    memory = Memory()
    remember(memory, [Reasoning(text="x"), call("a")], chat(), issuer, has_ids=True)
    parts = with_remembered(chat(call("a")), memory, issuer).messages[1].parts
    assert parts == [Reasoning(text="x"), call("a")]


def test_the_conversation_of_the_client_is_not_changed() -> None:
    memory = Memory()
    remember(memory, [call("a", value="s")], chat(), HOME, has_ids=True)
    before = chat(call("a"))
    with_remembered(before, memory, HOME)
    assert before == chat(call("a"))
    untouched = chat(call("z"))
    assert with_remembered(untouched, memory, HOME) is untouched


def without_ids(*, text: str = "hi", arguments: str = '{"b": 1, "a": 2}', name: str = "f") -> list[Part]:
    """Return what the endpoint gets of a client without ids, which sends this after an answer to `hi`."""
    memory = Memory()
    answer: list[Part] = [call("call_8f2k", value="s", arguments='{"a":2,"b":1}')]
    remember(memory, answer, chat(dialect="ollama"), HOME, has_ids=False)
    sent = chat(call("call_1", name=name, arguments=arguments), dialect="ollama", before=text)
    return with_remembered(sent, memory, HOME).messages[1].parts


def test_calls_without_ids_are_recognized_by_their_content_and_place() -> None:
    (part,) = without_ids()
    assert isinstance(part, ToolCall)
    assert part.token == token("s")


@pytest.mark.parametrize("difference", [{"text": "hello"}, {"arguments": '{"a": 2}'}, {"name": "g"}])
def test_calls_without_ids_elsewhere_get_nothing(difference: dict[str, str]) -> None:
    (part,) = without_ids(**difference)
    assert isinstance(part, ToolCall)
    assert part.token is None


def test_the_same_call_twice_without_ids_gets_the_token_of_its_place() -> None:
    memory = Memory()
    first, second = chat(dialect="ollama"), chat(call("call_1"), dialect="ollama")
    remember(memory, [call("x", value="s1")], first, HOME, has_ids=False)
    remember(memory, [call("y", value="s2")], second, HOME, has_ids=False)
    messages = [*second.messages, Message(role="assistant", parts=[call("call_2")])]
    third = Conversation(dialect="ollama", model="m", messages=messages)
    restored = with_remembered(third, memory, HOME).messages
    tokens = [part.token for message in restored for part in message.parts if isinstance(part, ToolCall)]
    assert tokens == [token("s1"), token("s2")]


@pytest.mark.parametrize("has_ids", [True, False])
def test_a_stream_is_remembered_like_a_complete_answer(has_ids: bool) -> None:
    parts: list[Part] = [
        signed("x", "1"),
        Text(text="t"),
        signed("y", "2"),
        call("a", value="s", arguments='{"city":"Oslo"}'),
        call("b"),
    ]
    other: list[Part] = [call("c", value="u")]
    choices = [Choice(parts=each, stop=Stop(reason="tool_calls")) for each in (parts, other)]
    whole, streamed = Memory(), Memory()
    for choice in choices:
        remember(whole, choice.parts, chat(), HOME, has_ids=has_ids)
    watcher = AnswerWatcher(streamed, chat(), HOME, has_ids=has_ids)
    for event in events_of(Response(choices=choices)):
        watcher.watch([event])
    assert streamed.values == whole.values
    assert len(whole.values) == (2 if has_ids else 4)


SIGNED_TEXT: list[Part] = [Text(text="Hello "), Text(text="you"), Text(text="", token=token("s"))]


def after_text(*sent: Part, before: str = "hi", issuer: Issuer = HOME) -> list[Part]:
    """Return the model turn that this endpoint gets after a signed text, if the client sends these parts."""
    memory = Memory()
    remember(memory, SIGNED_TEXT, chat(), HOME, has_ids=True)
    return with_remembered(chat(*sent, before=before), memory, issuer).messages[1].parts


def test_the_token_of_a_text_is_restored() -> None:
    assert after_text(Text(text="Hello you")) == [Text(text="Hello you"), Text(text="", token=token("s"))]


def test_another_text_and_the_same_one_elsewhere_get_nothing() -> None:
    for parts in (after_text(Text(text="Hello")), after_text(Text(text="Hello you"), before="other")):
        assert [part.token for part in parts if isinstance(part, Text)] == [None]
    elsewhere = after_text(Text(text="Hello you"), issuer=Issuer("elsewhere", "gemini", wants_text_back=False))
    assert elsewhere == [Text(text="Hello you")]


def test_the_token_of_a_text_before_a_call_is_restored_with_the_token_of_the_call() -> None:
    answer: list[Part] = [Text(text="t", token=token("x")), call("a", value="s")]
    assert second(answer, Text(text="t"), call("a")) == [
        Text(text="t"),
        Text(text="", token=token("x")),
        call("a", value="s"),
    ]


def test_a_streamed_text_is_remembered_like_a_complete_one() -> None:
    whole, streamed = Memory(), Memory()
    remember(whole, SIGNED_TEXT, chat(), HOME, has_ids=True)
    watcher = AnswerWatcher(streamed, chat(), HOME, has_ids=True)
    watcher.watch(events_of(Response(choices=[Choice(parts=SIGNED_TEXT, stop=Stop(reason="stop"))])))
    assert streamed.values == whole.values
    assert len(whole.values) == 1


def test_texts_of_other_upstreams_are_not_remembered() -> None:
    memory = Memory()
    remember(memory, SIGNED_TEXT, chat(), Issuer("home", "openai_chat", wants_text_back=False), has_ids=True)
    assert memory.is_empty


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
CLAUDE = BY_UPSTREAM["anthropic_messages"]
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "First,", "signature": "s1"},
    {"type": "redacted_thinking", "data": "d2"},
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
]
ANSWER = {"type": "message", "role": "assistant", "content": BLOCKS, "stop_reason": "tool_use", "usage": {}}


def chat_call(*turns: dict[str, Any], memory: Memory, is_stream: bool = False, tools: Any = TOOLS) -> Call:
    messages = [{"role": "user", "content": "hi"}, *turns]
    body: dict[str, Any] = {"model": "m", "messages": messages, "stream": is_stream, "reasoning_effort": "low"}
    call = call_of("openai_chat", {"body": body | ({"tools": tools} if tools else {})})
    call.memory = memory
    return call


def claude_stream() -> bytes:
    call = plain_call("anthropic_messages", is_stream=True)
    response = read_answer("anthropic_messages", {"body": ANSWER})
    encoder = client_of("anthropic_messages").stream(call, LossReport())
    events = [event for event in events_of(response) if type(event).__name__ != "StreamEnded"]
    wire: bytes = encoder.encode(events) + encoder.end()
    return wire


def answer_in(mode: str, call: Call, wire: bytes) -> None:
    route = translation_of(call, "openai_chat", "anthropic_messages")
    if mode == "whole":
        route.decode_response(wire, call, CLAUDE)
        return
    relay = route.relay(call, CLAUDE) if mode == "stream" else route.relay_whole(call, CLAUDE)
    assert relay is not None
    relay.feed(wire)
    relay.end()


def claude_gets(memory: Memory) -> list[dict[str, Any]]:
    """Return the model turn that Claude gets if the client sends back only text and call."""
    function = {"name": "f", "arguments": "{}"}
    turn = {"role": "assistant", "content": "I look.", "tool_calls": [{"id": "toolu_1", "type": "function"}]}
    turn["tool_calls"][0]["function"] = function  # type: ignore[index]
    call = chat_call(turn, {"role": "tool", "tool_call_id": "toolu_1", "content": "ok"}, memory=memory)
    request = translation_of(call, "openai_chat", "anthropic_messages").encode_request(call, CLAUDE)
    body = json.loads(request.body)
    assert (body.get("thinking", {}).get("type") == "enabled") is not memory.is_empty
    content: list[dict[str, Any]] = body["messages"][1]["content"]
    return content


@pytest.mark.parametrize("mode", ["whole", "stream", "whole_for_stream"])
def test_claude_gets_all_blocks_back_in_their_order(mode: str) -> None:
    memory = Memory()
    wire = claude_stream() if mode == "stream" else json.dumps(ANSWER).encode()
    answer_in(mode, chat_call(memory=memory, is_stream=mode != "whole"), wire)
    assert claude_gets(memory) == BLOCKS


def test_a_stream_that_breaks_off_is_not_remembered() -> None:
    memory = Memory()
    answer_in("stream", chat_call(memory=memory, is_stream=True), claude_stream().partition(b"event: message_delta")[0])
    assert memory.is_empty
    assert claude_gets(memory) == BLOCKS[2:]


def test_requests_without_tools_and_passthroughs_remember_nothing() -> None:
    memory = Memory()
    plain = chat_call(memory=memory, tools=None)
    without_call = json.dumps({**ANSWER, "content": BLOCKS[:3], "stop_reason": "end_turn"}).encode()
    answer_in("whole", plain, without_call)
    answer_in("stream", chat_call(memory=memory, is_stream=True, tools=None), claude_stream())
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    same = call_of(
        "anthropic_messages", {"body": {**body, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}}
    )
    same.memory = memory
    route = ENDPOINTS["anthropic_messages"].route(same, CLAUDE)
    route.decode_response(json.dumps(ANSWER).encode(), same, CLAUDE)
    assert memory.is_empty


def test_deepseek_gets_the_reasoning_back_that_a_client_drops() -> None:
    memory, deepseek = Memory(), OTHERS["deepseek"]
    message: dict[str, Any] = {"role": "assistant", "content": None, "reasoning_content": "First,"}
    message["tool_calls"] = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    answer = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    hello: dict[str, Any] = {"role": "user", "content": "hi"}
    body = {"model": "m", "max_tokens": 9, "messages": [hello], "tools": [{"name": "f", "input_schema": {}}]}
    first = call_of("anthropic_messages", {"body": body})
    first.memory = memory
    route = translation_of(first, "anthropic_messages", "openai_chat")
    route.decode_response(answer, first, deepseek)
    turn = {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "ok"}]}
    second = call_of("anthropic_messages", {"body": {**body, "messages": [hello, turn, result]}})
    second.memory = memory
    sent = json.loads(route.encode_request(second, deepseek).body)
    assert sent["messages"][1]["reasoning_content"] == "First,"
