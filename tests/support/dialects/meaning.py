"""The meaning of a conversation as facts, independent of its dialect, and the facts that are lost without a report.

Two conversations have the same meaning if their facts are equal. A fact that differs must be reported as a loss under
one of its names; `silent_losses` returns those that are not. The facts ignore these differences, which do not change
the meaning:

- roles `system` and `developer`; several parts of a turn or one part; empty turns and parts; white space at the edges
- a tool without parameters or with an empty schema; `strict` false or not set
- the name of an output schema; the extension of a file, and its name if the client set none
- a tool choice without tools; `auto` or not set; parallel calls or not set
- the order of results, which follow their calls directly, before other content of the user
- ids of calls, as long as results still belong to the same calls; opaque tokens (see test_pairs_tokens)
"""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from intellirouter.dialects.ir import (
    Conversation,
    CustomTool,
    Foreign,
    FunctionTool,
    Media,
    Message,
    Reasoning,
    Refusal,
    Sampling,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
)

PARAMETERS = tuple(name for name in Sampling.__struct_fields__ if name not in {"n", "stop", "logprobs", "top_logprobs"})
_HAS_STRICT = frozenset({"openai_chat", "openai_responses"})
"""Other dialects always enforce the schema of the output."""
_SAME_TIERS = {"standard_only": "default"}
_RESULT_NAMES = ("result", "output", "error", "input")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9]")
_NO_WORDS = re.compile(r'[\s"\\{}\[\]:,]+')
_SIGNED, _REDACTED = "(signed)", "(redacted)"
_ANY_MESSAGE = (
    "messages",
    "messages[].role",
    "messages[].content[]",
    "messages[].content[].is_error",
    "messages[].content[].tool_result",
    "messages[].content[].tool_result.content",
    "messages[].content[].document",
    "messages[].content[].file",
    "messages[].tool_calls[].arguments",
    "messages[].reasoning",
    "output",
    "tool_choice",
)
"""Losses that report a message in another format."""


class Fact(Struct, kw_only=True):
    """One fact of a request, and its names in reports of losses."""

    value: Any
    names: tuple[str, ...] = field(default_factory=tuple)
    may_grow: bool = False
    """An addition is not a loss, because the upstream requires a value that the client did not set."""

    def is_equal_to(self, other: "Fact") -> bool:
        if not self.value and not other.value:
            return True
        if self.may_grow:
            return not self.value or str(other.value or "").startswith(str(self.value))
        return bool(self.value == other.value)


def without_whitespace(text: str) -> str:
    """Return the text without white space and without the placeholder for empty text."""
    return "".join(text.split()).replace("(notext)", "")


def facts_of(conversation: Conversation) -> dict[str, Fact]:
    """Return all facts of a conversation."""
    return {**_settings(conversation), **_tools(conversation), **_transcript(conversation)}


def _settings(ask: Conversation) -> dict[str, Fact]:
    sampling, facts = ask.sampling, {}
    for name in PARAMETERS:
        facts[name] = Fact(value=getattr(sampling, name) or None, names=(name,))
    for name in ("temperature", "top_p", "seed", "max_output_tokens", "top_k"):
        facts[name] = Fact(value=getattr(sampling, name), names=(name,))
    if sampling.temperature is not None:
        facts["temperature"].value = (sampling.temperature,)  # so that 0 counts as a value
    facts["max_output_tokens"].names = ("max_output_tokens", "reasoning")
    facts["logprobs"] = Fact(value=bool(sampling.logprobs), names=("logprobs",))
    facts["top_logprobs"] = Fact(
        value=sampling.top_logprobs if sampling.logprobs else None, names=("top_logprobs", "logprobs")
    )
    facts["stop"] = Fact(value=sampling.stop, names=("stop",))
    facts["n"] = Fact(value=sampling.n, names=("n",))
    for name in ("user", "metadata", "cache_key"):
        facts[name] = Fact(value=getattr(ask, name), names=(name,))
    tier = _SAME_TIERS.get(ask.service_tier, ask.service_tier)
    facts["service_tier"] = Fact(value=tier, names=("service_tier",))
    facts["modalities"] = Fact(value=[kind for kind in ask.modalities if kind != "text"], names=("modalities",))
    facts["is_stream"] = Fact(value=ask.is_stream)
    facts |= _output(ask)
    return facts | _reasoning(ask)


