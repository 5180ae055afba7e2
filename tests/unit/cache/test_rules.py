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
        (None, False, False),
        ("unknown", False, False),
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
    assert may_store(call(), CacheSpec(tool_calls=tool_calls), finish_reason, [b'{"content":"x"}']) is is_stored


@pytest.mark.parametrize(
    "call_in_answer",
    [
        '"tool_calls":[{"id":"c"}]',
        '"tool_calls": [{"id":"c"}]',
        '"function_call":{"name":"f"}',
        '"functionCall":{"name":"f"}',
        '"type":"tool_use"',
        '"type":"mcp_call"',
        '"type": "local_shell_call"',
        '"type":"mcp_approval_request"',
    ],
)
def test_actions_are_found_in_the_answer_whatever_its_finish_reason(call_in_answer: str) -> None:
    sent = b'{"content":"x",%b}' % call_in_answer.encode()
    pieces = [sent[:7], sent[7:]]
    assert not may_store(call(), SETTINGS, "stop", pieces)
    assert may_store(call(), CacheSpec(tool_calls=True), "stop", pieces)
    assert may_store(call(), SETTINGS, "stop", [b'{"content":"text","tool_calls":[],"function_call":null}'])


@pytest.mark.parametrize(
    "sent",
    [
        b'{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}',
        b'{"choices":[{"finish_reason":"stop"},{"finish_reason": null}]}',
        b'{"candidates":[{"finishReason":"STOP"},{"finishReason":"SAFETY"}]}',
        b'{"message":{"refusal":"I cannot"},"finish_reason":"stop"}',
        b'{"content":[{"type":"refusal"}]}',
        b'{"done_reason":"load"}',
    ],
)
def test_all_choices_must_be_complete_and_no_refusals(sent: bytes) -> None:
    assert not may_store(call(), SETTINGS, "stop", [sent])


def test_text_about_finish_reasons_is_stored() -> None:
    sent = b'{"content":"\\"finish_reason\\":\\"length\\"","refusal":null,"finish_reason":"stop"}'
    assert may_store(call(), SETTINGS, "stop", [sent])


def test_other_operations_have_no_finish_reason() -> None:
    assert may_store(call(operation="embeddings"), SETTINGS, None, [b"{}"])


@pytest.mark.parametrize(
    ("sent", "is_stored"),
    [
        (b'{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}', False),
        (b'{"choices":[{"message":{"content":null,"reasoning_content":"hm"},"finish_reason":"stop"}]}', False),
        (b'{"choices":[{"text": "x","finish_reason":"stop"}]}', True),
        (b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}', True),
        (b'{"content":[{"type":"thinking","thinking":"hm"}],"stop_reason":"end_turn"}', False),
        (b'{"type":"response.output_text.delta","delta":"x"}', True),
        (b'{"output":[],"status":"completed"}', False),
        (b'{"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}', False),
        (b'{"candidates":[{"content":{"parts":[{"inlineData":{"data":"aGk="}}]},"finishReason":"STOP"}]}', True),
        (b'{"response":"","done_reason":"stop"}', False),
        (b'{"response":"x","done_reason":"stop"}', True),
    ],
)
def test_empty_answers_are_not_stored(sent: bytes, is_stored: bool) -> None:
    assert may_store(call(), SETTINGS, "stop", [sent]) is is_stored
