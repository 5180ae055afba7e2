"""No endpoint accepts two members of the same name that it decides on, because upstreams may use the other one."""

import json
from typing import Any

import pytest

from intellirouter.core import RequestContext, errors
from intellirouter.dialects import DIALECTS, Endpoint, build_dialects

ENDPOINTS = [each for each in build_dialects(DIALECTS).endpoints.values() if each.is_json and each.unique_members]
MESSAGES = [{"role": "user", "content": "hi"}]
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
EVERYTHING: dict[str, Any] = {
    "max_tokens": 5,
    "messages": MESSAGES,
    "input": "hi",
    "prompt": "hi",
    "contents": CONTENTS,
    "content": CONTENTS[0],
    "query": "hi",
    "documents": ["a"],
    "voice": "v",
}
_OBJECTS = {"openai_responses", "openai_input_tokens"}
"""Endpoints whose `prompt` is an object."""


def body_with(endpoint: Endpoint, member: str) -> bytes:
    others = {name: value for name, value in EVERYTHING.items() if name != "prompt" or endpoint.name not in _OBJECTS}
    text = json.dumps({"model": "m", **others})
    return f"{text[:-1]}, {member}}}".encode()


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.name)
def test_two_models_are_refused_at_every_endpoint(endpoint: Endpoint) -> None:
    context = RequestContext(model="m")
    assert endpoint.decode_request(body_with(endpoint, '"x": 1'), context).is_checked
    for member in ('"model": "other"', '"model": "m"', r'"mod\u0065l": "other"'):
        with pytest.raises(errors.InvalidRequest) as caught:
            endpoint.decode_request(body_with(endpoint, member), context)
        assert (caught.value.param, caught.value.code) == ("model", "duplicate_parameter")
        assert b"model" in endpoint.errors.encode(caught.value)


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("openai_chat", "stream"),
        ("openai_responses", "background"),
        ("openai_responses", "store"),
        ("openai_responses", "previous_response_id"),
        ("gemini", "contents"),
        ("anthropic_messages", "stream"),
        ("ollama_chat", "stream"),
    ],
)
def test_other_decisive_members_are_refused_too(name: str, member: str) -> None:
    endpoint = next(each for each in ENDPOINTS if each.name == name)
    value = '"resp_1"' if member == "previous_response_id" else json.dumps(EVERYTHING.get(member, True))
    with pytest.raises(errors.InvalidRequest) as caught:
        endpoint.decode_request(
            body_with(endpoint, f'"{member}": {value}, "{member}": {value}'), RequestContext(model="m")
        )
    assert caught.value.param == member


CHAT = {"model": "m", "max_tokens": 5}
NESTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "openai_chat": ("messages", CHAT, "role"),
    "anthropic_messages": ("messages", CHAT, "role"),
    "anthropic_count_tokens": ("messages", CHAT, "role"),
    "ollama_chat": ("messages", CHAT, "role"),
    "openai_responses": ("input", CHAT, "role"),
    "openai_input_tokens": ("input", CHAT, "role"),
    "gemini": ("contents", {}, "role"),
    "gemini_count_tokens": ("contents", {}, "role"),
}


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("padding", ["", "x" * 6_000])
@pytest.mark.parametrize("second", ["role", r"r\u006fle", "content"])
def test_message_with_a_member_twice_is_refused(name: str, padding: str, second: str) -> None:
    member, others, first = NESTED[name]
    endpoint = next(each for each in ENDPOINTS if each.name == name)
    content = f'"parts": [{{"text": "hi {padding}"}}]' if "gemini" in name else f'"content": "hi {padding}"'
    message = f'"{first}": "user", {content}'
    body = f'{json.dumps(others)[:-1]}{", " if others else ""}"{member}": [{{%s}}]}}'
    context = RequestContext(model="m")
    assert endpoint.decode_request((body % message).encode(), context)
    duplicate = content.replace("hi", "ho") if second == "content" else f'"{second}": "assistant"'
    if padding and second == "content":
        return  # In larger bodies only the roles are checked.
    with pytest.raises(errors.InvalidRequest) as caught:
        endpoint.decode_request((body % f"{message}, {duplicate}").encode(), context)
    assert caught.value.code == "duplicate_parameter"


def test_every_json_endpoint_is_checked() -> None:
    names = {each.name for each in ENDPOINTS}
    expected = {each.name for each in build_dialects(DIALECTS).endpoints.values() if each.is_json and each.routes}
    assert names == {name for name in expected if "realtime" not in name}
