"""Compare answers across dialects, and describe what each client dialect can express.

If a dialect has no refusals, the text of a refusal counts as ordinary text. White space is significant.
"""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from intellirouter.core import NO_USAGE
from intellirouter.dialects.ir import (
    Choice,
    Foreign,
    Media,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
)

HAS_REFUSALS = frozenset({"openai_chat", "openai_responses"})
HAS_ONE_CHOICE = frozenset({"openai_responses", "anthropic_messages", "ollama"})
_STOP_REASONS: dict[str, dict[str, str]] = {
    "openai_chat": {
        "stop_sequence": "stop",
        "context_length": "length",
        "pause": "stop",
        "malformed_tool_call": "stop",
        "cancelled": "length",
        "error": "length",
        "refusal": "content_filter",
    },
    "openai_responses": {
        "stop_sequence": "stop",
        "context_length": "length",
        "pause": "stop",
        "refusal": "content_filter",
    },
    "anthropic_messages": {
        "content_filter": "refusal",
        "malformed_tool_call": "stop",
        "cancelled": "stop",
        "error": "stop",
    },
    "gemini": {
        "stop_sequence": "stop",
        "context_length": "length",
        "refusal": "content_filter",
        "pause": "error",
        "cancelled": "error",
    },
    "ollama": {
        "stop_sequence": "stop",
        "context_length": "length",
        "refusal": "stop",
        "pause": "stop",
        "malformed_tool_call": "stop",
        "cancelled": "stop",
        "error": "stop",
    },
}
"""By client dialect: the stop reason that replaces a reason which the dialect does not have."""
BROKEN = frozenset({"malformed_tool_call", "cancelled", "error"})
"""Stop reasons of answers without content: failed attempts, which only clients of the same dialect receive."""
FAILS = {"openai_responses": BROKEN}
"""Stop reasons that a client dialect reports as a failure, with the content so far."""
_MEDIA_NAMES = ("image", "audio", "video", "document")
_IMAGE_ITEM = "image_generation_call"
"""The item of the Responses API that contains an image."""
_MEDIA_LOSSES = {
    "openai_chat": ("choices[].message.content", "choices[].delta.content"),
    "openai_responses": tuple(f"output[].{kind}" for kind in _MEDIA_NAMES),
}
_CITATION_LOSSES = {
    "openai_chat": ("choices[].message.annotations",),
    "openai_responses": ("output[].content[].citations",),
}
_ARGUMENT_LOSSES = {
    "anthropic_messages": "tool_use.input",
    "gemini": "functionCall.args",
    "ollama": "tool_calls[].function.arguments",
}


class ChoiceContent(Struct, kw_only=True):
    """The content of one choice."""

    text: str
    refusal: str
    reasoning: str
    calls: list[list[Any]]
    stop_reason: str
    media: int
    citations: int
    foreign: list[str]


def content_of(choice: Choice) -> ChoiceContent:
    parts = choice.parts
    return ChoiceContent(
        text="".join(part.text for part in parts if isinstance(part, Text)),
        refusal="".join(part.text for part in parts if isinstance(part, Refusal)),
        reasoning="".join(
            "".join((part.text or "".join(part.summary)).split()) for part in parts if isinstance(part, Reasoning)
        ),
        calls=[[part.id, part.name, _arguments(part)] for part in parts if isinstance(part, ToolCall)],
        stop_reason="" if choice.stop is None else choice.stop.reason,
        media=sum(isinstance(part, Media) or getattr(part, "kind", "") == _IMAGE_ITEM for part in parts),
        citations=sum(len(part.citations) for part in parts if isinstance(part, Text)),
        foreign=[part.kind for part in parts if isinstance(part, Foreign) and part.kind != _IMAGE_ITEM],
    )


def _arguments(call: ToolCall) -> Any:
    """Return the arguments as a value, without the object that dialects wrap around text which is not an object."""
    if call.kind == "custom":
        return call.arguments
    try:
        value = json.loads(call.arguments or "{}")
    except ValueError:
        return call.arguments
    wrapped = isinstance(value, dict) and len(value) == 1 and value.keys() & {"input", "_raw", "arguments"}
    return next(iter(value.values())) if wrapped else value


