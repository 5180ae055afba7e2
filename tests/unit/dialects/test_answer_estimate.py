"""The tokens of an answer without usage are estimated from its text."""

import json
from typing import Any

import pytest

from intellirouter.dialects import estimate_answer_tokens

OPENAI = {"id": "x" * 80, "choices": [{"message": {"role": "assistant", "content": "hi there"}}]}
CALL = {"function": {"name": "f", "arguments": '{"a":1}'}}


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        (OPENAI, 2),
        ({"choices": [{"message": {"content": "abcd", "reasoning_content": "efgh"}}]}, 2),
        ({"choices": [{"message": {"content": None, "tool_calls": [CALL]}}]}, 2),
        ({"choices": [{"text": "abcd", "logprobs": None}]}, 1),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": "abcd", "signature": "s" * 90},
                    {"type": "text", "text": "ab"},
                ]
            },
            2,
        ),
        ({"content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}]}, 2),
        ({"candidates": [{"content": {"role": "model", "parts": [{"text": "abcd"}]}}]}, 1),
        ({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}]}, 2),
        ({"output": [{"type": "message", "content": [{"type": "output_text", "text": "abcd"}]}]}, 1),
        ({"message": {"content": "abcd", "thinking": "efgh"}, "done": True}, 2),
        ({"response": "abcd", "context": [1, 2, 3]}, 1),
        ({"data": [{"embedding": [0.1] * 99}]}, 0),
        ([], 0),
    ],
)
def test_text_is_counted_and_the_rest_is_not(document: Any, tokens: int) -> None:
    assert estimate_answer_tokens(json.dumps(document).encode()) == tokens


def test_an_answer_that_is_not_json_has_no_text() -> None:
    assert estimate_answer_tokens(b"ID3\xff\xfb") == 0
