"""The effects of an edit on a call, and the encoding of single edits for upstreams."""

import copy
import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import EMPTY_CONTEXT, Call, UpstreamRequest, errors
from intellirouter.dialects.ir import (
    Conversation,
    FunctionTool,
    Media,
    Message,
    OutputFormat,
    Sampling,
    Source,
    Text,
)
from tests.support.dialects.meaning import all_text, without_whitespace
from tests.support.dialects.pairs import BY_UPSTREAM, UPSTREAMS, call_of, read_back, web
from tests.support.dialects.staged import PERSONA, endpoint_for, persona, send, with_message
from tests.support.dialects.standard import ENDPOINTS


def chat(**members: Any) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi", "x": 1}], **members}
    return call_of("openai_chat", {"body": body})


CHAT = ENDPOINTS["openai_chat"]


def conversation_in(call: Call) -> Conversation:
    conversation = CHAT.conversation(call)
    assert conversation is not None
    return conversation


def edit(call: Call, **members: Any) -> Call:
    return CHAT.edited(call, structs.replace(conversation_in(call), **members))


def sent_body(call: Call, target: str = "openai_chat") -> Any:
    request = send(CHAT, call, BY_UPSTREAM[target])
    assert isinstance(request, UpstreamRequest), request
    return json.loads(request.body)


def test_the_original_call_is_unchanged() -> None:
    call = chat()
    before = copy.deepcopy(call)
    edited = edit(call, messages=[persona()])
    assert (call.body, call.needs, call.is_edited) == (before.body, before.needs, False)
    assert edited.is_edited
    assert edited.body == call.body
    assert CHAT.conversation(call) == CHAT.conversation(before)
    assert [message.role for message in conversation_in(edited).messages] == ["system"]
    assert sent_body(call)["messages"] == [{"role": "user", "content": "hi", "x": 1}]


def test_edits_are_cumulative() -> None:
    call = chat()
    first = CHAT.conversation(call)
    assert first is not None
    once = CHAT.edited(call, with_message(first, persona()))
    second = CHAT.conversation(once)
    assert second is not None
    twice = CHAT.edited(once, with_message(second, Message(role="user", parts=[Text(text="last")]), 2))
    assert [message["content"] for message in sent_body(twice)["messages"]] == [PERSONA, "hi", "last"]
    assert sent_body(twice)["messages"][1] == {"role": "user", "content": "hi", "x": 1}
    assert twice.added_tokens > once.added_tokens > 0


def test_needs_are_updated() -> None:
    image = Media(kind="image", source=Source(data="iVBORw0KGgo=", media_type="image/png"))
    with_tools = edit(chat(), tools=[FunctionTool(name="f")])
    assert with_tools.needs == {"tools"}
    with_image = edit(with_tools, messages=[Message(role="user", parts=[image])])
    assert with_image.needs == {"tools", "vision"}
    assert edit(with_image, tools=[]).needs == {"vision"}
    schema = OutputFormat(kind="json_schema", schema={"type": "object"})
    assert edit(chat(), output=schema).needs == {"json_schema"}
    original = chat(tools=[{"type": "function", "function": {"name": "f"}}])
    assert original.needs == {"tools"}
    assert edit(original, tools=[]).needs == frozenset()


def test_the_token_estimate_and_the_token_limit_are_updated() -> None:
    call = chat(max_tokens=50)
    longer = edit(call, messages=[Message(role="user", parts=[Text(text="x" * 4_000)])])
    assert 900 < longer.added_tokens < 1_100
    assert longer.estimated_input_tokens() == call.estimated_input_tokens() + longer.added_tokens
    assert structs.replace(call, added_tokens=-10_000).estimated_input_tokens() == 0
    assert edit(longer, messages=conversation_in(call).messages).added_tokens == 0
    assert longer.max_output_tokens == 50
    limited = edit(call, sampling=Sampling(max_output_tokens=7))
    assert limited.max_output_tokens == 7
    assert {name: value for name, value in sent_body(limited).items() if "max" in name} == {"max_completion_tokens": 7}


