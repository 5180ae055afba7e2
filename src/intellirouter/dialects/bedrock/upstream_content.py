"""Writes messages as Converse's turns: roles alternate, tool results come first, none is empty."""

import re
from typing import Any, Final

from intellirouter.core import Deployment, LossReport, Profile
from intellirouter.dialects.adapt import prefill
from intellirouter.dialects.adapt.call_ids import short_id
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT
from intellirouter.dialects.bedrock.upstream_media import MediaWriter
from intellirouter.dialects.ir import (
    CacheMark,
    Conversation,
    Foreign,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    usable_token,
)
from intellirouter.dialects.wire.search import is_blank

DIALECT: Final = "bedrock"
RAW_ARGUMENTS: Final = "_raw"
"""The member for arguments that are not a JSON object."""
_INVALID_ID_CHARS: Final = re.compile(r"[^a-zA-Z0-9_-]")
"""Converse itself also accepts a dot and a colon, but some of its models do not, such as Claude."""
_MAX_ID_CHARS: Final = 64
_PLACEHOLDER_TEXT: Final = "(no text)"
"""The text of a required block for which the client sent nothing."""
_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
Block = dict[str, Any]


class ContentWriter:
    """Writes the messages of one request without changing the conversation."""

    def __init__(
        self,
        conversation: Conversation,
        deployment: Deployment,
        losses: LossReport,
        *,
        calls_as_text: bool = False,
    ) -> None:
        """`calls_as_text`: write tool calls and results as text, for requests that must not declare tools."""
        self._messages = conversation.messages
        self._names = conversation.tool_names()
        self._deployment = deployment
        self._profile = deployment.profile
        self._losses = losses
        self._calls_as_text = calls_as_text
        self._media = MediaWriter(deployment, losses)
        self._ids: dict[str, str] = {}
        self._used_ids: set[str] = set()
        self._next_numbers: dict[str, int] = {}
        """The next number to try for an id that is used already."""

    def write(self) -> tuple[list[Block], list[Block]]:
        """Return the system prompt's blocks and the messages. Raises `UnsupportedFeature`."""
        messages = self._messages
        roles = [message.role for message in messages]
        system_count = next((at for at, role in enumerate(roles) if role not in _SYSTEM_ROLES), len(roles))
        system_parts = [part for message in messages[:system_count] for part in message.parts]
        system = [block for part in system_parts for block in self._write_part(part)]
        turns = self._write_turns(messages[system_count:])
        if not turns or turns[0]["role"] == "assistant":
            self._losses.add("messages", "converted", "a placeholder user message was added at the start")
            turns.insert(0, {"role": "user", "content": [{"text": _PLACEHOLDER_TEXT}]})
        for turn in turns:
            kinds = {kind for block in turn["content"] for kind in block}
            if "document" in kinds and "text" not in kinds:
                turn["content"].append({"text": _PLACEHOLDER_TEXT})
        return system, turns

    def _write_turns(self, messages: list[Message]) -> list[Block]:
        turns: list[Block] = []
        for message in messages:
            role = self._wire_role(message)
            blocks = [block for part in message.parts for block in self._write_part(part)]
            if not blocks:
                continue  # Converse rejects empty turns
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": role, "content": blocks})
        for turn in turns:
            _move_first(turn["content"], "toolResult" if turn["role"] == "user" else "reasoningContent")
        return turns

    def _wire_role(self, message: Message) -> str:
        if message.name:
            self._losses.dropped("messages[].name")
        if message.role == "assistant":
            return "assistant"
        if message.role in _SYSTEM_ROLES:
            self._losses.add("messages[].role", "converted", "later system message sent as user")
        return "user"

    def _write_part(self, part: Part) -> list[Block]:
        match part:
            case Text() | Refusal():
                if isinstance(part, Text) and part.citations:
                    self._losses.dropped("messages[].content[].citations")
                blocks: list[Block] = [] if is_blank(part.text) else [{"text": part.text}]
            case Reasoning():
                blocks = self._write_reasoning(part)
            case ToolCall():
                blocks = [self._write_call(part)]
            case ToolResult():
                blocks = self._write_result(part)
            case Media():
                blocks = [self._media.write(part)]
            case Foreign():
                blocks = self._write_foreign(part)
        cache = _mark_of(part)
        if cache is None:
            return blocks
        if not blocks:
            self._losses.dropped("cache")
            return blocks
        if self._profile.caches_only_text and "text" not in blocks[-1]:
            self._losses.add("cache", "dropped", "this model takes marks only after text")
            return blocks
        return blocks + self._write_cache_point(cache)

    def _write_foreign(self, part: Foreign) -> list[Block]:
        self._losses.dropped(f"messages[].content[].{part.kind}")
        return []

    def _write_cache_point(self, cache: CacheMark) -> list[Block]:
        if not self._profile.caches_messages:
            self._losses.dropped("cache")
            return []
        return [cache_point(cache, self._profile, self._losses)]

    def _write_reasoning(self, part: Reasoning) -> list[Block]:
        token = usable_token(part.token, DIALECT, self._deployment)
        if not token:
            self._losses.add("messages[].reasoning", "dropped", "not signed by this upstream")
            return []
        if part.is_redacted:
            return [{"reasoningContent": {"redactedContent": token}}]
        text = part.text or "\n\n".join(part.summary)
        return [{"reasoningContent": {"reasoningText": {"text": text, "signature": token}}}]

    def _write_call(self, part: ToolCall) -> Block:
        arguments = {INPUT_ARGUMENT: part.arguments} if part.kind == "custom" else part.arguments_object()
        if self._calls_as_text:
            return {"text": f"[called the tool {part.name} with {part.arguments}]"}
        if arguments is None:
            self._losses.add("messages[].tool_calls[].arguments", "converted", "invalid JSON object in _raw")
            arguments = {RAW_ARGUMENTS: part.arguments}
        return {"toolUse": {"toolUseId": self._unique_id(part.id), "name": part.name, "input": arguments}}

    def _unique_id(self, call_id: str) -> str:
        """Return a valid id, which is the same for a call and its result and unique among calls."""
        if call_id not in self._ids:
            sanitized = _INVALID_ID_CHARS.sub("_", call_id)[: _MAX_ID_CHARS - 4] or "call"
            unique = sanitized = short_id(call_id) if self._profile.has_short_call_ids else sanitized
            number = self._next_numbers.get(sanitized, 2)
            while unique in self._used_ids:
                unique, number = f"{sanitized}_{number}", number + 1
            self._next_numbers[sanitized] = number
            self._used_ids.add(unique)
            self._ids[call_id] = unique
        return self._ids[call_id]

    def _write_result(self, part: ToolResult) -> list[Block]:
        content = [self._media.write(each) if isinstance(each, Media) else {"text": each.text} for each in part.parts]
        content = [block for block in content if not is_blank(block.get("text", "x"))]
        if part.is_error and not self._profile.has_result_status:
            self._losses.add("messages[].content[].is_error", "converted", "text")
            content.insert(0, {"text": "Error:"})
        content = content or [{"text": _PLACEHOLDER_TEXT}]
        if self._calls_as_text:
            name = part.name or self._names.get(part.call_id, "tool")
            return [{"text": f"[the tool {name} returned:]"}, *content]
        written: Block = {"toolUseId": self._unique_id(part.call_id), "content": content}
        if part.is_error and self._profile.has_result_status:
            written["status"] = "error"
        return [{"toolResult": written}]


