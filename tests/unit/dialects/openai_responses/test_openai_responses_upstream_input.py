"""Input items that the Responses API is sent."""

import json
from typing import Any

from intellirouter.core import LossReport
from intellirouter.dialects.ir import Conversation, Media, Message, Source, Text, ToolResult
from tests.support.dialects.pairs import BY_UPSTREAM, upstream_of


def output_of(result: ToolResult) -> Any:
    """Return the output of a tool call as it is sent."""
    messages = [Message(role="tool", parts=[result])]
    conversation = Conversation(dialect="openai_chat", model="m", messages=messages)
    request = upstream_of("openai_responses").encode(conversation, BY_UPSTREAM["openai_responses"], LossReport())
    return json.loads(request.body)["input"][-1]["output"]


def test_result_of_a_failed_tool_says_so_with_or_without_media() -> None:
    image = Media(kind="image", source=Source(data="aGk=", media_type="image/png"))
    texts = {"bad": "Error: bad", "Error 5": "Error 5", "error: no": "error: no"}
    for text, shown in texts.items():
        for media in ([], [image]):
            output = output_of(ToolResult(call_id="c", is_error=True, parts=[Text(text=text), *media]))
            assert (output if isinstance(output, str) else output[0]["text"]) == shown
    output = output_of(ToolResult(call_id="c", is_error=True, parts=[image]))
    assert output[0] == {"type": "input_text", "text": "The tool failed."}
