"""Estimates the tokens of an answer from its text, whatever its dialect, if the upstream has not reported them.

An answer has no usage then, where its dialect permits that, as in an upstream's own answers. Where clients rely on it
(Responses, Messages, embeddings), it is `estimated_usage`.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from intellirouter.core import Call, LossReport, Usage, estimate_tokens
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
    return estimate_document_tokens(document)


def estimate_document_tokens(document: Any) -> int:
    """Return an estimate of the tokens of the model's text in decoded JSON."""
    return estimate_tokens(sum(len(text.encode("utf-8", "replace")) for text in _texts(document)))


def estimated_usage(call: Call, losses: LossReport, output: Any) -> Usage:
    """Return the usage of an answer whose upstream has reported none. `output` is its content, as decoded JSON."""
    losses.add("usage", "emulated", "estimate")
    return Usage(
        input_tokens=call.estimated_input_tokens(), output_tokens=estimate_document_tokens(output), is_estimated=True
    )


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