def _output(ask: Conversation) -> dict[str, Fact]:
    output = ask.output
    if output is None or output.kind == "text":
        return {}
    schema = None if output.schema is None else dict(output.schema)
    described = (schema or {}).pop("description", "")
    facts = {
        "output": Fact(value="json_object" if schema is None else "json_schema", names=("output",)),
        "output.schema": Fact(value=schema, names=("output.schema", "output")),
        "output.description": Fact(
            value=output.description or described, names=("output.description", "output", "output.schema")
        ),
    }
    if ask.dialect in _HAS_STRICT:
        facts["output.strict"] = Fact(value=bool(output.is_strict), names=("output.strict", "output"))
    return facts


def _reasoning(ask: Conversation) -> dict[str, Fact]:
    wanted = ask.reasoning
    if wanted is None:
        return {}
    amount: Any = wanted.effort
    if wanted.is_enabled is False or wanted.effort == "none" or (wanted.budget_tokens == 0 and not wanted.effort):
        amount = "off"
    elif wanted.budget_tokens is not None and wanted.budget_tokens > 0:
        amount = wanted.budget_tokens
    elif not amount and (wanted.is_enabled or wanted.is_adaptive or wanted.budget_tokens is not None):
        amount = "dynamic"
    shown = wanted.is_visible if wanted.is_visible is not None else bool(wanted.summary) or None
    return {
        "reasoning": Fact(value=amount, names=("reasoning", "reasoning.effort", "reasoning.budget_tokens")),
        "reasoning shown": Fact(value=None if shown is None else str(shown), names=("reasoning.summary", "reasoning")),
    }


def _tools(ask: Conversation) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    tools = [tool for tool in ask.tools if not isinstance(tool, ServerTool)]
    for tool in tools:
        facts[f"tool {tool.name}"] = Fact(value=_tool(tool), names=("tools", "tool_choice", "tools[].parameters"))
        if isinstance(tool, FunctionTool):
            facts[f"tool {tool.name} strict"] = Fact(
                value=bool(tool.is_strict), names=("tools[].strict", "tools", "tool_choice")
            )
    for tool in ask.tools:
        if isinstance(tool, ServerTool):
            facts[f"server tool {tool.kind}"] = Fact(value=[tool.raw], names=(f"tools[].{tool.kind}",))
    choice = ask.tool_choice
    if choice is not None and tools:
        allowed = None if choice.allowed is None else sorted(choice.allowed)
        mode, name = choice.mode, choice.name
        if mode == "required" and allowed is not None and len(allowed) == 1:
            mode, name = "named", allowed[0]
        if mode == "named":
            allowed = None
        if (mode, allowed) != ("auto", None):
            facts["tool_choice"] = Fact(value=[mode, name, allowed], names=("tool_choice", "tools"))
        is_one = choice.is_parallel is False and mode != "none"
        facts["is_parallel"] = Fact(value=is_one, names=("is_parallel", "tool_choice.is_parallel"))
    return facts


def _tool(tool: FunctionTool | CustomTool) -> list[Any]:
    if isinstance(tool, CustomTool):
        return ["custom", tool.description, tool.format]
    return ["function", tool.description, _schema(tool.parameters)]


def _schema(schema: Any) -> Any:
    """Return a schema of arguments with the defaults `type` and `properties`."""
    return {"type": "object", "properties": {}, **(schema or {})}


# the transcript


