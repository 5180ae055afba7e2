"""Estimates the output tokens of a complete answer from its text, whatever its dialect."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from intellirouter.core import estimate_tokens
from intellirouter.dialects.wire import large_json

_TEXTS: Final = frozenset(
    {"text", "content", "thinking", "reasoning", "reasoning_content", "refusal", "response", "transcript", "arguments"}
)
"""The members that hold text of the model."""
_DOCUMENTS: Final = frozenset({"arguments", "args", "input"})
"""The members that hold the arguments of a tool call, as text or as an object."""


def estimate_answer_tokens(body: bytes) -> int:
    """Return an estimate of the output tokens of a complete answer: its text, not its JSON. Media count as nothing."""
    try:
        document = large_json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    return estimate_tokens(sum(len(text.encode("utf-8", "replace")) for text in _texts(document)))


def _texts(document: Any) -> Iterator[str]:
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            for name, member in value.items():
                if isinstance(member, str):
                    if name in _TEXTS or name in _DOCUMENTS:
                        yield member
                elif name in _DOCUMENTS and isinstance(member, dict):
                    yield msgspec.json.encode(member).decode()
                else:
                    stack.append(member)
