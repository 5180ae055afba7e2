"""Decide what the model says: deterministic in the request, before anything is put on the wire."""

import json
import re
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.testing.plan.ask import Ask, Tool
from intellirouter.testing.plan.completion import Choice, Completion, ToolCall
from intellirouter.testing.plan.magic import Magic
from intellirouter.testing.plan.schema_instance import instance_of
from intellirouter.testing.plan.tokens import count_tokens, lorem, split_tokens

MAX_CALLS: Final = 32
REFUSAL: Final = "I cannot help with that."
MAX_THOUGHT_TOKENS: Final = 48
_CALL: Final = re.compile(r"\bcall\s+([\w.-]{1,64})(?:\s+with\s+(?=\{))?", re.IGNORECASE)
_TOKENS_PER_CALL: Final = 4


def plan_completion(ask: Ask, magic: Magic, *, created_s: int) -> Completion:
    """Decide the whole answer.

    `magic` is what the model's name asks for: a filler text instead of the echo, calls of every tool of the request
    (or an invented one when it has none), thoughts. `created_s` is in seconds since 1970.
    """
    choices = []
    completion_tokens = thought_tokens = 0
    for index in range(ask.choices):
        choice, tokens = _refusal() if magic.refuses else _said(ask, index, magic)
        if ask.thinks or magic.thinks:
            choice.thought = _thought(ask)
            thought_tokens += len(choice.thought)
        choices.append(choice)
        completion_tokens += tokens
    return Completion(
        model=ask.model,
        created_s=created_s,
        choices=choices,
        prompt_tokens=ask.prompt_tokens,
        completion_tokens=completion_tokens,
        thought_tokens=thought_tokens,
        cached_tokens=ask.cached_tokens,
        cache_write_tokens=ask.cache_write_tokens,
    )


def _said(ask: Ask, index: int, magic: Magic) -> tuple[Choice, int]:
    calls = _calls(ask, forces_tools=magic.forces_tools)
    return _limited_calls(ask, calls) if calls else _limited_text(ask, index, magic.text_tokens)


def _refusal() -> tuple[Choice, int]:
    return Choice(tokens=[], calls=[], finish_reason="stop", refusal=REFUSAL), count_tokens(REFUSAL)


def _thought(ask: Ask) -> list[str]:
    """Think at most as long as the answer may be."""
    most = MAX_THOUGHT_TOKENS if ask.max_tokens is None else min(ask.max_tokens, MAX_THOUGHT_TOKENS)
    return split_tokens(f"They said: {ask.heard}")[:most]


def _limited_text(ask: Ask, index: int, text_tokens: int | None) -> tuple[Choice, int]:
    """Cut the text at a stop sequence, then at the token limit."""
    text = _text(ask, index, text_tokens)
    found = [(at, stop) for at, stop in ((text.find(stop), stop) for stop in ask.stops) if at >= 0]
    end, stop = min(found) if found else (None, None)
    tokens = split_tokens(text[:end])
    if ask.max_tokens is not None and len(tokens) > ask.max_tokens:
        cut = tokens[: ask.max_tokens]
        return Choice(tokens=cut, calls=[], finish_reason="length"), len(cut)
    return Choice(tokens=tokens, calls=[], finish_reason="stop", stop_sequence=stop), len(tokens)


def _text(ask: Ask, index: int, text_tokens: int | None) -> str:
    if ask.format == "json_schema":
        return msgspec.json.encode(instance_of(ask.schema)).decode()
    if ask.format == "json_object":
        return msgspec.json.encode({"model": ask.model, "echo": ask.heard}).decode()
    text = lorem(text_tokens) if text_tokens is not None else f"{ask.model}: {ask.heard}"
    return f"{text} [{index}]" if index else text


def _calls(ask: Ask, *, forces_tools: bool) -> list[ToolCall]:
    if ask.tool_choice == "none":
        return []
    spoken = _spoken_calls(ask) if ask.tools and ask.last_role == "user" else []
    if ask.tool_choice.startswith("="):
        named = ask.tool_choice[1:]
        calls = [call for call in spoken if call[0] == named][:1]
        calls = calls or [_invented(tool) for tool in ask.tools if tool.name == named][:1]
    elif spoken:
        calls = spoken
    elif forces_tools and ask.last_role != "tool":
        calls = [_invented(tool) for tool in ask.tools] or [("get_weather", '{"city":"Paris"}')]
    elif ask.tool_choice == "required":
        calls = [_invented(tool) for tool in ask.tools[:1]]
    else:
        calls = []
    most = MAX_CALLS if ask.is_parallel else 1
    return [ToolCall(new_id(ask.call_prefix), name, arguments) for name, arguments in calls[:most]]


def _spoken_calls(ask: Ask) -> list[tuple[str, str]]:
    """Read `call NAME with {json}` out of the last user message, as often as it stands there."""
    text = ask.heard
    names = {tool.name for tool in ask.tools}
    decoder = json.JSONDecoder()
    calls: list[tuple[str, str]] = []
    for match in _CALL.finditer(text):
        if match[1] not in names or len(calls) == MAX_CALLS:
            continue
        arguments: Any = {}
        if text[match.end() : match.end() + 1] == "{":
            try:
                arguments, end = decoder.raw_decode(text, match.end())
            except (ValueError, RecursionError):
                continue  # prose that only looks like a call
            calls.append((match[1], text[match.end() : end]))
        else:
            calls.append((match[1], json.dumps(arguments)))
    return calls


def _invented(tool: Tool) -> tuple[str, str]:
    filled = instance_of(tool.parameters) if tool.parameters else {}
    return tool.name, msgspec.json.encode(filled).decode()


def _limited_calls(ask: Ask, calls: list[ToolCall]) -> tuple[Choice, int]:
    """Cut the arguments where the token limit falls, as a real model does: the JSON is then incomplete."""
    left = ask.max_tokens
    used = 0
    kept: list[ToolCall] = []
    for call in calls:
        pieces = split_tokens(call.arguments)
        cost = _TOKENS_PER_CALL + count_tokens(call.name)
        if left is not None and left < used + cost + len(pieces):
            pieces = pieces[: max(left - used - cost, 0)]
            kept.append(ToolCall(call.id, call.name, "".join(pieces)))
            return Choice(tokens=[], calls=kept, finish_reason="length"), left
        kept.append(call)
        used += cost + len(pieces)
    return Choice(tokens=[], calls=kept, finish_reason="tool_calls"), used
