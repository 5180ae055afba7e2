"""Decoding of the messages of chat completion requests.

Source: OpenAI API reference, "Create chat completion". Clients and other vendors add `reasoning_content`,
`reasoning_details` (OpenRouter), `thinking_blocks`, `cache_control`, `extra_content.google.thought_signature` (Gemini).
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from intellirouter.dialects.ir import (
    CacheMark,
    Foreign,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Source,
    Text,
    ToolCall,
    ToolResult,
    unwrap_token,
)
from intellirouter.dialects.openai_chat.media import MEDIA_READERS, media_part
from intellirouter.dialects.openai_chat.reasoning import reasoning_parts
from intellirouter.dialects.wire.json_reader import Members, missing, wrong_type

DIALECT: Final = "openai_chat"
_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_RESULT_ROLES: Final = frozenset({"tool", "function"})
_CONTENT: Final = frozenset({"content"})
_PLAIN_SIZE: Final = 2
"""The number of members of a message that only has a role and a text."""


def read_messages(values: list[Any]) -> list[Message]:
    reader = _Reader()
    return [reader.message(value, f"messages[{index}]", index) for index, value in enumerate(values)]


class _Reader:
    """Decodes messages. It stores the tool calls, for results without the id of a call."""

    def __init__(self) -> None:
        self._calls: dict[str, ToolCall] = {}
        self._open: OrderedDict[str, list[str]] = OrderedDict()
        """The names of the calls without a result, by id. Unlike a dict, it finds the first one in constant time."""
        self._open_by_name: dict[str, OrderedDict[str, None]] = {}
        """Their ids, by name."""

    def message(self, value: Any, path: str, index: int) -> Message:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        if (plain := _plain(value)) is not None:
            return plain
        members = Members(value, path)
        role = members.text("role")
        message = Message(role=_ROLES.get(role, "user"))
        if message.role == "tool":
            message.parts = [self._result(members, is_legacy=role == "function")]
        else:
            message.name = members.text("name")
            cache = read_cache(members)
            if message.role == "assistant":
                message.parts = self._assistant_parts(members, index)
            else:
                if members.has_none_of(_CONTENT):
                    raise missing(members.path_of("content"))
                message.parts = read_content(members)
            if cache is not None:
                _mark_last(message.parts, cache)
        message.extras = members.rest()
        return message

    def _assistant_parts(self, members: Members, index: int) -> list[Part]:
        parts: list[Part] = [*_reasoning(members)]
        parts += read_content(members)
        if refusal := members.text("refusal"):
            parts.append(Refusal(text=refusal))
        audio = members.members("audio")
        if audio_id := audio.text("id"):
            parts.append(Media(kind="audio", source=Source(file_id=audio_id)))
        for number, value in enumerate(members.array("tool_calls")):
            parts.append(self._call(value, f"{members.path}.tool_calls[{number}]", f"call_{index}_{number}"))
        if legacy := members.object("function_call"):
            call = Members(legacy, members.path_of("function_call"))
            arguments = call.text("arguments") or "{}"
            parts.append(
                self._registered(ToolCall(id=f"call_{index}_function", name=call.required("name"), arguments=arguments))
            )
        members.take("annotations")  # Part of answers, but not of requests.
        return parts

    def _call(self, value: Any, path: str, fallback_id: str) -> Part:
        """Decode a call. The fallback id depends on its position only, so that the same history gives the same id."""
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        members = Members(value, path)
        members.take("index")  # Part of deltas, but not of requests.
        kind = members.text("type") or ("custom" if "custom" in value else "function")
        if kind not in {"function", "custom"}:
            return Foreign(dialect=DIALECT, kind=kind, raw=value)
        call_id = members.text("id") or fallback_id
        cache = read_cache(members)
        token = _thought_signature(members)
        inner = members.members(kind)
        if kind == "function":
            call = ToolCall(id=call_id, name=inner.required("name"), arguments=inner.text("arguments") or "{}")
        else:
            call = ToolCall(id=call_id, name=inner.required("name"), arguments=inner.text("input"), kind="custom")
        if token:
            call.token = unwrap_token(token, "gemini")
        call.cache, call.extras = cache, members.rest()
        return self._registered(call)

    def _registered(self, call: ToolCall) -> ToolCall:
        self._calls[call.id] = call
        self._open.setdefault(call.id, []).append(call.name)
        self._open_by_name.setdefault(call.name, OrderedDict())[call.id] = None
        return call

    def _result(self, members: Members, *, is_legacy: bool) -> ToolResult:
        name = members.text("name")
        call_id = members.text("tool_call_id")
        if not call_id:
            call_id = self._open_call_id(name)
            if not call_id:
                raise missing(members.path_of("name" if is_legacy else "tool_call_id"))
        call = self._calls.get(call_id)
        for called in self._open.pop(call_id, ()):
            self._open_by_name[called].pop(call_id, None)
        cache = read_cache(members)
        parts: list[Text | Media] = []
        for part in read_content(members):
            if isinstance(part, Text | Media):
                parts.append(part)
            else:
                raise wrong_type(members.path_of("content"), "text or media parts", None)
        return ToolResult(
            call_id=call_id, name=name, parts=parts, kind=call.kind if call is not None else "function", cache=cache
        )

    def _open_call_id(self, name: str) -> str:
        """Return the id of the first call without a result; with a name, the first one of that name."""
        return next(iter(self._open_by_name.get(name, ()) if name else self._open), "")


def _plain(value: dict[str, Any]) -> Message | None:
    """Decode a message that only has a role and a text, which most messages do."""
    role, content = value.get("role"), value.get("content")
    if len(value) != _PLAIN_SIZE or not isinstance(content, str) or not isinstance(role, str) or role in _RESULT_ROLES:
        return None
    return Message(role=_ROLES.get(role, "user"), parts=[Text(text=content)] if content else [])


def _mark_last(parts: list[Part], cache: CacheMark) -> None:
    """Mark the last part that can have a mark."""
    part = next((part for part in reversed(parts) if not isinstance(part, Reasoning | Refusal)), None)
    if part is not None:
        part.cache = cache


def read_content(members: Members) -> list[Part]:
    """Decode `content`, which is a text, a list of parts, or nothing."""
    value = members.take("content")
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [Text(text=value)]
    path = members.path_of("content")
    if not isinstance(value, list):
        raise wrong_type(path, "one of a string, an array or null", value)
    return [_part(part, f"{path}[{index}]") for index, part in enumerate(value)]


def _part(value: Any, path: str) -> Part:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    part = Members(value, path)
    kind = part.text("type")
    if kind == "text":
        cache = read_cache(part)
        return Text(text=part.text("text"), cache=cache, extras=part.rest())
    if kind in MEDIA_READERS:
        return media_part(kind, part, read_cache(part))
    if kind == "refusal":
        return Refusal(text=part.text("refusal"), extras=part.rest())
    if kind == "thinking":  # Mistral: a text, or a list of text parts
        return Reasoning(text=_joined(part.take("thinking")))
    return Foreign(dialect=DIALECT, kind=kind, raw=value)


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(str(item.get("text") or "") for item in value if isinstance(item, Mapping))
    return value if isinstance(value, str) else ""


def read_cache(members: Members) -> CacheMark | None:
    """Decode a cache breakpoint: `cache_control` (Anthropic, OpenRouter and others) or OpenAI's own member."""
    mark = members.take("cache_control")
    if isinstance(mark, dict):
        ttl = mark.get("ttl")
        return CacheMark(ttl=ttl if isinstance(ttl, str) else "")
    own = members.take("prompt_cache_breakpoint")
    # OpenAI's shortest time is 30 minutes, which is closest to `1h`.
    return CacheMark(ttl="1h") if isinstance(own, dict) else None


def _thought_signature(members: Members) -> str:
    extra = members.take("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""


def _reasoning(members: Members) -> list[Reasoning]:
    """Decode reasoning in any of its formats. The formats with tokens take precedence."""
    plain = _joined(members.take("reasoning_content")) or _joined(members.take("reasoning"))
    parts = reasoning_parts(members.take("reasoning_details")) or reasoning_parts(members.take("thinking_blocks"))
    if parts:
        if plain and not any(part.text or part.summary for part in parts):
            parts.insert(0, Reasoning(text=plain))
        return parts
    return [Reasoning(text=plain)] if plain else []
