"""Which requests may use the cache, and which answers may be stored."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.cache import exclusion_reason, may_store
from intellirouter.config import CacheSpec
from intellirouter.core import Call, RequestContext

SETTINGS = CacheSpec()
COOL = CacheSpec(max_temperature=0.5)


def call(dialect: str = "openai_chat", operation: Any = "chat", **members: Any) -> Call:
    return Call(operation=operation, model="m", body=json.dumps({"model": "m", **members}).encode(), dialect=dialect)


@pytest.mark.parametrize(
    ("request_call", "settings", "reason"),
    [
        (call(), SETTINGS, None),
        (call(temperature=2), SETTINGS, None),
        (call(operation="realtime"), SETTINGS, "realtime requests"),
        (call(operation="embeddings"), COOL, None),
        (structs.replace(call(), is_edited=True), SETTINGS, "edited"),
        (structs.replace(call(), context=RequestContext(previous_response_id="r")), SETTINGS, "continues"),
        (call(store=True), SETTINGS, "provider stores"),
        (structs.replace(call(), body=b'{"st\\u006fre":true}'), SETTINGS, "provider stores"),
        (call(store=False), SETTINGS, None),
        (call("openai_responses"), SETTINGS, "ID of its own"),
        (call("openai_responses", store=None), SETTINGS, "ID of its own"),
        (call("openai_responses", store=False), SETTINGS, None),
        (call("openai_responses", store=False, conversation="c"), SETTINGS, "stored conversation"),
        (call("openai_responses", store=False, previous_response_id="c"), SETTINGS, "stored conversation"),
        (call("openai_responses", store=False, background=True), SETTINGS, "stored conversation"),
        (call(), COOL, "temperature of 1 "),
        (call(temperature=None), COOL, "temperature of 1 "),
        (call(temperature=0), COOL, None),
        (call("gemini", generationConfig={"temperature": 0.7}), COOL, "temperature of 0.7 "),
        (call("gemini", generationConfig={"temperature": 0.2}), COOL, None),
        (call("ollama", options={"temperature": 0.7}), COOL, "temperature of 0.7 "),
        (call("gemini", generationConfig=5), COOL, "cannot be read"),
        (structs.replace(call(), body=b'{"store":'), SETTINGS, "cannot be read"),
    ],
)
def test_requests_that_cannot_use_the_cache(request_call: Call, settings: CacheSpec, reason: str | None) -> None:
    found = exclusion_reason(request_call, settings)
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


@pytest.mark.parametrize(
    ("finish_reason", "tool_calls", "is_stored"),
    [
        ("stop", False, True),
        ("stop_sequence", False, True),
        ("end_turn", False, True),
        (None, False, True),
        ("length", True, False),
        ("context_length", True, False),
        ("content_filter", True, False),
        ("refusal", True, False),
        ("pause", True, False),
        ("tool_calls", False, False),
        ("tool_calls", True, True),
    ],
)
def test_only_complete_answers_are_stored(finish_reason: str | None, tool_calls: bool, is_stored: bool) -> None:
    assert may_store(call(), CacheSpec(tool_calls=tool_calls), finish_reason, [b"{}"]) is is_stored


@pytest.mark.parametrize("name", ["tool_calls", "tool_use", "functionCall", "function_call", "custom_tool_call"])
def test_tool_calls_are_found_in_the_answer_whatever_its_finish_reason(name: str) -> None:
    with_tools = structs.replace(call(), needs=frozenset({"tools"}))
    pieces = [b'{"x":"%b' % name[:3].encode(), b'%b"}' % name[3:].encode()]
    assert not may_store(with_tools, SETTINGS, "stop", pieces)
    assert may_store(with_tools, CacheSpec(tool_calls=True), "stop", pieces)
    assert may_store(with_tools, SETTINGS, "stop", [b'{"x":"text"}'])