def differences(response: Response, again: Response, client: str, losses: Mapping[str, str]) -> list[str]:
    """Return the differences between `response` and what a client reads (`again`), without reported losses."""
    choices = response.choices
    found: list[str] = []
    if len(choices) > 1 and client in HAS_ONE_CHOICE:
        if "n" not in losses:
            found.append("the other choices are lost without a report")
        choices = choices[:1]
    if len(choices) != len(again.choices):
        return [f"{len(choices)} choices became {len(again.choices)}"]
    for choice, other in zip(choices, again.choices, strict=True):
        found += _choice_differences(content_of(choice), content_of(other), client, losses)
    return found + _usage_differences(response, again, client)


def _choice_differences(was: ChoiceContent, now: ChoiceContent, client: str, losses: Mapping[str, str]) -> list[str]:
    found = []
    is_converted_to_text = any(how == "converted" and field.endswith(_MEDIA_NAMES) for field, how in losses.items())
    text, read = was.text + was.refusal, now.text + now.refusal
    if not (read == text or (is_converted_to_text and read.startswith(text))):
        found.append(f"text {text!r} became {read!r}")
    if client in HAS_REFUSALS and was.refusal != now.refusal:
        found.append(f"refusal {was.refusal!r} became {now.refusal!r}")
    if was.reasoning != now.reasoning:
        found.append(f"reasoning {was.reasoning!r} became {now.reasoning!r}")
    if was.calls != now.calls and _ARGUMENT_LOSSES.get(client) not in losses:
        found.append(f"calls {was.calls} became {now.calls}")
    if now.stop_reason not in possible_stop_reasons(was, client):
        found.append(f"stop reason {was.stop_reason!r} became {now.stop_reason!r}")
    if now.media < was.media and not any(
        name in losses for name in _MEDIA_LOSSES.get(client, (*_MEDIA_NAMES, _IMAGE_ITEM))
    ):
        found.append("media are lost without a report")
    if now.citations < was.citations and not any(
        name in losses for name in _CITATION_LOSSES.get(client, ("citations",))
    ):
        found.append("citations are lost without a report")
    lost = [kind for kind in was.foreign if kind not in now.foreign]
    found += [f"{kind} is lost without a report" for kind in lost if not _is_reported(kind, client, losses)]
    return found


def _is_reported(kind: str, client: str, losses: Mapping[str, str]) -> bool:
    names = {"openai_chat": _MEDIA_LOSSES["openai_chat"], "openai_responses": (f"output[].{kind}",)}
    return any(name in losses for name in names.get(client, (kind,)))


def possible_stop_reasons(content: ChoiceContent, client: str) -> set[str]:
    """Return the stop reasons that a client may receive. Tool calls and refusals have precedence."""
    reason = _STOP_REASONS[client].get(content.stop_reason, content.stop_reason or "stop")
    reasons = {reason}
    if content.calls and reason == "stop":
        reasons = {"tool_calls"}
    if content.refusal and reason in {"stop", "content_filter", "refusal"}:
        reasons |= {"refusal", "stop"}
    if client == "ollama" and content.stop_reason == "tool_calls":
        reasons |= {"stop"} if not content.calls else set()
    return reasons


def _usage_differences(response: Response, again: Response, client: str) -> list[str]:
    was, now = response.usage or NO_USAGE, again.usage or NO_USAGE
    counts = ["total_input_tokens", "total_output_tokens"]
    if client != "ollama":
        counts += ["cache_read_tokens", "reasoning_tokens"]
    return [
        f"{name} {getattr(was, name)} became {getattr(now, name)}"
        for name in counts
        if getattr(was, name) != getattr(now, name)
        # Answers of these dialects always have counts, so the gateway estimates missing ones.
        and (client != "openai_responses" or response.usage is not None)
        and (client != "anthropic_messages" or (was.input_tokens and was.total_output_tokens))
    ]
