"""Vendors' quirks on the passthrough: requests are adapted where necessary, and relayed byte for byte otherwise."""

import json
from typing import Any

import pytest

from intellirouter.core import Deployment, Loss, UpstreamAddress, UpstreamRequest, errors
from intellirouter.core.vendor import NO_QUIRKS, Quirks
from intellirouter.dialects.openai_chat import UPSTREAM, OpenAIChatPassthrough
from intellirouter.dialects.openai_chat.quirks import may_apply
from intellirouter.dialects.openai_completions import CompletionsPassthrough

PASSTHROUGH = OpenAIChatPassthrough()
MESSAGES = [{"role": "user", "content": "hello"}]


def relayed(quirks: Quirks, *, raw: bytes | None = None, **members: Any) -> tuple[bytes, UpstreamRequest]:
    body = raw or json.dumps({"model": "m", "messages": MESSAGES, **members}, indent=1).encode()
    endpoint = UpstreamAddress(base_url="http://x")
    to = Deployment(name="up", provider="p", vendor="v", upstream_model="m", address=endpoint, quirks=quirks)
    call = PASSTHROUGH.decode_request(body)
    request = PASSTHROUGH.encode_request(call, to)
    assert UPSTREAM.relay_request(call, to) == request
    return body, request


def adapted(quirks: Quirks, **members: Any) -> tuple[dict[str, Any], tuple[Loss, ...]]:
    _, request = relayed(quirks, **members)
    body: dict[str, Any] = json.loads(request.body)
    return body, request.losses


ALL = Quirks(
    refuses=frozenset({"seed", "logit_bias", "messages[].name"}),
    renames=(("max_completion_tokens", "max_tokens"),),
    reasoning_field="reasoning",
    structured_output="json_object",
    max_temperature=1.0,
)


def test_a_request_without_quirky_members_is_relayed_unchanged() -> None:
    body, request = relayed(ALL, temperature=0.5, max_tokens=3, unknown={"a": 1})
    assert (request.body, request.losses) == (body, ())


def test_without_quirks_the_body_is_unchanged() -> None:
    developer = [{"role": "developer", "content": "x"}]
    body, request = relayed(NO_QUIRKS, messages=developer, seed=1)
    assert (request.body, request.losses) == (body, ())


@pytest.mark.parametrize(
    "members",
    [
        {"seed": 1},
        {"max_completion_tokens": 5},
        {"messages": [{"role": "developer", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": "x", "reasoning_content": "y"}]},
        {"messages": [{"role": "user", "content": "x", "name": "n"}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"temperature": 1.5},
    ],
    ids=lambda members: next(iter(members)),
)
def test_may_apply_finds_members_with_quirks(members: dict[str, Any]) -> None:
    call = PASSTHROUGH.decode_request(json.dumps({"model": "m", "messages": MESSAGES, **members}).encode())
    assert may_apply(call.body, call.source.temperature, ALL)


def test_names_with_escapes_are_found() -> None:
    raw = rb'{"model":"m","messages":[{"role":"user","content":"x"}],"\u0073eed":1}'
    _, request = relayed(ALL, raw=raw)
    assert "seed" not in json.loads(request.body)
    assert [loss.field for loss in request.losses] == ["seed"]


def test_rejected_members_are_dropped_and_reported() -> None:
    body, losses = adapted(ALL, seed=1, logit_bias={"1": 1}, unknown=[1], top_p=0.5)
    assert body == {"model": "m", "messages": MESSAGES, "unknown": [1], "top_p": 0.5}
    assert {str(loss) for loss in losses} == {"seed;how=dropped", "logit_bias;how=dropped"}


def test_rejected_members_of_messages_are_dropped_and_reported() -> None:
    body, losses = adapted(ALL, messages=[{"role": "user", "content": "x", "name": "n", "mood": 1}])
    assert body["messages"] == [{"role": "user", "content": "x", "mood": 1}]
    assert [loss.field for loss in losses] == ["messages[].name"]


def test_a_null_member_is_not_a_loss() -> None:
    body, losses = adapted(ALL, seed=None)
    assert ("seed" in body, losses) == (False, ())


def test_members_are_renamed_unless_the_new_name_is_set() -> None:
    assert adapted(ALL, max_completion_tokens=5)[0]["max_tokens"] == 5
    body, losses = adapted(ALL, max_completion_tokens=5, max_tokens=7)
    assert (body["max_tokens"], "max_completion_tokens" in body, losses) == (7, False, ())


def test_reasoning_is_sent_in_the_vendors_member() -> None:
    body, _ = adapted(ALL, messages=[{"role": "assistant", "content": "x", "reasoning_content": "y"}])
    assert body["messages"] == [{"role": "assistant", "content": "x", "reasoning": "y"}]


def test_temperature_is_clamped_and_reported() -> None:
    body, losses = adapted(ALL, temperature=1.7)
    assert body["temperature"] == 1.0
    assert [str(loss) for loss in losses] == ['temperature;how=clamped;as="1.0"']


def test_stream_options_are_dropped_if_not_supported() -> None:
    quirks = Quirks(takes_stream_options=False)
    body, request = relayed(quirks, stream=True)
    assert request.body == body
    sent, losses = adapted(quirks, stream=True, stream_options={"include_usage": True})
    assert ("stream_options" in sent, losses) == (False, ())


def test_adapted_streams_request_usage() -> None:
    body, _ = adapted(ALL, stream=True, seed=1, stream_options={"include_obfuscation": False})
    assert body["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize("system", [None, "Be kind.", [{"type": "text", "text": "Be kind."}]])
def test_a_schema_becomes_an_instruction_after_the_system_prompt(system: Any) -> None:
    messages = [{"role": "system", "content": system}, *MESSAGES] if system else MESSAGES
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}}
    body, losses = adapted(ALL, messages=messages, response_format=response_format)
    system_prompt = json.dumps(body["messages"][0]["content"])
    assert body["messages"][0]["role"] == "system"
    assert '{\\"type\\":\\"array\\"}' in system_prompt.replace('\\\\"', '\\"')
    assert ("Be kind." in system_prompt) is (system is not None)
    assert body["response_format"] == {"type": "json_object"}
    assert [(loss.field, loss.how) for loss in losses] == [("response_format", "emulated")]


def test_members_that_the_client_relies_on_raise_unsupported_feature() -> None:
    quirks = Quirks(refuses=frozenset({"tools", "n"}))
    tool = {"type": "function", "function": {"name": "f"}}
    for members in ({"tools": [tool]}, {"n": 2}):
        with pytest.raises(errors.UnsupportedFeature) as caught:
            relayed(quirks, **members)
        assert caught.value.param in {"tools", "n"}
    assert "n" not in adapted(quirks, n=1)[0]


def test_legacy_completions_are_adapted() -> None:
    route = CompletionsPassthrough()
    endpoint = UpstreamAddress(base_url="http://x")
    to = Deployment(name="up", provider="p", vendor="v", upstream_model="um", address=endpoint, quirks=ALL)
    for messages in ([1], 5, {}):
        call = route.decode_request(json.dumps({"model": "m", "prompt": "x", "seed": 1, "messages": messages}).encode())
        request = route.encode_request(call, to)
        assert json.loads(request.body) == {"model": "um", "prompt": "x", "messages": messages}
        assert request.path == "/completions"