def test_model_dialect_and_streaming_cannot_be_edited() -> None:
    call = chat()
    edited = edit(call, is_stream=True, model="other", dialect="gemini", messages=[persona()])
    assert "stream" not in sent_body(edited)
    conversation = CHAT.conversation(edited)
    assert conversation is not None
    assert (conversation.model, conversation.dialect, conversation.is_stream) == ("m", "openai_chat", False)


@pytest.mark.parametrize(
    ("members", "changes", "expected"),
    [
        ({"temperature": 0.5, "x_own": [1]}, {"user": "u"}, {"temperature": 0.5, "x_own": [1], "user": "u"}),
        ({"user": "u", "store": True}, {"user": ""}, {"store": True}),
        ({"functions": [{"name": "f"}]}, {"tools": []}, {}),
        (
            {"functions": [{"name": "f"}]},
            {"tools": [FunctionTool(name="g")]},
            {"tools": [{"type": "function", "function": {"name": "g"}}]},
        ),
        ({"n": 3, "audio": {"voice": "x"}}, {"user": "u"}, {"n": 3, "audio": {"voice": "x"}, "user": "u"}),
    ],
)
def test_an_edited_setting_does_not_change_the_others(members: Any, changes: Any, expected: Any) -> None:
    sent = sent_body(edit(chat(**members), **changes))
    assert {name: value for name, value in sent.items() if name not in {"model", "messages"}} == expected


def test_a_changed_message_keeps_its_place_and_unknown_members() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "My card is 4111"}, {"type": "odd", "y": 1}], "x": 1},
        {"role": "assistant", "content": "Noted.", "x": 2},
        {"role": "user", "content": "Thanks", "x": 3},
    ]
    call = chat(messages=messages)
    conversation = copy.deepcopy(CHAT.conversation(call))
    assert conversation is not None
    part = conversation.messages[0].parts[0]
    assert isinstance(part, Text)
    part.text = "My card is [redacted]"
    sent = sent_body(CHAT.edited(call, conversation))
    assert "4111" not in json.dumps(sent)
    assert sent["messages"][1:] == messages[1:]
    assert sent["messages"][0]["content"] == [
        {"type": "text", "text": "My card is [redacted]"},
        {"type": "odd", "y": 1},
    ]


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_removed_messages_reach_no_upstream(upstream: str) -> None:
    """The dialects have different members for system prompts."""
    secret, rest = "the secret word", {"role": "user", "content": "hi"}
    bodies: dict[str, dict[str, Any]] = {
        "openai_chat": {"messages": [{"role": "system", "content": secret}, rest]},
        "openai_responses": {"instructions": secret, "input": "hi"},
        "anthropic_messages": {"system": secret, "messages": [rest], "max_tokens": 9},
        "gemini": {"systemInstruction": {"parts": {"text": secret}}, "contents": {"parts": [{"text": "hi"}]}},
        "ollama": {"messages": [{"role": "system", "content": secret}, rest]},
    }
    for client, body in bodies.items():
        case = {"body": body if client == "gemini" else {"model": "m", **body}, "path": {"model": "m"}}
        for replaced in (0, 1):
            call = call_of(client, case)
            endpoint = endpoint_for(client, call)
            conversation = endpoint.conversation(call)
            assert conversation is not None
            messages = conversation.messages[1:] if not replaced else [persona(), *conversation.messages[1:]]
            edited = endpoint.edited(call, structs.replace(conversation, messages=messages))
            request = send(endpoint, edited, BY_UPSTREAM[upstream])
            assert isinstance(request, UpstreamRequest)
            after = read_back(request, upstream)
            assert "secret" not in request.body.decode()
            assert all_text(after).count(without_whitespace(PERSONA)) == replaced
            assert "hi" in all_text(after)