def finish_turns(turns: list[Block], losses: LossReport, *, takes_prefill: bool) -> None:
    """Adapt an answer at the end, which the model should continue. See `adapt.prefill`.

    White space at its end is removed, because models reject it.
    """
    content = turns[-1]["content"]
    if turns[-1]["role"] != "assistant" or any("toolUse" in block for block in content):
        return
    if not takes_prefill:
        turns.append({"role": "user", "content": [{"text": prefill.INSTRUCTION}]})
        prefill.report_instruction(losses)
    elif "text" in content[-1] and content[-1]["text"] != content[-1]["text"].rstrip():
        content[-1] = {"text": content[-1]["text"].rstrip()}
        prefill.report_trimming(losses)


def _mark_of(part: Part) -> CacheMark | None:
    """Return the cache mark of a part. A mark inside a tool result is written after it, because none can be inside."""
    mark: CacheMark | None = getattr(part, "cache", None)
    if mark is None and isinstance(part, ToolResult):
        mark = next((each.cache for each in reversed(part.parts) if each.cache is not None), None)
    return mark


def cache_point(cache: CacheMark, profile: Profile, losses: LossReport) -> Block:
    point = {"type": "default"}
    if cache.ttl == "1h" and profile.takes_cache_ttl:
        point["ttl"] = "1h"
    elif cache.ttl == "1h":
        losses.add("cache", "clamped", "5 minutes")
    return {"cachePoint": point}


def _move_first(content: list[Block], kind: str) -> None:
    """Move the blocks of this kind, each with its cache point, to the start. Otherwise the order stays the same."""
    first: list[Block] = []
    rest: list[Block] = []
    target = rest
    for block in content:
        if "cachePoint" not in block:
            target = first if kind in block else rest
        target.append(block)
    content[:] = first + rest
