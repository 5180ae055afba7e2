"""Faults of content: wrong content in a correct format. Each changes the plan before it is rendered."""

import json
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from intellirouter.fake.completion import Choice, Completion, ToolCall

REPEATED_TOKENS: Final = 2000
MARK: Final = "bytes-that-are-no-text"
"""Marks the place in the text where `utf8_in_text` puts bytes that are not valid UTF-8."""
HIDDEN_REASONING_TOKENS: Final = 8


def each_choice(completion: Completion, change: Callable[[Choice], Choice]) -> Completion:
    return msgspec.structs.replace(completion, choices=[change(choice) for choice in completion.choices])


def each_call(completion: Completion, change: Callable[[ToolCall], ToolCall]) -> Completion:
    return each_choice(
        completion, lambda choice: msgspec.structs.replace(choice, calls=[change(call) for call in choice.calls])
    )


def truncated_tool_args(completion: Completion) -> Completion:
    """Cut off the end of all arguments, although the finish reason says that they are complete."""
    return each_call(completion, lambda call: ToolCall(call.id, call.name, call.arguments.removesuffix("}")))


def duplicate_ids(completion: Completion) -> Completion:
    """Give all calls the id of the first."""
    ids = [call.id for choice in completion.choices for call in choice.calls]
    return each_call(completion, lambda call: ToolCall(ids[0], call.name, call.arguments))


def no_finish_reason(completion: Completion) -> Completion:
    return each_choice(completion, lambda choice: msgspec.structs.replace(choice, finish_reason=None))


def schema_violation(completion: Completion) -> Completion:
    """Answer in JSON that violates the schema: values of the wrong type, and an unknown member."""

    def violate(choice: Choice) -> Choice:
        calls = [ToolCall(call.id, call.name, _violated(call.arguments)) for call in choice.calls]
        return msgspec.structs.replace(choice, calls=calls, tokens=[_violated(choice.text)] if choice.tokens else [])

    return each_choice(completion, violate)


def _violated(text: str) -> str:
    """Return a changed JSON object; any other text is returned unchanged."""
    try:
        document = json.loads(text)
    except ValueError:
        return text
    if not isinstance(document, dict):
        return text
    wrong = {name: 7 if isinstance(value, str) else "seven" for name, value in document.items()}
    return json.dumps({**wrong, "unasked": True}, separators=(",", ":"))


def repetition(completion: Completion) -> Completion:
    """Repeat the last words of the text until the limit."""

    def repeat(choice: Choice) -> Choice:
        if not choice.tokens:
            return choice
        tail = choice.tokens[-2:]
        tokens = (choice.tokens + tail * REPEATED_TOKENS)[:REPEATED_TOKENS]
        return msgspec.structs.replace(choice, tokens=tokens, finish_reason="length", stop_sequence=None)

    return msgspec.structs.replace(each_choice(completion, repeat), completion_tokens=REPEATED_TOKENS)


def marked(completion: Completion) -> Completion:
    return each_choice(completion, lambda choice: msgspec.structs.replace(choice, tokens=[*choice.tokens, MARK]))


def reasoning(completion: Completion) -> Completion:
    """Put reasoning that was not requested before the answer."""
    forced = {"reasoning": ["Let me ", "think."], "is_reasoning_forced": True}
    return each_choice(completion, lambda choice: msgspec.structs.replace(choice, **forced))


def usage_details(completion: Completion) -> Completion:
    """Report half of the prompt as cached, and 8 reasoning tokens without showing the reasoning."""
    return msgspec.structs.replace(
        completion,
        cached_tokens=completion.prompt_tokens // 2,
        reasoning_tokens=completion.reasoning_tokens + HIDDEN_REASONING_TOKENS,
    )


EDITS: Final[Mapping[str, Callable[[Completion], Completion]]] = {
    "truncated_tool_args": truncated_tool_args,
    "duplicate_ids": duplicate_ids,
    "no_finish_reason": no_finish_reason,
    "schema_violation": schema_violation,
    "repetition": repetition,
}
"""Additional values for the parameter `how` of `malformed`."""
EXTRAS: Final[Mapping[str, Callable[[Completion], Completion]]] = {
    "reasoning": reasoning,
    "usage_details": usage_details,
}
"""Additional values for the parameter `what` of `extra`."""
