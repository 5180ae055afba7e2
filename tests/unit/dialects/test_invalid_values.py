"""Values that are invalid in the client's dialect are refused, whatever the upstream, with the vendor's wording."""

from typing import Any

import pytest

from intellirouter.core.errors import InvalidRequest
from tests.support.dialects.pairs import call_of, client_of

USER = {"role": "user", "content": "hi"}
CHAT = {"model": "m", "messages": [USER]}
PROMPT = {"model": "m", "prompt": "hi"}
RESPONSES = {"model": "m", "input": "hi"}
MESSAGES = {"model": "m", "max_tokens": 9, "messages": [USER]}
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
OLLAMA = {"model": "m", "messages": [USER]}


def _decode(client: str, body: dict[str, Any]) -> None:
    path = {"model": "m", "is_stream": False, "query": ""} if client == "gemini" else None
    call_of(client, {"body": body, "path": path})


def _gemini(**config: Any) -> dict[str, Any]:
    return {"contents": CONTENTS, "generationConfig": config}


@pytest.mark.parametrize(
    ("client", "body", "message", "param"),
    [
        (
            "openai_chat",
            CHAT | {"temperature": 5},
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 5 instead.",
            "temperature",
        ),
        (
            "openai_chat",
            CHAT | {"temperature": -0.5},
            "decimal below minimum value. Expected a value >= 0",
            "temperature",
        ),
        ("openai_chat", CHAT | {"top_p": 3}, "Expected a value <= 1, but got 3", "top_p"),
        ("openai_chat", CHAT | {"presence_penalty": 2.5}, "Expected a value <= 2, but got 2.5", "presence_penalty"),
        ("openai_chat", CHAT | {"frequency_penalty": -3}, "Expected a value >= -2, but got -3", "frequency_penalty"),
        ("openai_chat", CHAT | {"max_tokens": -1}, "integer below minimum value", "max_tokens"),
        ("openai_chat", CHAT | {"top_logprobs": 21}, "integer above maximum value", "top_logprobs"),
        ("openai_chat", CHAT | {"messages": []}, "empty array", "messages"),
        ("openai_chat", CHAT | {"messages": [USER | {"role": "wizard"}]}, "'wizard'", "messages[0].role"),
        ("openai_chat", CHAT | {"response_format": {"type": "xml"}}, "Invalid value: 'xml'", "response_format.type"),
        (
            "openai_chat",
            CHAT | {"messages": [USER, {"role": "tool", "tool_call_id": "a", "content": "1"}]},
            "messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
            "messages[1].role",
        ),
        ("openai_responses", RESPONSES | {"temperature": 9}, "Expected a value <= 2, but got 9", "temperature"),
        ("openai_responses", RESPONSES | {"top_p": 3}, "Expected a value <= 1, but got 3", "top_p"),
        ("openai_responses", RESPONSES | {"max_output_tokens": -1}, "integer below minimum", "max_output_tokens"),
        ("openai_responses", RESPONSES | {"input": []}, "must be provided", "input"),
        ("openai_responses", RESPONSES | {"input": [USER | {"role": "wizard"}]}, "'wizard'", "input[0].role"),
        ("openai_responses", RESPONSES | {"text": {"format": {"type": "xml"}}}, "'xml'", "text.format.type"),
        (
            "openai_responses",
            RESPONSES | {"input": [USER, {"type": "function_call_output", "call_id": "a", "output": "1"}]},
            "No tool call found for function call output with call_id a.",
            "input",
        ),
        (
            "anthropic_messages",
            MESSAGES | {"temperature": 5},
            "temperature: Input should be less than or equal to 1",
            "temperature",
        ),
        (
            "anthropic_messages",
            MESSAGES | {"temperature": -1},
            "temperature: Input should be greater than or equal to 0",
            "temperature",
        ),
        ("anthropic_messages", MESSAGES | {"top_p": 3}, "top_p: Input should be less than or equal to 1", "top_p"),
        ("anthropic_messages", MESSAGES | {"max_tokens": -1}, "max_tokens: Input should be greater", "max_tokens"),
        ("anthropic_messages", MESSAGES | {"messages": []}, "at least one message is required", "messages"),
        (
            "anthropic_messages",
            MESSAGES | {"messages": [USER | {"role": "wizard"}]},
            "Input should be",
            "messages.0.role",
        ),
        (
            "anthropic_messages",
            MESSAGES
            | {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]},
                ]
            },
            "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.",
            "messages.0.content.0",
        ),
        (
            "gemini",
            _gemini(temperature=5),
            "temperature must be in the range [0.0, 2.0]",
            "generationConfig.temperature",
        ),
        ("gemini", _gemini(topP=3), "top_p must be in the range [0.0, 1.0]", "generationConfig.topP"),
        ("gemini", _gemini(top_p=-1), "top_p must be in the range [0.0, 1.0]", "generationConfig.topP"),
        ("gemini", _gemini(maxOutputTokens=-1), "must not be negative", "generationConfig.maxOutputTokens"),
        ("gemini", {"contents": []}, "contents is not specified", "contents"),
        (
            "gemini",
            {
                "contents": [
                    *CONTENTS,
                    {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}}}]},
                ]
            },
            "function response turn comes immediately after a function call turn",
            "contents",
        ),
        ("openai_completions", PROMPT | {"temperature": 5}, "Expected a value <= 2, but got 5 instead.", "temperature"),
        ("openai_completions", PROMPT | {"temperature": -0.1}, "decimal below minimum value", "temperature"),
        ("openai_completions", PROMPT | {"top_p": 1.5}, "Expected a value <= 1, but got 1.5", "top_p"),
        ("openai_completions", PROMPT | {"presence_penalty": 3}, "Expected a value <= 2", "presence_penalty"),
        ("openai_completions", PROMPT | {"frequency_penalty": -3}, "Expected a value >= -2", "frequency_penalty"),
        ("openai_completions", PROMPT | {"max_tokens": -1}, "integer below minimum value", "max_tokens"),
        ("openai_completions", PROMPT | {"n": 0}, "Expected a value >= 1, but got 0", "n"),
        ("openai_completions", PROMPT | {"n": 129}, "Expected a value <= 128, but got 129", "n"),
        ("openai_completions", PROMPT | {"best_of": 21}, "Expected a value <= 20, but got 21", "best_of"),
        ("openai_completions", PROMPT | {"best_of": 2, "n": 3}, "it must be at least `n` (3)", "best_of"),
        ("openai_completions", PROMPT | {"logprobs": 6}, "Expected a value <= 5, but got 6", "logprobs"),
        ("openai_completions", PROMPT | {"logprobs": -1}, "integer below minimum value", "logprobs"),
        ("openai_completions", PROMPT | {"echo": 1}, "expected a boolean", "echo"),
        ("ollama", OLLAMA | {"messages": [USER | {"role": "wizard"}]}, "'wizard'", "messages[0].role"),
        ("ollama", OLLAMA | {"format": "xml"}, "invalid format", "format"),
    ],
)
def test_invalid_values_are_refused(client: str, body: dict[str, Any], message: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        _decode(client, body)
    assert message in raised.value.message
    assert raised.value.param == param
    assert raised.value.status == 400


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("client", "body"),
    [
        ("openai_chat", CHAT | {"temperature": 2, "top_p": 1, "presence_penalty": -2, "frequency_penalty": 2}),
        ("openai_chat", CHAT | {"temperature": 0, "top_p": 0, "top_logprobs": 20, "logprobs": True}),
        ("openai_completions", PROMPT | {"temperature": 2, "top_p": 0, "max_tokens": 0, "n": 2, "best_of": 20}),
        ("openai_completions", PROMPT | {"logprobs": 5, "echo": True, "presence_penalty": -2, "stop": ["a"]}),
        ("openai_chat", CHAT | {"response_format": {"type": "grammar", "grammar": "x"}}),  # Fireworks
        (
            "openai_chat",
            CHAT
            | {
                "messages": [
                    USER,
                    {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "b"}]},
                    {"role": "tool", "tool_call_id": "b", "content": "1"},
                    {"role": "tool", "tool_call_id": "a", "content": "1"},
                ]
            },
        ),
        (
            "openai_chat",
            CHAT
            | {
                "messages": [
                    USER,
                    {"role": "assistant", "content": None, "tool_calls": [CALL]},
                    {"role": "tool", "content": "1"},
                ]
            },
        ),
        ("openai_responses", RESPONSES | {"temperature": 2, "top_p": 1}),
        (
            "openai_responses",
            {
                "model": "m",
                "previous_response_id": "resp_1",
                "input": [{"type": "function_call_output", "call_id": "a", "output": "1"}],
            },
        ),
        (
            "openai_responses",
            {
                "model": "m",
                "input": [
                    {"type": "item_reference", "id": "fc_1"},
                    {"type": "function_call_output", "call_id": "a", "output": "1"},
                ],
            },
        ),
        ("anthropic_messages", MESSAGES | {"temperature": 1, "top_p": 0}),
        ("gemini", _gemini(temperature=2, topP=1)),
        ("gemini", _gemini(temperature="0.5")),
        ("ollama", OLLAMA | {"options": {"temperature": 9, "num_predict": -1}}),  # Ollama has no such limits
    ],
)
def test_valid_values_are_accepted(client: str, body: dict[str, Any]) -> None:
    _decode(client, body)


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("client", "body", "message", "param"),
    [
        ("openai_chat", CHAT | {"tool_choice": "required"}, "only allowed when 'tools' are specified", "tool_choice"),
        (
            "openai_chat",
            CHAT | {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "the tool 'g' is not in 'tools'",
            "tool_choice",
        ),
        (
            "openai_chat",
            CHAT | {"response_format": {"type": "json_schema"}},
            "Missing required parameter: 'response_format.json_schema'.",
            "response_format.json_schema",
        ),
        (
            "openai_chat",
            CHAT | {"messages": [{"role": "user"}]},
            "Missing required parameter: 'messages[0].content'.",
            "messages[0].content",
        ),
        (
            "anthropic_messages",
            MESSAGES | {"tools": [{"name": "f"}]},
            "tools.0.custom.input_schema: Field required",
            "tools.0.custom.input_schema",
        ),
        (
            "anthropic_messages",
            MESSAGES | {"thinking": {"type": "enabled"}},
            "thinking.enabled.budget_tokens: Field required",
            "thinking.enabled.budget_tokens",
        ),
        (
            "anthropic_messages",
            MESSAGES | {"thinking": {"type": "enabled", "budget_tokens": 10}},
            "Input should be greater than or equal to 1024",
            "thinking.enabled.budget_tokens",
        ),
        ("gemini", _gemini(candidateCount=0), "1 and more", "generationConfig.candidateCount"),
        ("gemini", {"contents": [{"role": "user"}]}, "contents[0].parts must not be empty", "contents[0].parts"),
    ],
)
def test_invalid_values_are_refused_before_they_are_translated(
    client: str, body: dict[str, Any], message: str, param: str
) -> None:
    """An upstream of the same dialect gets the client's bytes and refuses them itself."""
    path = {"model": "m", "is_stream": False, "query": ""} if client == "gemini" else None
    call = call_of(client, {"body": body, "path": path})
    with pytest.raises(InvalidRequest) as raised:
        client_of(client).decode(call)
    assert message in raised.value.message
    assert raised.value.param == param
