"""Reasoning settings for the model families of Bedrock, requests that count tokens, and passthroughs."""

import json

import pytest

from intellirouter.core import Call, LossReport
from intellirouter.dialects.bedrock import UPSTREAM
from intellirouter.dialects.ir import (
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningConfig,
    Sampling,
    ToolCall,
    ToolChoice,
)
from tests.support.dialects.bedrock import (
    ADAPTIVE,
    HISTORY,
    LLAMA,
    NOVA,
    TOOLS,
    assistant,
    conversation,
    deployment,
    encode,
    result,
    user,
)


def test_reasoning_with_a_budget():
    body, losses = encode(
        reasoning=ReasoningConfig(budget_tokens=2000),
        sampling=Sampling(max_output_tokens=8000, temperature=0.2, top_k=5),
    )
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    assert body["inferenceConfig"] == {"maxTokens": 8000}
    assert losses == [
        'temperature;how=dropped;as="not allowed with reasoning"',
        'top_k;how=dropped;as="not allowed with reasoning"',
    ]


def test_reasoning_with_an_effort():
    body, losses = encode(model=ADAPTIVE, reasoning=ReasoningConfig(effort="xhigh"))
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert body["outputConfig"] == {"effort": "xhigh"}
    assert losses == []


def test_reasoning_is_dropped_for_a_forced_tool_and_without_earlier_reasoning():
    reasoning = ReasoningConfig(budget_tokens=2000)
    body, losses = encode(reasoning=reasoning, tools=TOOLS, tool_choice=ToolChoice(mode="required"))
    assert "additionalModelRequestFields" not in body
    assert losses == ['reasoning;how=dropped;as="not allowed with a forced tool"']
    _, losses = encode(*HISTORY, reasoning=reasoning, tools=TOOLS)
    assert losses == ['reasoning;how=dropped;as="the reasoning before the tool call is missing"']
    signed = Reasoning(text="T", token=Opaque("sig", "", "bedrock"))
    body, _ = encode(
        user("x"), assistant(signed, ToolCall(id="1", name="a")), result("1", "r"), reasoning=reasoning, tools=TOOLS
    )
    assert "thinking" in body["additionalModelRequestFields"]


@pytest.mark.parametrize(
    ("model", "reasoning", "fields", "losses"),
    [
        (
            NOVA,
            ReasoningConfig(effort="low"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            [],
        ),
        (
            NOVA,
            ReasoningConfig(budget_tokens=99),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            ['reasoning;how=converted;as="medium"'],
        ),
        (NOVA, ReasoningConfig(is_enabled=False), None, []),
        (NOVA, ReasoningConfig(is_visible=True), None, []),
        (
            "openai.gpt-oss-120b-1:0",
            ReasoningConfig(effort="max"),
            {"reasoning_effort": "high"},
            ['reasoning;how=clamped;as="high"'],
        ),
        (
            "openai.gpt-oss-120b-1:0",
            ReasoningConfig(effort="none"),
            {"reasoning_effort": "low"},
            ['reasoning;how=clamped;as="low"'],
        ),
        (
            LLAMA,
            ReasoningConfig(effort="low"),
            None,
            ['reasoning;how=dropped;as="reasoning cannot be controlled for this model"'],
        ),
        (LLAMA, ReasoningConfig(effort="none"), None, []),
    ],
)
def test_reasoning_of_other_model_families(model, reasoning, fields, losses):
    body, found = encode(model=model, reasoning=reasoning)
    assert body.get("additionalModelRequestFields") == fields
    assert found == losses


def test_the_highest_effort_of_nova_excludes_sampling_parameters():
    reasoning = ReasoningConfig(effort="high")
    body, losses = encode(model=NOVA, reasoning=reasoning, sampling=Sampling(temperature=0.5, top_k=3))
    assert body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "high"
    assert "inferenceConfig" not in body
    assert len(losses) == 2
    body, losses = encode(model=NOVA, reasoning=reasoning, sampling=Sampling(max_output_tokens=100))
    assert body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "medium"
    assert body["inferenceConfig"] == {"maxTokens": 100}
    assert losses == ['reasoning;how=clamped;as="medium"']


def test_count_requests_contain_only_counted_members():
    original = conversation(tools=TOOLS, sampling=Sampling(temperature=0.5, max_output_tokens=5), service_tier="flex")
    request = UPSTREAM.encode_count(original, deployment("anthropic.claude-x"), LossReport())
    assert request.path == "/model/anthropic.claude-x/count-tokens"
    assert json.loads(request.body)["input"]["converse"].keys() == {"messages", "toolConfig"}


def test_encoding_does_not_change_the_conversation():
    original = conversation(*HISTORY, tools=TOOLS, output=OutputFormat(kind="json_object"))
    before = repr(original)
    UPSTREAM.encode(original, deployment(), LossReport())
    assert repr(original) == before
    first = UPSTREAM.encode(original, deployment(), LossReport()).body
    assert first == UPSTREAM.encode(original, deployment(), LossReport()).body


def test_a_passthrough_sends_the_body_unchanged():
    call = Call(operation="chat", model="m", body=b"{}", is_stream=True)
    request = UPSTREAM.relay_request(call, deployment("x"))
    assert (request.path, request.body) == ("/model/x/converse-stream", b"{}")
