"""What requests and answers refer to at a vendor, in all dialects that have such ids."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Call, RequestContext
from intellirouter.dialects import (
    NO_IDS,
    VendorIds,
    created_in,
    ids_in_request,
    ids_in_response,
    may_create_ids,
    may_have_ids,
)
from tests.support.dialects.standard import ENDPOINTS

GOOGLE = "https://generativelanguage.googleapis.com/v1beta/files/abc"


MINIMAL: dict[str, dict[str, Any]] = {
    "openai_responses": {"input": "hi"},
    "openai_chat": {"messages": [{"role": "user", "content": "x"}]},
    "anthropic_messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9},
    "gemini": {"contents": [{"parts": [{"text": "x"}]}]},
    "ollama_chat": {"messages": [{"role": "user", "content": "x"}]},
}


def other(endpoint: str, *, headers: tuple[tuple[str, str], ...] = (), **body: Any) -> Call:
    document = json.dumps({"model": "m", **MINIMAL[endpoint], **body}).encode()
    context = RequestContext(model="m" if endpoint == "gemini" else "", headers=headers)
    return ENDPOINTS[endpoint].decode_request(document, context)


def responses(**body: Any) -> Call:
    return other("openai_responses", **body)


def raw(dialect: str, **body: Any) -> Call:
    """Return a call whose body no codec has checked."""
    return Call(operation="chat", model="m", body=json.dumps(body).encode(), dialect=dialect)


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


REQUESTS = [
    (responses(conversation="conv_1"), ("conv_1",)),
    (responses(conversation={"id": "conv_1"}), ("conv_1",)),
    (responses(prompt={"id": "pmpt_1", "version": "2"}), ("pmpt_1",)),
    (responses(input=[{"type": "item_reference", "id": "rs_1"}, {"role": "user", "content": "x"}]), ("rs_1",)),
    (responses(input=[user({"type": "input_file", "file_id": "file-1"})]), ("file-1",)),
    (responses(tools=[{"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"]}]), ("vs_1", "vs_2")),
    (responses(tools=[{"type": "code_interpreter", "container": "cntr_1"}]), ("cntr_1",)),
    (responses(tools=[{"type": "code_interpreter", "container": {"type": "auto", "file_ids": []}}]), ()),
    (other("openai_chat", messages=[user(), {"role": "assistant", "audio": {"id": "audio_1"}}]), ("audio_1",)),
    (other("openai_chat", messages=[user({"type": "file", "file": {"file_id": "file-1"}})]), ("file-1",)),
    (other("anthropic_messages", container="container_1"), ("container_1",)),
    (other("anthropic_messages", container={"id": "container_1", "skills": []}), ("container_1",)),
    (
        other("anthropic_messages", messages=[user({"type": "document", "source": {"type": "file", "file_id": "f1"}})]),
        ("f1",),
    ),
    (other("gemini", cachedContent="cachedContents/c1"), ("cachedContents/c1",)),
    (other("gemini", cached_content="cachedContents/c1"), ("cachedContents/c1",)),
    (other("gemini", contents=[{"parts": [{"fileData": {"fileUri": GOOGLE}}]}]), (GOOGLE,)),
    (
        other(
            "anthropic_messages",
            headers=(("anthropic-beta", "files-api-2025-04-14"),),
            messages=[user({"type": "container_upload", "file_id": "f1"})],
        ),
        ("f1",),
    ),
]


@pytest.mark.parametrize(("call", "objects"), REQUESTS)
def test_references_of_a_request_are_found(call: Call, objects: tuple[str, ...]) -> None:
    assert may_have_ids(call)
    found = ids_in_request(call)
    assert (set(found.objects), found.tokens) == (set(objects), ())


def test_encrypted_reasoning_is_found_in_order_and_that_of_the_gateway_is_not() -> None:
    reasoning = [{"type": "reasoning", "id": f"rs_{each}", "encrypted_content": each} for each in "ab"]
    wrapped = {"type": "reasoning", "encrypted_content": "irt1.gemini.0123.abc"}
    call = responses(input=[*reasoning, wrapped, {"role": "user", "content": "x"}])
    assert ids_in_request(call) == VendorIds((), ("a", "b"))
    assert bool(VendorIds((), ("a",)))
    assert not NO_IDS


@pytest.mark.parametrize(
    "call",
    [
        responses(),
        responses(include=["reasoning.encrypted_content"], store=False),
        other("openai_chat", messages=[{"role": "user", "content": "x"}]),
        other("anthropic_messages", messages=[{"role": "user", "content": "x"}]),
        other("anthropic_messages", messages=[user({"type": "image", "source": {"type": "url", "url": "https://x"}})]),
        other("gemini"),
        other("gemini", contents=[{"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}]),
        other("ollama_chat"),
        Call(operation="embeddings", model="m", body=b'{"file_id": "x"}'),
    ],
)
def test_most_requests_need_not_be_read(call: Call) -> None:
    assert not may_have_ids(call)


def test_ids_in_arguments_and_results_of_tools_are_those_of_the_client() -> None:
    tool_use = {"type": "tool_use", "id": "t", "name": "open", "input": {"file_id": "mine", "container": "mine"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": '{"file_id": "mine"}'}
    call = raw("anthropic_messages", messages=[{"role": "assistant", "content": [tool_use]}, user(result)])
    assert ids_in_request(call) == NO_IDS
    response = {"functionResponse": {"name": "open", "response": {"file_id": "mine"}}}
    assert ids_in_request(raw("gemini", contents=[{"parts": [response]}])) == NO_IDS
    schema = {"type": "object", "properties": {"file_id": {"type": "string"}}}
    assert ids_in_request(raw("openai_chat", tools=[{"function": {"parameters": schema}}])) == NO_IDS
    output = {"type": "function_call_output", "call_id": "c", "output": '{"file_id": "mine"}'}
    assert (
        ids_in_request(raw("openai_responses", input=[{"type": "function_call", "call_id": "c", "name": "f"}, output]))
        == NO_IDS
    )


def test_number_of_ids_is_limited_to_the_last_ones() -> None:
    call = responses(input=[{"type": "item_reference", "id": f"i{number}"} for number in range(100)])
    assert ids_in_request(call).objects == tuple(f"i{number}" for number in range(68, 100))
    many = json.dumps({"output": [{"id": f"i{number}"} for number in range(100)]}).encode()
    assert ids_in_response(many, is_stored=True).objects == tuple(f"i{number}" for number in range(68, 100))


def test_what_a_response_has_created() -> None:
    items = [
        {"id": "rs_1", "type": "reasoning", "encrypted_content": "token"},
        {"id": "ci_1", "type": "code_interpreter_call", "container_id": "cntr_1"},
        {"id": "msg_1", "type": "message"},
        "?",
    ]
    response = json.dumps({"id": "resp_1", "conversation": {"id": "conv_1"}, "output": items}).encode()
    assert ids_in_response(response, is_stored=True) == VendorIds(
        ("conv_1", "rs_1", "cntr_1", "ci_1", "msg_1"), ("token",)
    )
    assert ids_in_response(response, is_stored=False) == VendorIds(("conv_1", "cntr_1"), ("token",))
    for broken in (b"", b"[]", b"\xff", b'{"output": 5}', b'{"output": [5], "conversation": 5}'):
        assert ids_in_response(broken, is_stored=True) == NO_IDS


def test_what_other_answers_have_created() -> None:
    assert created_in(b'{"message": {"audio": {"id": "audio_1", "data": ""}}}', "openai_chat") == ["audio_1"]
    assert created_in(b'{"container":{"id":"container_1","expires_at":""}}', "anthropic_messages") == ["container_1"]
    assert created_in(b'{"content": "{\\"audio\\": {\\"id\\": \\"x\\"}}"}', "openai_chat") == []
    assert created_in(b'{"container":{"id":"x"}}', "gemini") == []


def test_which_answers_are_read() -> None:
    assert may_create_ids(responses())
    assert may_create_ids(other("openai_chat", modalities=["text", "audio"]))
    assert may_create_ids(other("anthropic_messages", tools=[{"type": "code_execution_20250825", "name": "c"}]))
    assert not may_create_ids(other("openai_chat"))
    assert not may_create_ids(other("anthropic_messages"))
    assert not may_create_ids(other("gemini"))
    assert not may_create_ids(Call(operation="embeddings", model="m", body=b"modalities"))


NAMES = st.sampled_from(["input", "content", "parts", "file_id", "audio", "container", "type", "id", "tools", "prompt"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, JSON))
def test_nothing_in_a_request_or_response_raises_an_error(body: dict[str, Any]) -> None:
    for dialect in ("openai_responses", "openai_chat", "anthropic_messages", "gemini"):
        found = ids_in_request(raw(dialect, **body))
        assert all(isinstance(each, str) for each in (*found.objects, *found.tokens))
    ids_in_response(json.dumps({"output": body.get("input"), **body}).encode(), is_stored=True)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"input": 5}', b'{"conversation": {"id": {}}}'])
def test_request_that_cannot_be_read_refers_to_nothing(body: bytes) -> None:
    assert ids_in_request(Call(operation="chat", model="m", body=body)) == NO_IDS
