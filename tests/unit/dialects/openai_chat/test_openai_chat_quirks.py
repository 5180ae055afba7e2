"""Vendors' quirks on the passthrough: requests that they do not touch pass byte for byte, others are adapted."""

import json
from typing import Any

import pytest

from intellirouter.core import Deployment, Loss, UpstreamAddress, UpstreamRequest, errors
from intellirouter.core.vendor import NO_QUIRKS, Quirks
from intellirouter.dialects.openai_chat import UPSTREAM, OpenAIChatPassthrough
from intellirouter.dialects.openai_chat.quirks import may_apply
from intellirouter.dialects.openai_completions import CompletionsPassthrough

LANE = OpenAIChatPassthrough()
MESSAGES = [{"role": "user", "content": "hello"}]


def relayed(quirks: Quirks, *, raw: bytes | None = None, **members: Any) -> tuple[bytes, UpstreamRequest]:
    body = raw or json.dumps({"model": "m", "messages": MESSAGES, **members}, indent=1).encode()
    endpoint = UpstreamAddress(base_url="http://x")
    to = Deployment(name="up", provider="p", vendor="v", upstream_model="m", address=endpoint, quirks=quirks)
    call = LANE.decode_request(body)
    request = LANE.encode_request(call, to)
    assert UPSTREAM.relay_request(call, to) == request
    return body, request


def fitted(quirks: Quirks, **members: Any) -> tuple[dict[str, Any], tuple[Loss, ...]]:
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


def test_a_request_that_no_quirk_touches_passes_byte_for_byte() -> None:
    body, request = relayed(ALL, temperature=0.5, max_tokens=3, unknown={"a": 1})
    assert (request.body, request.losses) == (body, ())


def test_no_quirks_means_no_look_at_the_body() -> None:
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
def test_what_a_quirk_names_is_seen(members: dict[str, Any]) -> None:
    call = LANE.decode_request(json.dumps({"model": "m", "messages": MESSAGES, **members}).encode())
    assert may_apply(call.body, call.source.temperature, ALL)


def test_a_name_that_is_spelled_with_escapes_is_seen() -> None:
    raw = rb'{"model":"m","messages":[{"role":"user","content":"x"}],"\u0073eed":1}'
    _, request = relayed(ALL, raw=raw)
    assert "seed" not in json.loads(request.body)
    assert [loss.field for loss in request.losses] == ["seed"]


def test_refused_members_are_left_out_and_reported() -> None:
    body, losses = fitted(ALL, seed=1, logit_bias={"1": 1}, unknown=[1], top_p=0.5)
    assert body == {"model": "m", "messages": MESSAGES, "unknown": [1], "top_p": 0.5}
    assert {str(loss) for loss in losses} == {"seed;how=dropped", "logit_bias;how=dropped"}


def test_members_of_messages_can_be_refused() -> None:
    body, losses = fitted(ALL, messages=[{"role": "user", "content": "x", "name": "n", "mood": 1}])
    assert body["messages"] == [{"role": "user", "content": "x", "mood": 1}]
    assert [loss.field for loss in losses] == ["messages[].name"]


def test_null_is_no_loss() -> None:
    body, losses = fitted(ALL, seed=None)
    assert ("seed" in body, losses) == (False, ())


def test_renames() -> None:
    assert fitted(ALL, max_completion_tokens=5)[0]["max_tokens"] == 5
    body, losses = fitted(ALL, max_completion_tokens=5, max_tokens=7)
    assert (body["max_tokens"], "max_completion_tokens" in body, losses) == (7, False, ())


def test_thoughts_go_into_the_vendors_field() -> None:
    body, _ = fitted(ALL, messages=[{"role": "assistant", "content": "x", "reasoning_content": "y"}])
    assert body["messages"] == [{"role": "assistant", "content": "x", "reasoning": "y"}]


def test_temperature_is_clamped_and_said() -> None:
    body, losses = fitted(ALL, temperature=1.7)
    assert body["temperature"] == 1.0
    assert [str(loss) for loss in losses] == ['temperature;how=clamped;as="1.0"']


def test_streams_of_vendors_that_do_not_know_the_usage_option() -> None:
    quirks = Quirks(takes_stream_options=False)
    body, request = relayed(quirks, stream=True)
    assert request.body == body
    asked, losses = fitted(quirks, stream=True, stream_options={"include_usage": True})
    assert ("stream_options" in asked, losses) == (False, ())


def test_a_fitted_stream_asks_for_usage_too() -> None:
    body, _ = fitted(ALL, stream=True, seed=1, stream_options={"include_obfuscation": False})
    assert body["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize("system", [None, "Be kind.", [{"type": "text", "text": "Be kind."}]])
def test_a_schema_becomes_an_instruction_after_the_system_prompt(system: Any) -> None:
    messages = [{"role": "system", "content": system}, *MESSAGES] if system else MESSAGES
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}}
    body, losses = fitted(ALL, messages=messages, response_format=form)
    said = json.dumps(body["messages"][0]["content"])
    assert body["messages"][0]["role"] == "system"
    assert '{\\"type\\":\\"array\\"}' in said.replace('\\\\"', '\\"')
    assert ("Be kind." in said) is (system is not None)
    assert body["response_format"] == {"type": "json_object"}
    assert [(loss.field, loss.how) for loss in losses] == [("response_format", "emulated")]


def test_what_a_client_relies_on_makes_the_deployment_unfit() -> None:
    quirks = Quirks(refuses=frozenset({"tools", "n"}))
    tool = {"type": "function", "function": {"name": "f"}}
    for members in ({"tools": [tool]}, {"n": 2}):
        with pytest.raises(errors.UnsupportedFeature) as caught:
            relayed(quirks, **members)
        assert caught.value.param in {"tools", "n"}
    assert "n" not in fitted(quirks, n=1)[0]


def test_legacy_completions_are_fitted_as_well() -> None:
    route = CompletionsPassthrough()
    endpoint = UpstreamAddress(base_url="http://x")
    to = Deployment(name="up", provider="p", vendor="v", upstream_model="um", address=endpoint, quirks=ALL)
    for messages in ([1], 5, {}):
        call = route.decode_request(json.dumps({"model": "m", "prompt": "x", "seed": 1, "messages": messages}).encode())
        request = route.encode_request(call, to)
        assert json.loads(request.body) == {"model": "um", "prompt": "x", "messages": messages}
        assert request.path == "/completions"
