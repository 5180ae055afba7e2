"""Decide what the model answers. The result depends on the request alone, not on the wire format."""

import json
import re
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.fake.completion import Choice, Completion, CompletionRequest, Tool, ToolCall
from intellirouter.fake.models import ModelBehavior
from intellirouter.fake.schema_instance import instance_of
from intellirouter.fake.tokens import count_tokens, lorem, split_tokens

MAX_CALLS: Final = 32
REFUSAL: Final = "I cannot help with that."
MAX_REASONING_TOKENS: Final = 48
_CALL: Final = re.compile(r"\bcall\s+([\w.-]{1,64})(?:\s+with\s+(?=\{))?", re.IGNORECASE)
_TOKENS_PER_CALL: Final = 4


def plan_completion(request: CompletionRequest, behavior: ModelBehavior, *, created_s: int) -> Completion:
    """Return the whole answer.

    `behavior` selects filler text instead of the echo, a call of every tool of the request (or an invented call if it
    has no tools), reasoning, or a refusal. `created_s` is in seconds since 1970.
    """
    choices = []
    completion_tokens = reasoning_tokens = 0
    for index in range(request.choice_count):
        choice, tokens = _refusal() if behavior.refuses else _answer(request, index, behavior)
        if request.wants_reasoning or behavior.has_reasoning:
            choice.reasoning = _reasoning(request)
            reasoning_tokens += len(choice.reasoning)
        choices.append(choice)
        completion_tokens += tokens
    return Completion(
        model=request.model,
        created_s=created_s,
        choices=choices,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=completion_tokens,
        reasoning_tokens=reasoning_tokens,
        cached_tokens=request.cached_tokens,
        cache_write_tokens=request.cache_write_tokens,
    )


def _answer(request: CompletionRequest, index: int, behavior: ModelBehavior) -> tuple[Choice, int]:
    calls = _calls(request, forces_tools=behavior.forces_tools)
    return _limited_calls(request, calls) if calls else _limited_text(request, index, behavior.text_tokens)


def _refusal() -> tuple[Choice, int]:
    return Choice(tokens=[], calls=[], finish_reason="stop", refusal=REFUSAL), count_tokens(REFUSAL)


def _reasoning(request: CompletionRequest) -> list[str]:
    """Return reasoning that is at most as long as the answer may be."""
    limit = MAX_REASONING_TOKENS if request.max_tokens is None else min(request.max_tokens, MAX_REASONING_TOKENS)
    return split_tokens(f"The user wrote: {request.input_text}")[:limit]


def _limited_text(request: CompletionRequest, index: int, text_tokens: int | None) -> tuple[Choice, int]:
    """Cut the text at a stop sequence, then at the token limit."""
    text = _text(request, index, text_tokens)
    found = [(at, stop) for at, stop in ((text.find(stop), stop) for stop in request.stops) if at >= 0]
    end, stop = min(found) if found else (None, None)
    tokens = split_tokens(text[:end])
    if request.max_tokens is not None and len(tokens) > request.max_tokens:
        cut = tokens[: request.max_tokens]
        return Choice(tokens=cut, calls=[], finish_reason="length"), len(cut)
    return Choice(tokens=tokens, calls=[], finish_reason="stop", stop_sequence=stop), len(tokens)


def _text(request: CompletionRequest, index: int, text_tokens: int | None) -> str:
    if request.format == "json_schema":
        return msgspec.json.encode(instance_of(request.schema)).decode()
    if request.format == "json_object":
        return msgspec.json.encode({"model": request.model, "echo": request.input_text}).decode()
    text = lorem(text_tokens) if text_tokens is not None else f"{request.model}: {request.input_text}"
    return f"{text} [{index}]" if index else text


def _calls(request: CompletionRequest, *, forces_tools: bool) -> list[ToolCall]:
    if request.tool_choice == "none":
        return []
    scripted = _scripted_calls(request) if request.tools and request.last_role == "user" else []
    if request.tool_choice.startswith("="):
        name = request.tool_choice[1:]
        calls = [call for call in scripted if call[0] == name][:1]
        calls = calls or [_invented_call(tool) for tool in request.tools if tool.name == name][:1]
    elif scripted:
        calls = scripted
    elif forces_tools and request.last_role != "tool":
        calls = [_invented_call(tool) for tool in request.tools] or [("get_weather", '{"city":"Paris"}')]
    elif request.tool_choice == "required":
        calls = [_invented_call(tool) for tool in request.tools[:1]]
    else:
        calls = []
    limit = MAX_CALLS if request.allows_parallel_calls else 1
    return [ToolCall(new_id(request.call_id_prefix), name, arguments) for name, arguments in calls[:limit]]


def _scripted_calls(request: CompletionRequest) -> list[tuple[str, str]]:
    """Return the calls that the last user message dictates with `call NAME with {json}`, in order."""
    text = request.input_text
    names = {tool.name for tool in request.tools}
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
                continue  # ordinary text that only looks like a call
            calls.append((match[1], text[match.end() : end]))
        else:
            calls.append((match[1], json.dumps(arguments)))
    return calls


def _invented_call(tool: Tool) -> tuple[str, str]:
    arguments = instance_of(tool.parameters) if tool.parameters else {}
    return tool.name, msgspec.json.encode(arguments).decode()


def _limited_calls(request: CompletionRequest, calls: list[ToolCall]) -> tuple[Choice, int]:
    """Cut the arguments at the token limit, as a real model does; their JSON is then incomplete."""
    limit = request.max_tokens
    used = 0
    complete: list[ToolCall] = []
    for call in calls:
        pieces = split_tokens(call.arguments)
        cost = _TOKENS_PER_CALL + count_tokens(call.name)
        if limit is not None and limit < used + cost + len(pieces):
            pieces = pieces[: max(limit - used - cost, 0)]
            cut = ToolCall(call.id, call.name, "".join(pieces))
            return Choice(tokens=[], calls=[*complete, cut], finish_reason="length"), limit
        complete.append(call)
        used += cost + len(pieces)
    return Choice(tokens=[], calls=complete, finish_reason="tool_calls"), used
