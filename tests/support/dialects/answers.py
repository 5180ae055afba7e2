"""What an answer means, whatever dialect it is told in, and what each client's dialect can say of it.

The wording of a refusal is words like any other where a dialect has no place of its own for it; white space counts.
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
_ENDS: dict[str, dict[str, str]] = {
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
"""How a client's dialect says ends that it has no word for: the nearest one, by dialect."""
BROKEN = frozenset({"malformed_tool_call", "cancelled", "error"})
"""Ends of answers that hold no content: these are failed attempts, and reach a client of their own dialect only."""
FAILS = {"openai_responses": BROKEN}
"""Ends that a client's dialect tells as a failure, with what came until then."""
_MEDIA_NAMES = ("image", "audio", "video", "document")
_DRAWN = "image_generation_call"
"""How the responses dialect tells a picture."""
_SAY_MEDIA = {
    "openai_chat": ("choices[].message.content", "choices[].delta.content"),
    "openai_responses": tuple(f"output[].{kind}" for kind in _MEDIA_NAMES),
}
_SAY_CITATIONS = {
    "openai_chat": ("choices[].message.annotations",),
    "openai_responses": ("output[].content[].citations",),
}
_SAY_ARGUMENTS = {
    "anthropic_messages": "tool_use.input",
    "gemini": "functionCall.args",
    "ollama": "tool_calls[].function.arguments",
}


class Said(Struct, kw_only=True):
    """What one choice says."""

    words: str
    refusal: str
    thoughts: str
    calls: list[list[Any]]
    end: str
    media: int
    citations: int
    foreign: list[str]


def said_by(choice: Choice) -> Said:
    parts = choice.parts
    return Said(
        words="".join(part.text for part in parts if isinstance(part, Text)),
        refusal="".join(part.text for part in parts if isinstance(part, Refusal)),
        thoughts="".join(
            "".join((part.text or "".join(part.summary)).split()) for part in parts if isinstance(part, Reasoning)
        ),
        calls=[[part.id, part.name, _arguments(part)] for part in parts if isinstance(part, ToolCall)],
        end="" if choice.stop is None else choice.stop.reason,
        media=sum(isinstance(part, Media) or getattr(part, "kind", "") == _DRAWN for part in parts),
        citations=sum(len(part.citations) for part in parts if isinstance(part, Text)),
        foreign=[part.kind for part in parts if isinstance(part, Foreign) and part.kind != _DRAWN],
    )


def _arguments(call: ToolCall) -> Any:
    """Return the arguments' value; free text and text that is no object are wrapped where only objects can be said."""
    if call.kind == "custom":
        return call.arguments
    try:
        value = json.loads(call.arguments or "{}")
    except ValueError:
        return call.arguments
    wrapped = isinstance(value, dict) and len(value) == 1 and value.keys() & {"input", "_raw", "arguments"}
    return next(iter(value.values())) if wrapped else value


def differences(response: Response, again: Response, client: str, losses: Mapping[str, str]) -> list[str]:
    """Return what a client was not told of `response`, or told otherwise; reported losses left out."""
    choices = response.choices
    found: list[str] = []
    if len(choices) > 1 and client in HAS_ONE_CHOICE:
        if "n" not in losses:
            found.append("the other choices, silently")
        choices = choices[:1]
    if len(choices) != len(again.choices):
        return [f"{len(choices)} choices became {len(again.choices)}"]
    for choice, other in zip(choices, again.choices, strict=True):
        found += _of_choice(said_by(choice), said_by(other), client, losses)
    return found + _of_usage(response, again, client)


def _of_choice(was: Said, now: Said, client: str, losses: Mapping[str, str]) -> list[str]:
    found = []
    is_told_in_words = any(how == "converted" and field.endswith(_MEDIA_NAMES) for field, how in losses.items())
    words, told = was.words + was.refusal, now.words + now.refusal
    if not (told == words or (is_told_in_words and told.startswith(words))):
        found.append(f"words {words!r} became {told!r}")
    if client in HAS_REFUSALS and was.refusal != now.refusal:
        found.append(f"refusal {was.refusal!r} became {now.refusal!r}")
    if was.thoughts != now.thoughts:
        found.append(f"thoughts {was.thoughts!r} became {now.thoughts!r}")
    if was.calls != now.calls and _SAY_ARGUMENTS.get(client) not in losses:
        found.append(f"calls {was.calls} became {now.calls}")
    if now.end not in ends_for(was, client):
        found.append(f"the end {was.end!r} became {now.end!r}")
    if now.media < was.media and not any(name in losses for name in _SAY_MEDIA.get(client, (*_MEDIA_NAMES, _DRAWN))):
        found.append("media, silently")
    if now.citations < was.citations and not any(name in losses for name in _SAY_CITATIONS.get(client, ("citations",))):
        found.append("citations, silently")
    lost = [kind for kind in was.foreign if kind not in now.foreign]
    found += [f"{kind}, silently" for kind in lost if not _is_reported(kind, client, losses)]
    return found


def _is_reported(kind: str, client: str, losses: Mapping[str, str]) -> bool:
    names = {"openai_chat": _SAY_MEDIA["openai_chat"], "openai_responses": (f"output[].{kind}",)}
    return any(name in losses for name in names.get(client, (kind,)))


def ends_for(said: Said, client: str) -> set[str]:
    """Return the reasons that tell a client of this end. Where tools are called, or refused in words, that counts."""
    end = _ENDS[client].get(said.end, said.end or "stop")
    ends = {end}
    if said.calls and end == "stop":
        ends = {"tool_calls"}
    if said.refusal and end in {"stop", "content_filter", "refusal"}:
        ends |= {"refusal", "stop"}
    if client == "ollama" and said.end == "tool_calls":
        ends |= {"stop"} if not said.calls else set()
    return ends


def _of_usage(response: Response, again: Response, client: str) -> list[str]:
    was, now = response.usage or NO_USAGE, again.usage or NO_USAGE
    counts = ["total_input_tokens", "total_output_tokens"]
    if client != "ollama":
        counts += ["cache_read_tokens", "reasoning_tokens"]
    return [
        f"{name} {getattr(was, name)} became {getattr(now, name)}"
        for name in counts
        if getattr(was, name) != getattr(now, name)
        # This dialect has no answers without counts: in streams, what nobody counted is estimated.
        and (client != "anthropic_messages" or (was.input_tokens and was.total_output_tokens))
    ]