def test_media_in_an_edit_are_fetched_for_upstreams_without_url_support() -> None:
    endpoint, target = ENDPOINTS["ollama_chat"], BY_UPSTREAM["ollama"]
    call = call_of("ollama", {"body": {"model": "m", "messages": [{"role": "user", "content": "hi"}]}})
    conversation = endpoint.conversation(call)
    assert conversation is not None
    image = Media(kind="image", source=Source(url="https://images.example/a.png"))
    edited = endpoint.edited(call, with_message(conversation, Message(role="user", parts=[image])))
    assert list(endpoint.route(edited, target).media_urls(edited, target)) == ["https://images.example/a.png"]
    request = send(endpoint, edited, target)
    assert isinstance(request, UpstreamRequest)
    assert json.loads(request.body)["messages"][0]["images"] == [web("a.png")[1]]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("openai_embeddings", {"model": "m", "input": "hi"}),
        ("openai_moderations", {"model": "m", "input": "hi"}),
        ("ollama_chat", {"model": "m"}),
        ("ollama_generate", {"model": "m"}),
    ],
)
def test_requests_other_than_chats_have_no_conversation(endpoint: str, body: dict[str, Any]) -> None:
    selected = ENDPOINTS[endpoint]
    call = selected.decode_request(json.dumps(body).encode(), EMPTY_CONTEXT)
    assert selected.conversation(call) is None
    with pytest.raises(errors.InternalError):
        selected.edited(call, Conversation(dialect="x", model="m"))


@pytest.mark.parametrize("endpoint", ["anthropic_count_tokens", "openai_input_tokens"])
def test_token_counts_include_the_edit(endpoint: str) -> None:
    selected = ENDPOINTS[endpoint]
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "input": "hi"}
    call = selected.decode_request(json.dumps(body).encode(), EMPTY_CONTEXT)
    conversation = selected.conversation(call)
    assert conversation is not None
    edited = selected.edited(call, with_message(conversation, persona()))
    target = BY_UPSTREAM["openai_chat"]
    counts = []
    for each in (call, edited):
        answer = selected.route(each, target).decode_response(b"", each, target)
        counts.append(json.loads(answer.body or b"")["input_tokens"])
    assert counts[1] > counts[0] + 10


def test_edited_legacy_completions_are_sent_as_chats() -> None:
    selected = ENDPOINTS["openai_completions"]
    call = selected.decode_request(b'{"model":"m","prompt":"Once","best_of":2}', EMPTY_CONTEXT)
    conversation = selected.conversation(call)
    assert conversation is not None
    request = send(selected, selected.edited(call, with_message(conversation, persona())), BY_UPSTREAM["openai_chat"])
    assert isinstance(request, UpstreamRequest)
    assert request.path == "/chat/completions"
    assert [message["content"] for message in json.loads(request.body)["messages"]] == [PERSONA, "Once"]


MESSAGES = [{"role": "user", "content": "hi"}]
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
BUDGET = {"thinkingConfig": {"thinkingBudget": 1024}}


@pytest.mark.parametrize(
    ("client", "body", "left"),
    [
        (
            "gemini",
            {"contents": CONTENTS, "generationConfig": {"temperature": 0.5, **BUDGET}},
            {"generationConfig": BUDGET},
        ),
        ("gemini", {"contents": CONTENTS, "generationConfig": {"temperature": 0.5}}, {}),
        (
            "ollama",
            {"model": "m", "messages": MESSAGES, "options": {"temperature": 0.5, "num_ctx": 99}},
            {"options": {"num_ctx": 99}},
        ),
    ],
)
def test_removing_one_setting_keeps_the_others_of_its_object(
    client: str, body: dict[str, Any], left: dict[str, Any]
) -> None:
    path = {"model": "m", "is_stream": False, "query": ""} if client == "gemini" else None
    call = call_of(client, {"body": body, "path": path})
    endpoint = endpoint_for(client, call)
    original = endpoint.conversation(call)
    assert original is not None
    edit = structs.replace(original, sampling=structs.replace(original.sampling, temperature=None))
    request = send(endpoint, endpoint.edited(call, edit), BY_UPSTREAM[client])
    assert isinstance(request, UpstreamRequest)
    sent = json.loads(request.body)
    assert {name: sent[name] for name in ("generationConfig", "options") if name in sent} == left
