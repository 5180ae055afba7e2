"""How Bedrock's families of models are encode to think, and what is left of a request that only counts."""

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


def test_thinking_with_a_budget():
    body, losses = encode(
        reasoning=ReasoningConfig(budget_tokens=2000),
        sampling=Sampling(max_output_tokens=8000, temperature=0.2, top_k=5),
    )
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    assert body["inferenceConfig"] == {"maxTokens": 8000}
    assert losses == ['temperature;how=dropped;as="the model thinks"', 'top_k;how=dropped;as="the model thinks"']


def test_thinking_with_an_effort():
    body, losses = encode(model=ADAPTIVE, reasoning=ReasoningConfig(effort="xhigh"))
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert body["outputConfig"] == {"effort": "xhigh"}
    assert losses == []


def test_thinking_gives_way_to_a_forced_tool_and_to_lost_thoughts():
    ask = ReasoningConfig(budget_tokens=2000)
    body, losses = encode(reasoning=ask, tools=TOOLS, tool_choice=ToolChoice(mode="required"))
    assert "additionalModelRequestFields" not in body
    assert losses == ['reasoning;how=dropped;as="a tool is forced"']
    _, losses = encode(*HISTORY, reasoning=ask, tools=TOOLS)
    assert losses == ['reasoning;how=dropped;as="the thoughts before the tool call are missing"']
    signed = Reasoning(text="T", token=Opaque("sig", "", "bedrock"))
    body, _ = encode(
        user("x"), assistant(signed, ToolCall(id="1", name="a")), result("1", "r"), reasoning=ask, tools=TOOLS
    )
    assert "thinking" in body["additionalModelRequestFields"]


@pytest.mark.parametrize(
    ("model", "ask", "fields", "losses"),
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
        (LLAMA, ReasoningConfig(effort="low"), None, ['reasoning;how=dropped;as="this model cannot be told"']),
        (LLAMA, ReasoningConfig(effort="none"), None, []),
    ],
)
def test_thinking_of_other_families(model, ask, fields, losses):
    body, found = encode(model=model, reasoning=ask)
    assert body.get("additionalModelRequestFields") == fields
    assert found == losses


def test_novas_highest_effort_takes_no_other_knobs():
    ask = ReasoningConfig(effort="high")
    body, losses = encode(model=NOVA, reasoning=ask, sampling=Sampling(temperature=0.5, top_k=3))
    assert body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "high"
    assert "inferenceConfig" not in body
    assert len(losses) == 2
    body, losses = encode(model=NOVA, reasoning=ask, sampling=Sampling(max_output_tokens=100))
    assert body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "medium"
    assert body["inferenceConfig"] == {"maxTokens": 100}
    assert losses == ['reasoning;how=clamped;as="medium"']


def test_counting_takes_only_what_counts():
    form = conversation(tools=TOOLS, sampling=Sampling(temperature=0.5, max_output_tokens=5), service_tier="flex")
    request = UPSTREAM.encode_count(form, deployment("anthropic.claude-x"), LossReport())
    assert request.path == "/model/anthropic.claude-x/count-tokens"
    assert json.loads(request.body)["input"]["converse"].keys() == {"messages", "toolConfig"}


def test_the_form_is_not_changed():
    form = conversation(*HISTORY, tools=TOOLS, output=OutputFormat(kind="json_object"))
    before = repr(form)
    UPSTREAM.encode(form, deployment(), LossReport())
    assert repr(form) == before
    first = UPSTREAM.encode(form, deployment(), LossReport()).body
    assert first == UPSTREAM.encode(form, deployment(), LossReport()).body


def test_a_relay_would_send_the_body_as_it_is():
    call = Call(operation="chat", model="m", body=b"{}", is_stream=True)
    request = UPSTREAM.relay_request(call, deployment("x"))
    assert (request.path, request.body) == ("/model/x/converse-stream", b"{}")
