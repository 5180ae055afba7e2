"""Options of conversations of other dialects: reasoning, sampling, structured output, other members, headers."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport, RequestContext, errors
from intellirouter.dialects.anthropic_messages import CLIENT, COUNT_CLIENT, UPSTREAM
from intellirouter.dialects.ir import (
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningConfig,
    Sampling,
    Text,
    ToolCall,
    ToolChoice,
    origin_of,
)
from tests.support.dialects.anthropic_messages import (
    LIMIT,
    TOOL,
    any_call,
    block,
    call_of,
    chat,
    deployment,
    encoded,
    msg,
    result,
)

OLD, ADAPTIVE, MODERN, ALWAYS = "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5", "claude-mythos-5"
BUDGET, ADAPT = {"type": "enabled"}, {"type": "adaptive"}
OMITTED = ADAPT | {"display": "omitted"}
UNSUPPORTED = (
    "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "min_p", "logit_bias", "verbosity",
)  # fmt: skip


# --- reasoning


@pytest.mark.parametrize(
    ("model", "reasoning", "limit", "written", "effort", "how"),
    [
        (OLD, ReasoningConfig(effort="low"), 9000, BUDGET | {"budget_tokens": 2048}, None, "converted"),
        (OLD, ReasoningConfig(effort="max"), 99999, BUDGET | {"budget_tokens": 32768}, None, "converted"),
        (OLD, ReasoningConfig(effort="high"), 8000, BUDGET | {"budget_tokens": 6000}, None, "clamped"),
        (OLD, ReasoningConfig(effort="high"), 1000, None, None, "dropped"),
        (OLD, ReasoningConfig(is_enabled=True, budget_tokens=3000), 8000, BUDGET | {"budget_tokens": 3000}, None, None),
        (OLD, ReasoningConfig(budget_tokens=100), 8000, BUDGET | {"budget_tokens": 1024}, None, "clamped"),
        (OLD, ReasoningConfig(budget_tokens=8000), 8000, BUDGET | {"budget_tokens": 6000}, None, "clamped"),
        (OLD, ReasoningConfig(budget_tokens=-1), 20000, BUDGET | {"budget_tokens": 8192}, None, "converted"),
        (OLD, ReasoningConfig(is_visible=True), 20000, BUDGET | {"budget_tokens": 8192}, None, "converted"),
        (OLD, ReasoningConfig(effort="none"), 8000, None, None, None),
        (OLD, ReasoningConfig(budget_tokens=0), 8000, None, None, None),
        (OLD, ReasoningConfig(is_visible=False), 8000, None, None, None),
        ("claude-3-5-haiku-latest", ReasoningConfig(effort="low"), 8000, None, None, "dropped"),
        ("claude-3-7-sonnet", ReasoningConfig(budget_tokens=2000), 8000, BUDGET | {"budget_tokens": 2000}, None, None),
        ("kimi-k3", ReasoningConfig(effort="minimal"), 8000, BUDGET | {"budget_tokens": 1024}, None, "converted"),
        (ADAPTIVE, ReasoningConfig(effort="high"), 8000, ADAPT, "high", None),
        (ADAPTIVE, ReasoningConfig(effort="xhigh"), 8000, ADAPT, "high", "clamped"),
        (
            MODERN,
            ReasoningConfig(effort="xhigh", summary="auto"),
            8000,
            ADAPT | {"display": "summarized"},
            "xhigh",
            None,
        ),
        (MODERN, ReasoningConfig(effort="minimal", is_visible=False), 8000, OMITTED, "low", "clamped"),
        (MODERN, ReasoningConfig(budget_tokens=5000), 8000, ADAPT, "medium", "converted"),
        (MODERN, ReasoningConfig(budget_tokens=99999), 8000, ADAPT, "max", "converted"),
        (MODERN, ReasoningConfig(budget_tokens=-1), 8000, ADAPT, None, None),
        (MODERN, ReasoningConfig(is_enabled=False), 8000, {"type": "disabled"}, None, None),
        (ADAPTIVE, ReasoningConfig(is_enabled=False), 8000, None, None, None),
        (ALWAYS, ReasoningConfig(is_enabled=False), 8000, None, None, "dropped"),
    ],
)  # fmt: skip
def test_reasoning_settings_are_translated(
    model: str, reasoning: ReasoningConfig, limit: int, written: Any, effort: str | None, how: str | None
) -> None:
    body, lost = encoded(chat(reasoning=reasoning, sampling=Sampling(max_output_tokens=limit)), model)
    assert body.get("thinking") == written
    assert body.get("output_config", {}).get("effort") == effort
    assert lost.get("reasoning") == how
    assert body["max_tokens"] == limit
    if written and "budget_tokens" in written:
        assert written["budget_tokens"] < limit


def test_the_default_limit_is_added_to_the_reasoning_budget() -> None:
    body, _ = encoded(chat(reasoning=ReasoningConfig(effort="high")), OLD)
    assert body["max_tokens"] == 8192 + body["thinking"]["budget_tokens"]


@pytest.mark.parametrize(("model", "is_kept"), [(OLD, False), (MODERN, False), (ALWAYS, True)])
def test_a_forced_tool_takes_precedence_over_reasoning(model: str, is_kept: bool) -> None:
    body, lost = encoded(
        chat(
            tools=[TOOL],
            tool_choice=ToolChoice(mode="required"),
            reasoning=ReasoningConfig(effort="high"),
            sampling=Sampling(max_output_tokens=50000),
        ),
        model,
    )
    assert body["tool_choice"] == {"type": "any"}
    assert ("thinking" in body) is is_kept
    assert lost.get("reasoning") == (None if is_kept else "dropped")


def test_reasoning_is_dropped_in_a_tool_loop_without_its_earlier_reasoning() -> None:
    """The API rejects a budget if the current turn does not begin with reasoning. Adaptive models accept that."""
    loop = [msg("user", "go"), msg("assistant", ToolCall(id="a", name="f")), msg("tool", result("a", Text(text="1")))]
    reasoning, limit = ReasoningConfig(effort="low"), Sampling(max_output_tokens=9000)
    body, lost = encoded(chat(*loop, tools=[TOOL], reasoning=reasoning, sampling=limit), OLD)
    assert "thinking" not in body
    assert lost == {"reasoning": "dropped"}
    assert "thinking" in encoded(chat(*loop, tools=[TOOL], reasoning=reasoning, sampling=limit), MODERN)[0]
    cut = [msg("tool", result("a", Text(text="1")))]
    assert "thinking" in encoded(chat(*cut, tools=[TOOL], reasoning=reasoning, sampling=limit), OLD)[0], (
        "there is no earlier tool call"
    )
    over = [*loop, msg("assistant", "done"), msg("user", "next")]
    assert "thinking" in encoded(chat(*over, tools=[TOOL], reasoning=reasoning, sampling=limit), OLD)[0]
    token = Opaque(value="E", origin=origin_of(deployment(OLD)), dialect="anthropic_messages")
    loop[1].parts.insert(0, Reasoning(text="Hm", token=token))
    loop += [msg("assistant", ToolCall(id="b", name="f")), msg("tool", result("b", Text(text="2")))]
    assert "thinking" in encoded(chat(*loop, tools=[TOOL], reasoning=reasoning, sampling=limit), OLD)[0]


def test_reasoning_is_sent_only_to_the_endpoint_that_signed_it_and_comes_first() -> None:
    signed_here = Opaque(value="E1", origin=origin_of(deployment()), dialect="anthropic_messages")
    unknown_origin = Opaque(value="E2", dialect="anthropic_messages")
    parts = [
        Text(text="x"),
        Reasoning(text="", token=signed_here),
        Reasoning(token=unknown_origin, is_redacted=True),
        Reasoning(text="another endpoint", token=Opaque(value="E3", origin="ffff", dialect="anthropic_messages")),
        Reasoning(text="another dialect", token=Opaque(value="g", dialect="gemini")),
        Reasoning(text="unsigned"),
    ]
    body, lost = encoded(chat(msg("user", "a"), msg("assistant", *parts), msg("user", "b"), sampling=LIMIT))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "", "signature": "E1"},
        {"type": "redacted_thinking", "data": "E2"},
        block("x"),
    ]
    assert lost == {"messages[].reasoning": "dropped"}


# --- sampling and output


@pytest.mark.parametrize(
    ("sampling", "model", "written", "lost"),
    [
        ({"temperature": 1.7}, OLD, {"temperature": 1.0}, {"temperature": "clamped"}),
        ({"temperature": 0.0, "top_k": 5}, OLD, {"temperature": 0.0, "top_k": 5}, {}),
        ({"temperature": 0.3, "top_p": 0.5}, OLD, {"temperature": 0.3}, {"top_p": "dropped"}),
        ({"temperature": 0.3, "top_p": 0.5}, "kimi-k3", {"temperature": 0.3, "top_p": 0.5}, {}),
        ({"temperature": 0.3, "top_p": 1.0}, OLD, {"temperature": 0.3}, {}),
        (
            {"temperature": 0.3, "top_p": 0.5, "top_k": 3}, MODERN, {},
            {"temperature": "dropped", "top_p": "dropped", "top_k": "dropped"},
        ),
        ({"temperature": 1.0, "top_p": 1.0}, MODERN, {}, {}),
        ({"stop": ["END", " ", "\n"]}, OLD, {"stop_sequences": ["END"]}, {"stop": "dropped"}),
        (
            {"seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0.1, "repetition_penalty": 1.1, "min_p": 0.1,
             "logit_bias": {"5": 1.0}, "verbosity": "low"},
            OLD, {},
            dict.fromkeys(UNSUPPORTED, "dropped"),
        ),
        (
            {"presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "logit_bias": {}, "n": 1},
            OLD, {}, {},
        ),
    ],
)  # fmt: skip
def test_sampling_parameters(
    sampling: dict[str, Any], model: str, written: dict[str, Any], lost: dict[str, str]
) -> None:
    body, found = encoded(chat(sampling=Sampling(max_output_tokens=9, **sampling)), model)
    assert {name: value for name, value in body.items() if name not in {"model", "messages", "max_tokens"}} == written
    assert found == lost


def test_reasoning_restricts_sampling_parameters() -> None:
    sampling = Sampling(max_output_tokens=9000, temperature=0.2, top_p=0.9, top_k=3)
    body, lost = encoded(chat(sampling=sampling, reasoning=ReasoningConfig(budget_tokens=2000)), OLD)
    assert not {"temperature", "top_p", "top_k"} & body.keys()
    assert lost == {"temperature": "dropped", "top_p": "dropped", "top_k": "dropped"}
    sampling = Sampling(max_output_tokens=9000, temperature=1, top_p=0.97)
    body, lost = encoded(chat(sampling=sampling, reasoning=ReasoningConfig(budget_tokens=2000)), "glm-5")
    assert (body["temperature"], body["top_p"], lost) == (1, 0.97, {})


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"sampling": Sampling(n=2)}, "n"),
        ({"sampling": Sampling(logprobs=True)}, "logprobs"),
        ({"sampling": Sampling(top_logprobs=3)}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
    ],
)
def test_required_features_are_rejected_and_not_dropped(members: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        encoded(chat(**members))
    assert caught.value.param == param
    assert caught.value.message


def test_a_schema_is_sent_natively_with_closed_objects() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {}}}, "type": {"const": "x"}},
        "$defs": {"b": {"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}, True]}},
        "enum": [{"type": "object"}],
    }
    output = OutputFormat(kind="json_schema", name="n", description="What it is.", schema=schema, is_strict=True)
    body, lost = encoded(chat(output=output, sampling=LIMIT))
    sent = body["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["description"] == "What it is."
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["properties"]["a"]["items"]["additionalProperties"] is False
    assert sent["schema"]["properties"]["type"] == {"const": "x"}
    assert sent["schema"]["$defs"]["b"]["anyOf"][0]["additionalProperties"] is False
    assert sent["schema"]["enum"] == [{"type": "object"}], "this is a value, not a schema"
    assert lost == {"output.schema": "converted"}
    assert "additionalProperties" not in schema, "the conversation is not changed"
    closed = OutputFormat(kind="json_schema", schema={"type": "object", "additionalProperties": False})
    assert encoded(chat(output=closed, sampling=LIMIT))[1] == {}


def test_json_without_a_schema_is_requested_by_an_instruction() -> None:
    body, lost = encoded(
        chat(msg("system", "S"), msg("user", "x"), output=OutputFormat(kind="json_object"), sampling=LIMIT)
    )
    assert body["system"][0] == block("S")
    assert "JSON" in body["system"][1]["text"]
    assert "output_config" not in body
    assert lost == {"output": "emulated"}
    assert "system" not in encoded(chat(output=OutputFormat(kind="text")))[0]


def test_an_upstream_without_schema_support_gets_an_instruction() -> None:
    output = OutputFormat(kind="json_schema", schema={"type": "object"})
    body, lost = encoded(chat(output=output, sampling=LIMIT), structured_output="none")
    assert '{"type":"object"}' in body["system"]
    assert lost == {"output": "emulated"}


def test_quirks_of_a_vendor_are_applied_and_reported() -> None:
    body, lost = encoded(
        chat(sampling=Sampling(max_output_tokens=5, temperature=0.9, top_k=4)),
        "glm-5", refuses=frozenset({"top_k", "zzz"}), max_temperature=0.7,
    )  # fmt: skip
    assert body["temperature"] == 0.7
    assert "top_k" not in body
    assert lost == {"temperature": "clamped", "top_k": "dropped"}


def test_user_metadata_and_service_tier() -> None:
    members = {"user": "u1", "metadata": {"a": "b"}, "cache_key": "k", "sampling": LIMIT}
    body, lost = encoded(chat(**members, service_tier="default"))
    assert body["metadata"] == {"user_id": "u1"}
    assert body["service_tier"] == "standard_only"
    assert lost == {"metadata": "dropped", "cache_key": "dropped"}
    assert encoded(chat(service_tier="flex", sampling=LIMIT))[1] == {"service_tier": "dropped"}
    assert encoded(chat(is_stream=True))[0]["stream"] is True


# --- other members and headers


def test_the_same_conversation_gives_the_same_bytes() -> None:
    conversation = chat(tools=[TOOL], output=OutputFormat(kind="json_object"))
    one, two = (UPSTREAM.encode(conversation, deployment(), LossReport()).body for _ in range(2))
    assert one == two


def test_beta_headers_are_sent_only_for_clients_of_the_same_dialect() -> None:
    context = RequestContext(query="beta=true", headers=(("anthropic-beta", "a-1,b-2"), ("anthropic-beta", "c-3")))
    own = CLIENT.decode(
        call_of({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}, context)
    )
    request = UPSTREAM.encode(own, deployment(), LossReport())
    assert request.path == "/v1/messages?beta=true"
    assert request.headers == (("anthropic-version", "2023-06-01"), ("anthropic-beta", "a-1,b-2,c-3"))
    request = UPSTREAM.encode(chat(extras={"anthropic-beta": "x"}), deployment(), LossReport())
    assert request.path == "/v1/messages"
    assert request.headers == (("anthropic-version", "2023-06-01"),)


def test_beta_headers_are_not_sent_to_upstreams_that_reject_them() -> None:
    context = RequestContext(headers=(("anthropic-beta", "a-1"),))
    call = call_of({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}, context)
    strict = deployment(refuses=frozenset({"anthropic-beta"}))
    relayed = UPSTREAM.relay_request(call, strict)
    assert relayed.headers == (("anthropic-version", "2023-06-01"),)
    assert [loss.field for loss in relayed.losses] == ["anthropic-beta"]
    losses = LossReport()
    assert UPSTREAM.encode(CLIENT.decode(call), strict, losses).headers == (("anthropic-version", "2023-06-01"),)
    assert [loss.field for loss in losses.taken()] == ["anthropic-beta"]


def test_a_passthrough_changes_only_the_model() -> None:
    body = b'{ "model" : "public",\n "max_tokens":1, "x": [1.0, 1e2], "messages": [{"role":"user","content":"public"}]}'
    context = RequestContext(
        query="a=1&beta=true", headers=(("anthropic-version", "2026-10-21"), ("anthropic-beta", "z"), ("x", "y"))
    )
    call = CLIENT.decode_request(body, context)
    request = UPSTREAM.relay_request(call, deployment("claude-x"))
    assert request.body == body.replace(b'"public",', b'"claude-x",', 1)
    assert request.path == "/v1/messages?beta=true"
    assert request.headers == (("anthropic-version", "2026-10-21"), ("anthropic-beta", "z"))
    call = CLIENT.decode_request(body, RequestContext())
    request = UPSTREAM.relay_request(call, deployment("public"))
    assert request.body == body
    assert request.path == "/v1/messages"
    assert request.headers == (("anthropic-version", "2023-06-01"),)


def test_token_counts() -> None:
    request = UPSTREAM.encode_count(
        chat(msg("system", "S"), msg("user", "x"), tools=[TOOL], sampling=Sampling(temperature=0.5), is_stream=True),
        deployment(), LossReport(),
    )  # fmt: skip
    assert request.path == "/v1/messages/count_tokens"
    assert set(json.loads(request.body)) == {"model", "system", "messages", "tools"}
    call = COUNT_CLIENT.decode_request(any_call().body, RequestContext(query="beta=true"))
    assert UPSTREAM.relay_request(call, deployment()).path == "/v1/messages/count_tokens?beta=true"
    assert UPSTREAM.decode_count(b'{"input_tokens": 2095, "x": {}}') == 2095
    for body in (b"", b"[]", b"{}", b'{"input_tokens": "7"}', b'{"input_tokens": -1}', b"\xff", b"[" * 100_000):
        with pytest.raises(errors.UpstreamMalformed):
            UPSTREAM.decode_count(body)
