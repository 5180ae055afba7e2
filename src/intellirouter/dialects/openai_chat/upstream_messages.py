"""Encoding of messages for chat completion requests."""

from typing import Any, Final

import msgspec

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.adapt.call_ids import short_id, shortened_id
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT
from intellirouter.dialects.ir import (
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
    are_no_arguments,
    origin_of,
    usable_token,
)
from intellirouter.dialects.openai_chat.media import encode_media
from intellirouter.dialects.openai_chat.reasoning import DIALECT, reasoning_entry, visible_text

OPENAI_VENDORS: Final = frozenset({"openai", "azure"})
_GOOGLE_VENDORS: Final = frozenset({"gemini", "vertex"})
_CACHE_MARK_VENDORS: Final = frozenset({"openrouter", "dashscope"})
_AUTOMATIC_CACHE_VENDORS: Final = OPENAI_VENDORS | frozenset(
    {"deepseek", "gemini", "vertex", "groq", "xai", "moonshot", "fireworks", "vllm", "llamacpp", "ollama", "host"}
)
"""Vendors that cache prefixes automatically, so that a breakpoint would have no effect."""
_ERROR_PREFIX_CHARS: Final = 16
_MAX_OPENAI_ID_CHARS: Final = 40
"""The limit of OpenAI's chat completions for the ids of tool calls."""


def mark_cache(
    encoded: dict[str, Any], ttl: str, deployment: Deployment, losses: LossReport, *, is_same_dialect: bool
) -> None:
    """Add a cache breakpoint if the vendor supports it. OpenAI rejects the member."""
    if deployment.vendor in _CACHE_MARK_VENDORS or (is_same_dialect and deployment.vendor not in OPENAI_VENDORS):
        encoded["cache_control"] = {"type": "ephemeral", "ttl": ttl} if ttl else {"type": "ephemeral"}
    else:
        report_lost_mark(deployment, losses)


def report_lost_mark(deployment: Deployment, losses: LossReport) -> None:
    if deployment.vendor in _AUTOMATIC_CACHE_VENDORS:
        losses.add("cache", "converted", "automatic caching")
    else:
        losses.dropped("cache")


