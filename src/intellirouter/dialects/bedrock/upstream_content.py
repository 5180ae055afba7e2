"""The history in Converse's words: turns that alternate, blocks by kind, results first, none empty."""

import re
from typing import Any, Final

from intellirouter.core import Deployment, LossReport
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

DIALECT: Final = "bedrock"
RAW: Final = "_raw"
"""The member that holds arguments which are no JSON object."""
_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_.:-]")
_MAX_ID_CHARS: Final = 64
_NOTHING_SAID: Final = "(no text)"
"""Stands where Converse wants text and the client has none."""
_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
Block = dict[str, Any]


class ContentWriter:
    """Writes the messages of one request. Read-only on the conversation."""

    def __init__(
        self,
        conversation: Conversation,
        deployment: Deployment,
        losses: LossReport,
        *,
        tells_calls: bool = False,
    ) -> None:
        """`tells_calls`: calls and results become text, for requests that may declare no tools."""
        self._messages = conversation.messages
        self._names = conversation.tool_names()
        self._deployment = deployment
        self._profile = deployment.profile
        self._losses = losses
        self._tells_calls = tells_calls
        self._media = MediaWriter(deployment, losses)
        self._ids: dict[str, str] = {}
        self._taken: set[str] = set()

    def prompt_and_turns(self) -> tuple[list[Block], list[Block]]:
        """Return the system prompt's blocks and the messages. Raises `UnsupportedFeature`."""
        messages = self._messages
        lead = next((at for at, message in enumerate(messages) if message.role not in _SYSTEM_ROLES), len(messages))
        system = [block for message in messages[:lead] for part in message.parts for block in self._blocks(part)]
        turns = self._turns(messages[lead:])
        if not turns or turns[0]["role"] == "assistant":
            self._losses.add("messages", "converted", "a user turn was put first")
            turns.insert(0, {"role": "user", "content": [{"text": _NOTHING_SAID}]})
        for turn in turns:
            if any("document" in block for block in turn["content"]) and not any("text" in b for b in turn["content"]):
                turn["content"].append({"text": _NOTHING_SAID})
        self._trim_prefill(turns[-1])
        return system, turns

    def _turns(self, messages: list[Message]) -> list[Block]:
        turns: list[Block] = []
        for message in messages:
            role = self._role(message)
            blocks = [block for part in message.parts for block in self._blocks(part)]
            if not blocks:
                continue  # empty turns are refused; their neighbours join
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": role, "content": blocks})
        for turn in turns:
            _put_first(turn["content"], "toolResult" if turn["role"] == "user" else "reasoningContent")
        return turns

    def _role(self, message: Message) -> str:
        if message.name:
            self._losses.dropped("messages[].name")
        if message.role == "assistant":
            return "assistant"
        if message.role in _SYSTEM_ROLES:
            self._losses.add("messages[].role", "converted", "a later system message is said by the user")
        return "user"

    def _blocks(self, part: Part) -> list[Block]:
        match part:
            case Text() | Refusal():
                if isinstance(part, Text) and part.citations:
                    self._losses.dropped("messages[].content[].citations")
                blocks: list[Block] = [{"text": part.text}] if part.text.strip() else []
            case Reasoning():
                blocks = self._reasoning(part)
            case ToolCall():
                blocks = [self._call(part)]
            case ToolResult():
                blocks = self._result(part)
            case Media():
                blocks = [self._media.block(part)]
            case Foreign():
                blocks = self._foreign(part)
        cache = getattr(part, "cache", None)
        return blocks if cache is None or not blocks else blocks + self._cache_point(cache)

    def _foreign(self, part: Foreign) -> list[Block]:
        self._losses.dropped(f"messages[].content[].{part.kind}")
        return []

    def _cache_point(self, cache: CacheMark) -> list[Block]:
        if not self._profile.caches_messages:
            self._losses.dropped("cache")
            return []
        return [cache_point(cache)]

    def _reasoning(self, part: Reasoning) -> list[Block]:
        token = usable_token(part.token, DIALECT, self._deployment)
        if not token:
            self._losses.add("messages[].reasoning", "dropped", "signed by somebody else")
            return []
        if part.is_redacted:
            return [{"reasoningContent": {"redactedContent": token}}]
        text = part.text or "\n\n".join(part.summary)
        return [{"reasoningContent": {"reasoningText": {"text": text, "signature": token}}}]

    def _call(self, part: ToolCall) -> Block:
        found = {INPUT_ARGUMENT: part.arguments} if part.kind == "custom" else part.arguments_object()
        if self._tells_calls:
            return {"text": f"[called the tool {part.name} with {part.arguments}]"}
        if found is None:
            self._losses.add("messages[].tool_calls[].arguments", "converted", "text that is no JSON object")
            found = {RAW: part.arguments}
        return {"toolUse": {"toolUseId": self._id(part.id), "name": part.name, "input": found}}

    def _id(self, call_id: str) -> str:
        """Return the id in the allowed characters: the same for a call and its result, different for two calls."""
        if call_id not in self._ids:
            clean = base = _NOT_IN_IDS.sub("_", call_id)[: _MAX_ID_CHARS - 4] or "call"
            number = 2
            while clean in self._taken:
                clean, number = f"{base}_{number}", number + 1
            self._taken.add(clean)
            self._ids[call_id] = clean
        return self._ids[call_id]

    def _result(self, part: ToolResult) -> list[Block]:
        content = [self._media.block(each) if isinstance(each, Media) else {"text": each.text} for each in part.parts]
        content = [block for block in content if block.get("text", "x").strip()]
        if part.is_error and not self._profile.has_result_status:
            self._losses.add("messages[].content[].is_error", "converted", "text")
            content.insert(0, {"text": "Error:"})
        if self._tells_calls:
            name = part.name or self._names.get(part.call_id, "tool")
            return [{"text": f"[the tool {name} returned:]"}, *(content or [{"text": _NOTHING_SAID}])]
        written: Block = {"toolUseId": self._id(part.call_id), "content": content or [{"text": _NOTHING_SAID}]}
        if part.is_error and self._profile.has_result_status:
            written["status"] = "error"
        return [{"toolResult": written}]

    def _trim_prefill(self, turn: Block) -> None:
        """An answer that is to be continued must not end with white space."""
        last = turn["content"][-1]
        if turn["role"] == "assistant" and "text" in last and last["text"] != last["text"].rstrip():
            turn["content"][-1] = {"text": last["text"].rstrip()}
            self._losses.add("messages", "converted", "white space at the end of the prefill")


def cache_point(cache: CacheMark) -> Block:
    point = {"type": "default"}
    if cache.ttl == "1h":
        point["ttl"] = "1h"
    return {"cachePoint": point}


def _put_first(content: list[Block], kind: str) -> None:
    """Move the blocks of this kind, each with its cache point, before the others; the order stays otherwise."""
    first: list[Block] = []
    rest: list[Block] = []
    into = rest
    for block in content:
        if "cachePoint" not in block:
            into = first if kind in block else rest
        into.append(block)
    content[:] = first + rest
