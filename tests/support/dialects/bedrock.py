"""Builders for conversations and their requests to Bedrock."""

import json

from intellirouter.core import LossReport
from intellirouter.dialects.bedrock import UPSTREAM
from intellirouter.dialects.ir import (
    CacheMark,
    Conversation,
    FunctionTool,
    Message,
    Text,
    ToolCall,
    ToolResult,
)
from tests.support.dialects.deployments import build_deployment

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ADAPTIVE = "anthropic.claude-opus-4-7"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
_CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS = [FunctionTool(name="a"), FunctionTool(name="b", description="B", parameters=_CLOSED, is_strict=True)]
WRAPPED_PREFIX = CacheMark()


def deployment(model=CLAUDE):
    url = "https://bedrock-runtime.us-east-1.amazonaws.com"
    return build_deployment("bedrock", "bedrock", model, url, name="aws/m", provider="aws")


def conversation(*messages, **members):
    messages = list(messages) or [Message(role="user", parts=[Text(text="Hi")])]
    return Conversation(**{"dialect": "openai_chat", "model": "m", "messages": messages, **members})


def encode(*messages, model=CLAUDE, **members):
    losses = LossReport()
    request = UPSTREAM.encode(conversation(*messages, **members), deployment(model), losses)
    return json.loads(request.body), [str(loss) for loss in losses.taken()]


def user(*parts):
    return Message(role="user", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def assistant(*parts):
    return Message(role="assistant", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def result(call_id, *parts, **members):
    parts = [Text(text=part) if isinstance(part, str) else part for part in parts]
    return Message(role="tool", parts=[ToolResult(call_id=call_id, parts=parts, **members)])


HISTORY = (
    user("Weather?"),
    assistant(
        "Let me see.",
        ToolCall(id="call/1", name="a", arguments='{"x":1}'),
        ToolCall(id="call_1", name="b", arguments=""),
    ),
    result("call_1", "sunny"),
    result("call/1", "rain", is_error=True),
)