class MessageWriter:
    """Encodes the messages of a conversation for one deployment. Does not change the conversation."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._deployment = deployment
        self._losses = losses
        self._is_same_dialect = conversation.dialect == DIALECT
        self._is_openai = deployment.vendor in OPENAI_VENDORS
        self._has_developer = self._is_openai or deployment.quirks.has_developer_role
        self._result_media: list[dict[str, Any]] = []
        """Media of tool results, which become part of the next user message."""
        self._out: list[dict[str, Any]] = []

    def write(self, messages: list[Message]) -> list[dict[str, Any]]:
        for message in messages:
            match message.role:
                case "tool":
                    self._results(message)
                case "assistant":
                    self._flush()
                    self._out.append(self._assistant(message))
                case "user":
                    content = self._result_media + self._parts(message.parts)
                    self._result_media = []
                    self._out.append(self._turn("user", message, self._content(content)))
                case _:
                    self._flush()
                    role = message.role if message.role == "system" or self._has_developer else "system"
                    if role != message.role:
                        self._losses.add("messages[].role", "converted", "system")
                    self._out.append(self._turn(role, message, self._content(self._parts(message.parts))))
        self._flush()
        return self._out

    def _flush(self) -> None:
        if self._result_media:
            self._out.append({"role": "user", "content": self._result_media})
            self._result_media = []

    def _turn(self, role: str, message: Message, content: Any) -> dict[str, Any]:
        turn: dict[str, Any] = {"role": role, "content": content}
        if message.name:
            turn["name"] = message.name
        if self._is_same_dialect:
            turn |= message.extras
        return turn

    def _content(self, parts: list[dict[str, Any]]) -> Any:
        """Return the parts as one string if possible, because not all vendors accept lists of parts."""
        if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
            return parts[0]["text"]
        if not parts:
            return ""
        if self._is_same_dialect or self._is_openai or any(part.keys() != {"type", "text"} for part in parts):
            return parts
        return "\n\n".join(part["text"] for part in parts)

    def _parts(self, parts: list[Part]) -> list[dict[str, Any]]:
        return [encoded for part in parts if (encoded := self._part(part)) is not None]

    def _part(self, part: Part) -> dict[str, Any] | None:
        match part:
            case Text():
                self._report_citations(part)
                encoded: dict[str, Any] = {"type": "text", "text": part.text}
            case Media():
                encoded = self._media(part)
            case Refusal():
                encoded = {"type": "text", "text": part.text}
            case Foreign():
                return self._foreign(part)
            case _:
                return None
        if self._is_same_dialect:
            encoded |= part.extras
        if not isinstance(part, Refusal) and part.cache is not None:
            self._mark(encoded, part.cache.ttl)
        return encoded

    def _media(self, part: Media) -> dict[str, Any]:
        if part.source.file_id is not None and not self._is_same_dialect:
            raise errors.UnsupportedFeature(
                "A file id of another vendor cannot be used.",
                param="messages[].content[]",
                hint="Send the content of the file as base64 instead.",
            )
        encoded = encode_media(part)
        if encoded["type"] == "text":
            self._losses.add(f"messages[].content[].{part.kind}", "converted", "text")
        if part.context:
            self._losses.dropped("messages[].content[].context")
        if part.has_citations:
            self._losses.dropped("messages[].content[].citations")
        return encoded

    def _report_citations(self, part: Text) -> None:
        if part.citations:
            self._losses.dropped("messages[].content[].citations")

    def _foreign(self, part: Foreign) -> dict[str, Any] | None:
        if part.dialect == DIALECT and isinstance(part.raw, dict):
            raw: dict[str, Any] = part.raw
            return raw
        self._losses.dropped(f"messages[].content[].{part.kind}")
        return None

    def _mark(self, encoded: dict[str, Any], ttl: str) -> None:
        mark_cache(encoded, ttl, self._deployment, self._losses, is_same_dialect=self._is_same_dialect)

    def _assistant(self, message: Message) -> dict[str, Any]:
        texts: list[str] = []
        refusals: list[str] = []
        others: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        turn = self._turn("assistant", message, None)
        for part in message.parts:
            match part:
                case Text():
                    self._report_citations(part)
                    texts.append(part.text)
                case Refusal():
                    (refusals if self._is_openai or self._is_same_dialect else texts).append(part.text)
                case ToolCall():
                    calls.append(self._call(part))
                case Media(kind="audio") if part.source.file_id is not None and self._is_same_dialect:
                    turn["audio"] = {"id": part.source.file_id}
                case Media():
                    self._losses.dropped(f"messages[].content[].{part.kind}")
                case Foreign() if (raw := self._foreign(part)) is not None:
                    (calls if part.kind in raw and "id" in raw else others).append(raw)
                case _:
                    pass
        if refusals:
            turn["refusal"] = "".join(refusals)
        self._reasoning(turn, message)
        if others:
            turn["content"] = [{"type": "text", "text": text} for text in texts] + others
        elif texts or not (calls or "refusal" in turn or "audio" in turn):
            turn["content"] = "".join(texts)
        if calls:
            turn["tool_calls"] = calls
        self._mark_assistant(turn, message)
        return turn

    def _mark_assistant(self, turn: dict[str, Any], message: Message) -> None:
        """Write the cache marks of an answer in its texts, for vendors that support marks, and report the others."""
        marked = [part for part in message.parts if getattr(part, "cache", None) is not None]
        if not marked:
            return
        texts = [part for part in message.parts if isinstance(part, Text)]
        if isinstance(turn.get("content"), str) and any(part.cache is not None for part in texts):
            parts = self._parts(list(texts))
            if any("cache_control" in part for part in parts):
                turn["content"] = parts
        if not all(isinstance(part, Text) for part in marked) or not isinstance(turn.get("content"), list):
            report_lost_mark(self._deployment, self._losses)

    def _reasoning(self, turn: dict[str, Any], message: Message) -> None:
        """Add the reasoning that the upstream wants back. Others would treat it as part of the conversation."""
        parts = [part for part in message.parts if isinstance(part, Reasoning)]
        if not parts:
            return
        own = [part for part in parts if usable_token(part.token, DIALECT, self._deployment) is not None]
        details = [reasoning_entry(part.token, part) for part in own if part.token is not None]
        if details:
            turn["reasoning_details"] = details
        plain = [part for part in parts if part.token is None]
        is_accepted = self._deployment.profile.wants_reasoning_back or self._is_same_dialect
        text = visible_text(plain) if is_accepted else ""
        if text:
            turn["reasoning_content"] = text
        if len(own) < len(parts) - (len(plain) if text else 0):
            self._losses.add("messages[].reasoning", "dropped", "not accepted by this upstream")

    def _call(self, call: ToolCall) -> dict[str, Any]:
        call_id = self._call_id(call.id)
        encoded: dict[str, Any] = {"id": call_id, "type": "function"}
        if call.kind == "custom" and (self._is_openai or self._is_same_dialect):
            encoded = {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        elif call.kind == "custom":
            arguments = msgspec.json.encode({INPUT_ARGUMENT: call.arguments}).decode()
            encoded["function"] = {"name": call.name, "arguments": arguments}
        else:
            is_empty = not self._is_same_dialect and are_no_arguments(call.arguments)
            encoded["function"] = {"name": call.name, "arguments": "{}" if is_empty else call.arguments}
        if (signature := self._signature(call)) is not None:
            encoded["extra_content"] = {"google": {"thought_signature": signature}}
        if self._is_same_dialect:
            encoded |= call.extras
        return encoded

    def _call_id(self, call_id: str) -> str:
        if self._is_same_dialect:
            return call_id
        if self._deployment.profile.has_short_call_ids:
            return short_id(call_id)
        return shortened_id(call_id, _MAX_OPENAI_ID_CHARS) if self._is_openai else call_id

    def _signature(self, call: ToolCall) -> str | None:
        token = call.token
        if token is None or token.dialect != "gemini":
            return None
        if token.origin:
            return token.value if token.origin == origin_of(self._deployment) else None
        return token.value if self._deployment.vendor in _GOOGLE_VENDORS or self._is_same_dialect else None

    def _results(self, message: Message) -> None:
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._out.append(self._result(part, message))
            elif isinstance(part, Foreign) and (raw := self._foreign(part)) is not None:
                self._out.append(raw)

    def _result(self, result: ToolResult, message: Message) -> dict[str, Any]:
        media = [part for part in result.parts if isinstance(part, Media)]
        texts = [part for part in result.parts if isinstance(part, Text)]
        call_id = self._call_id(result.call_id)
        if media and not self._is_same_dialect:
            self._result_media.append({"type": "text", "text": f"What the tool call {call_id} returned:"})
            self._result_media += [self._media(part) for part in media]
            field = "messages[].content[].tool_result.content"
            self._losses.add(field, "converted", "media of a tool result sent as user")
        content: Any = "\n".join(part.text for part in texts)
        if media and self._is_same_dialect:
            content = self._parts(list(result.parts))
        elif any(part.cache is not None for part in texts):
            content = self._content(self._parts(list(texts)))
        elif media and not content:
            content = "See the next user message."
        if result.is_error and isinstance(content, str):
            self._losses.add("messages[].content[].is_error", "converted", "text")
            if "error" not in content[:_ERROR_PREFIX_CHARS].lower():
                content = f"Error: {content}"
        turn: dict[str, Any] = {"role": "tool", "tool_call_id": call_id, "content": content}
        if result.cache is not None:
            self._mark(turn, result.cache.ttl)
        if self._is_same_dialect:
            turn |= message.extras
            if result.name:
                turn["name"] = result.name
        return turn