def _transcript(ask: Conversation) -> dict[str, Fact]:
    facts: dict[str, Fact] = {"turns": Fact(value=_turns(ask.messages), names=_ANY_MESSAGE)}
    parts = list(_parts_of(ask.messages))
    ids = {part.id: number for number, part in enumerate(part for part in parts if isinstance(part, ToolCall))}
    facts["calls"] = Fact(
        value=[_call(part) for part in parts if isinstance(part, ToolCall)],
        names=("tools", "tool_choice", "messages[].tool_calls[].arguments"),
    )
    results = [part for part in parts if isinstance(part, ToolResult)]
    facts["results"] = Fact(
        value=sorted(([ids.get(part.call_id, -1), *result_value(part)] for part in results), key=repr),
        names=(
            "messages",
            "tool_choice",
            "messages[].content[].document",
            "messages[].content[].is_error",
            "messages[].content[].tool_result",
            "messages[].content[].tool_result.content",
        ),
    )
    facts["errors"] = Fact(
        value=sum(part.is_error for part in results), names=("messages[].content[].is_error", "messages", "tool_choice")
    )
    texts = [reasoning_text(part) for part in parts if isinstance(part, Reasoning)]
    wordless = [text for text in texts if text in {_SIGNED, _REDACTED}]
    facts["reasoning text"] = Fact(
        value=["".join(text for text in texts if text not in wordless), *wordless] if any(texts) else [],
        names=("messages[].reasoning",),
    )
    facts["names"] = Fact(value=[message.name for message in ask.messages if message.name], names=("messages[].name",))
    facts["cache"] = Fact(value=_marks(ask, parts), names=("cache", "cache_control"))
    cited = [citation for part in parts if isinstance(part, Text) for citation in part.citations]
    facts["citations"] = Fact(value=len(cited), names=("messages[].content[].citations",))
    facts |= _media(parts)
    for part in parts:
        if isinstance(part, Foreign):
            facts[f"part {part.kind}"] = Fact(value=[part.raw], names=(f"messages[].content[].{part.kind}",))
    return facts


def _parts_of(messages: list[Message]) -> Iterator[Any]:
    for message in messages:
        for part in message.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.parts


def _turns(messages: list[Message]) -> list[list[str]]:
    """Return the text of each role in order; consecutive messages of one role are merged, tool results are omitted."""
    runs: list[list[str]] = []
    for speaker, text in _in_order(messages):
        if runs and runs[-1][0] == speaker:
            runs[-1][1] += text
        elif text:
            runs.append([speaker, text])
    return runs


def _in_order(messages: list[Message]) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[str, str]] = []
    for message in messages:
        speaker = "system" if message.role in {"system", "developer"} else message.role
        if speaker == "tool":
            continue  # the fact `results` contains the results of tools
        if speaker in {"assistant", "system"}:
            yield from waiting
            waiting = []
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                if speaker == "user":
                    waiting.append((speaker, without_whitespace(part.text)))
                else:
                    yield speaker, without_whitespace(part.text)
    yield from waiting


def _call(call: ToolCall) -> list[Any]:
    if call.kind == "custom":
        return [call.name, "custom", call.arguments]
    return [call.name, "function", arguments_value(call.arguments)]


def arguments_value(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def result_value(result: ToolResult) -> list[Any]:
    """Return the text or the object of a result, without the object that dialects wrap around text."""
    value: Any = result.structured if result.structured is not None else result.text()
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                break
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _RESULT_NAMES:
            value = next(iter(value.values()))
    return [without_whitespace(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)]


def reasoning_text(part: Reasoning) -> str:
    text = without_whitespace(part.text or "".join(part.summary))
    return text or (_REDACTED if part.is_redacted else _SIGNED if part.token is not None else "")


def _marks(ask: Conversation, parts: list[Any]) -> int:
    return sum(getattr(each, "cache", None) is not None for each in (*parts, *ask.tools))


def _media(parts: list[Any]) -> dict[str, Fact]:
    media = [part for part in parts if isinstance(part, Media)]
    facts: dict[str, Fact] = {}
    for number, part in enumerate(media):
        source = part.source
        content = source.url or source.file_id or _text_in(part) or source.data
        kind = "words" if _text_in(part) else part.kind
        as_words = (f"messages[].content[].{part.kind}", "messages[].content[].file")
        facts[f"media {number}"] = Fact(value=content, names=(*as_words, "messages[].content[]"))
        facts[f"media {number} kind"] = Fact(value=kind, names=(*as_words, "messages[].content[]"))
        detail, name = part.detail if part.detail != "auto" else "", _NOT_IN_NAMES.sub("", part.name)
        facts[f"media {number} detail"] = Fact(value=detail, names=("messages[].content[].detail",))
        details = {"name": name, "context": part.context, "citations": part.has_citations}
        for what, value in details.items():
            facts[f"media {number} {what}"] = Fact(
                value=value, names=(f"messages[].content[].{what}", *as_words), may_grow=what == "name"
            )
    return facts


def _text_in(media: Media) -> str:
    """Return the text of a text document, independent of its encoding."""
    source = media.source
    if source.text is not None:
        return source.text
    if source.data is None or not source.media_type.startswith("text/"):
        return ""
    try:
        return base64.b64decode(source.data).decode()
    except (binascii.Error, ValueError):
        return ""


def all_text(conversation: Conversation) -> str:
    """Return all text of a conversation, including results and documents."""
    return without_whitespace("".join(_words(_parts_of(conversation.messages))))


def _words(parts: Iterator[Any]) -> Iterator[str]:
    for part in parts:
        match part:
            case Text() | Refusal():
                yield part.text
            case Media():
                yield _text_in(part)
            case ToolResult():
                yield from _strings(part.structured)
            case _:
                pass


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def extras_of(conversation: Conversation) -> Counter[tuple[str, str]]:
    """Return the members that only exist in the dialect of the conversation: name in reports, and value."""
    found: Counter[tuple[str, str]] = Counter()

    def note(path: str, extras: Mapping[str, Any]) -> None:
        found.update((f"{path}{name}", json.dumps(value, sort_keys=True)) for name, value in extras.items())

    note("", conversation.extras)
    if conversation.reasoning is not None:
        note("reasoning.", conversation.reasoning.extras)
    for message in conversation.messages:
        note("messages[].", message.extras)
        for part in message.parts:
            note("messages[].content[].", getattr(part, "extras", {}))
            for inner in part.parts if isinstance(part, ToolResult) else ():
                note("messages[].content[].content[].", inner.extras)
    for tool in conversation.tools:
        note("tools[].", getattr(tool, "extras", {}))
    return found


def differences(before: Conversation, after: Conversation, defaults: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the facts of `before` that `after` does not have, with the names under which they may be reported.

    `defaults` are the values of facts that are not set.
    """
    was, now = facts_of(before), facts_of(after)
    nothing = Fact(value=None)
    found = {}
    left_out = set() if after.dialect in _HAS_STRICT else {"output.strict"}
    for name in sorted(was.keys() | now.keys()):
        old, new = was.get(name, nothing), now.get(name, nothing)
        if name in left_out or (after.dialect == "ollama" and name.startswith("media") and name.endswith(" kind")):
            continue
        if not old.is_equal_to(new) and not (not new.value and old.value == defaults.get(name)):
            found[name] = old.names or new.names
    return found


def silent_losses(
    before: Conversation,
    after: Conversation,
    losses: Mapping[str, str],
    names: Mapping[str, str],
    defaults: Mapping[str, Any],
) -> list[str]:
    """Return what is lost and not in `losses`; `names` are the client's names of the fields."""
    found = []
    for fact, allowed in differences(before, after, defaults).items():
        if not any(names.get(name, name) in losses for name in allowed):
            found.append(fact)
    return found + lost_text(before, after) + _lost_members(before, after, losses, names)


def _lost_members(
    before: Conversation, after: Conversation, losses: Mapping[str, str], names: Mapping[str, str]
) -> list[str]:
    """Return the members that only exist in the client dialect and that neither arrived nor were reported."""
    arrived = extras_of(after) if after.dialect == before.dialect else {}
    return [
        f"the member {name}"
        for name, value in extras_of(before)
        if (name, value) not in arrived and names.get(name, name) not in losses
    ]


def lost_text(before: Conversation, after: Conversation) -> list[str]:
    """Return the texts of `before` that are not in `after`, even if they were reported."""
    text = _NO_WORDS.sub("", all_text(after))
    pieces = (_NO_WORDS.sub("", word) for word in _words(_parts_of(before.messages)))
    return [f"the text {piece[:40]!r}" for piece in pieces if piece and piece not in text]


def plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
