"""Reasoning and opaque tokens that clients do not send back with their tool calls.

Many clients keep only the id, the name and the arguments of a tool call. Gemini 3 wants its signature back, Claude the
reasoning before the call, OpenAI its encrypted reasoning. So they are remembered for the tenant by the id of the call,
as the client knows it, and added to a later request for the same endpoint in which they are missing. What the client
sends itself takes precedence.

Clients of Ollama and of old functions send no ids. Their calls are recognized by name, arguments and the texts before
them. So are the texts that Gemini signs.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from intellirouter.core import Deployment, ReasoningMemory
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    Collector,
    Conversation,
    Event,
    Message,
    Opaque,
    Part,
    PartEnded,
    Reasoning,
    StreamEnded,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    UsageUpdate,
    origin_of,
)

_INVALID_ID_CHARS: Final = re.compile(r"[^a-zA-Z0-9_-]")
"""Anthropic's clients get underscores instead."""
_MAX_RESTORED_CHARS: Final = 16 * 1024 * 1024
"""For one request. A history that repeats a call would otherwise become as large as its client likes."""
_POSITION_ID: Final = re.compile(r"call_\d+(_\d+|_function)?")
"""The ids that decoders give to calls without one, by position."""
_IGNORED_EVENTS: Final = frozenset({StreamStarted, PartEnded, UsageUpdate, StreamEnded})
_encode: Final = msgspec.msgpack.Encoder().encode
_sorted_json: Final = msgspec.json.Encoder(order="sorted").encode


class RememberedCall(Struct, frozen=True, array_like=True, omit_defaults=True):
    """What an answer carried for one tool call, or for its text."""

    origin: str
    """The endpoint of the answer; see `origin_of`."""
    dialect: str
    """The dialect of the endpoint."""
    name: str
    """The name of the tool; empty for a text."""
    token: Opaque | None = None
    """The token of the call or the text itself."""
    first: tuple[Reasoning, ...] = ()
    """The reasoning at the start of the answer, if this is its first call."""
    before: tuple[Reasoning, ...] = ()
    """The reasoning directly before the call, after another part."""


_decode: Final = msgspec.msgpack.Decoder(RememberedCall).decode


class Issuer(Struct, frozen=True):
    """An endpoint that issues tokens and wants them back."""

    origin: str
    dialect: str
    wants_text_back: bool
    """It wants its reasoning back even if it is not signed."""

    def has_issued(self, token: Opaque | None) -> bool:
        return token is not None and (
            token.origin == self.origin or (not token.origin and token.dialect == self.dialect)
        )

    @property
    def signs_texts(self) -> bool:
        return self.dialect == "gemini"


def issuer_of(deployment: Deployment, dialect: str) -> Issuer:
    return Issuer(origin_of(deployment), dialect, deployment.profile.wants_reasoning_back)


def remembered_calls(parts: Iterable[Part], issuer: Issuer) -> list[tuple[ToolCall, RememberedCall]]:
    """Return what to remember of an answer: the calls that have a token, or reasoning before them."""
    found: list[tuple[ToolCall, RememberedCall]] = []
    first: list[Reasoning] = []
    before: list[Reasoning] = []
    is_start, is_first_call = True, True
    for part in parts:
        if isinstance(part, Reasoning):
            if part.token is not None or (issuer.wants_text_back and part.text):
                (first if is_start else before).append(part)
            continue
        is_start = False
        if not isinstance(part, ToolCall):
            continue
        leading = tuple(first) if is_first_call else ()
        if part.token is not None or leading or before:
            entry = RememberedCall(issuer.origin, issuer.dialect, part.name, part.token, leading, tuple(before))
            found.append((part, entry))
        before, is_first_call = [], False
    return found


def remember(
    memory: ReasoningMemory, parts: Sequence[Part], conversation: Conversation, issuer: Issuer, *, has_ids: bool
) -> None:
    """Remember what the parts of an answer to the conversation carry."""
    calls = remembered_calls(parts, issuer)
    text, token = _signed_text(parts) if issuer.signs_texts else ("", None)
    needs_place = bool(text) or (bool(calls) and not has_ids)
    place = _Places(conversation.messages).before(len(conversation.messages)) if needs_place else b""
    for call, entry in calls:
        value = _encode(entry)
        memory.put(_key_of_id(call.id), value)
        if not has_ids:
            memory.put(_key_of_place(call, place), value)
    if text:
        memory.put(_key_of_text(text, place), _encode(RememberedCall(issuer.origin, issuer.dialect, "", token)))


def _signed_text(parts: Sequence[Part]) -> tuple[str, Opaque | None]:
    """Return the whole text of an answer and its last token. The text is empty if it has none."""
    texts = [part for part in parts if isinstance(part, Text)]
    token = next((part.token for part in reversed(texts) if part.token is not None), None)
    return ("".join([part.text for part in texts]) if token is not None else ""), token


def with_remembered(conversation: Conversation, memory: ReasoningMemory, issuer: Issuer) -> Conversation:
    """Return the conversation with what is remembered of its calls and missing in it, for this endpoint."""
    messages = conversation.messages
    places = _Places(messages)
    changed: dict[int, Message] = {}
    left_chars = _MAX_RESTORED_CHARS
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        parts = message.parts
        calls = [part for part in parts if isinstance(part, ToolCall)]
        if calls and not _is_complete(parts, calls, issuer):
            recalled = {call.id: _recall(memory, call, index, places, issuer) for call in calls}
            if entries := {call_id: entry for call_id, entry in recalled.items() if entry is not None}:
                parts = _completed(parts, entries, issuer)
        if issuer.signs_texts:
            parts = _with_signed_text(parts, memory, index, places, issuer)
        if parts is not message.parts and (added := _chars(parts) - _chars(message.parts)) <= left_chars:
            left_chars -= added
            changed[index] = structs.replace(message, parts=parts)
    if not changed:
        return conversation
    return structs.replace(conversation, messages=[changed.get(index, each) for index, each in enumerate(messages)])


def _chars(parts: Sequence[Part]) -> int:
    """Return the size of the reasoning and of all tokens."""
    size = 0
    for part in parts:
        if isinstance(part, Reasoning | Text | ToolCall):
            size += 0 if part.token is None else len(part.token.value)
            size += len(part.text) if isinstance(part, Reasoning) else 0
    return size


def _is_complete(parts: Sequence[Part], calls: Sequence[ToolCall], issuer: Issuer) -> bool:
    """Return whether the client has sent back both tokens of calls and reasoning."""
    return _has_reasoning(parts, issuer) and all(issuer.has_issued(call.token) for call in calls)


def _has_reasoning(parts: Sequence[Part], issuer: Issuer) -> bool:
    return any(isinstance(part, Reasoning) and issuer.has_issued(part.token) for part in parts)


def _recall(
    memory: ReasoningMemory, call: ToolCall, index: int, places: "_Places", issuer: Issuer
) -> RememberedCall | None:
    value = None
    if _POSITION_ID.fullmatch(call.id):
        value = memory.get(_key_of_place(call, places.before(index)))
    return _read(value or memory.get(_key_of_id(call.id)), call.name, issuer)


def _read(value: bytes | None, name: str, issuer: Issuer) -> RememberedCall | None:
    """Return the entry if it belongs to a call of this name and to this endpoint."""
    entry = None if value is None else _decode(value)
    if entry is None or (entry.name, entry.origin, entry.dialect) != (name, issuer.origin, issuer.dialect):
        return None
    return entry


def _with_signed_text(
    parts: list[Part], memory: ReasoningMemory, index: int, places: "_Places", issuer: Issuer
) -> list[Part]:
    """Return the parts with the token of their text, which gets a part of its own, as in Gemini's streams."""
    texts = [part for part in parts if isinstance(part, Text)]
    text = "".join([part.text for part in texts])
    if not text or any(part.token is not None for part in texts):
        return parts
    entry = _read(memory.get(_key_of_text(text, places.before(index))), "", issuer)
    if entry is None:
        return parts
    after = next(index for index in range(len(parts), 0, -1) if isinstance(parts[index - 1], Text))
    return [*parts[:after], Text(text="", token=entry.token), *parts[after:]]


def _completed(parts: Sequence[Part], entries: dict[str, RememberedCall], issuer: Issuer) -> list[Part]:
    """Return the parts with what is missing. Remembered reasoning replaces the same reasoning without its token."""
    is_missing = not _has_reasoning(parts, issuer) and any(entry.first or entry.before for entry in entries.values())
    completed: list[Part] = []
    if is_missing:
        completed += [part for entry in entries.values() for part in entry.first]
    for part in parts:
        if isinstance(part, Reasoning) and part.token is None and is_missing:
            continue
        entry = entries.get(part.id) if isinstance(part, ToolCall) else None
        if entry is None or not isinstance(part, ToolCall):
            completed.append(part)
            continue
        if is_missing:
            completed += entry.before
        is_signed = entry.token is None or issuer.has_issued(part.token)
        completed.append(part if is_signed else structs.replace(part, token=entry.token))
    return completed


def _key_of_id(call_id: str) -> str:
    return "id:" + _INVALID_ID_CHARS.sub("_", call_id)


def _key_of_place(call: ToolCall, place: bytes) -> str:
    arguments = call.arguments_object()
    text = call.arguments.encode() if arguments is None else _sorted_json(arguments)
    return "at:" + hashlib.blake2b(b"\0".join((place, call.name.encode(), text)), digest_size=16).hexdigest()


def _key_of_text(text: str, place: bytes) -> str:
    return "text:" + hashlib.blake2b(place + text.encode(), digest_size=16).hexdigest()


class _Places:
    """Digests of the texts of users and tools before a message. Ask for increasing indexes."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._next = 0
        self._hash: Any = None

    def before(self, index: int) -> bytes:
        """Return the digest of the texts before the message at `index`."""
        self._hash = self._hash or hashlib.blake2b(digest_size=16)
        for message in self._messages[self._next : index]:
            if message.role in {"user", "tool"}:
                self._hash.update(message.role.encode() + b"\0" + "\0".join(_texts_of(message)).encode())
        self._next = max(self._next, index)
        digest: bytes = self._hash.digest()
        return digest


def _texts_of(message: Message) -> list[str]:
    return [
        part.text if isinstance(part, Text) else part.text()
        for part in message.parts
        if isinstance(part, Text | ToolResult)
    ]


class AnswerWatcher:
    """Remembers what the events of a stream carry, as soon as a choice has finished."""

    def __init__(self, memory: ReasoningMemory, conversation: Conversation, issuer: Issuer, *, has_ids: bool) -> None:
        self._memory = memory
        self._conversation = conversation
        self._issuer = issuer
        self._has_ids = has_ids
        self._collector = Collector()
        self._ignored = _IGNORED_EVENTS | {ArgumentsDelta} if has_ids else _IGNORED_EVENTS
        self._texts: set[tuple[int, int]] = set()
        """The choice and part of texts. Only their first event is collected, unless the endpoint signs texts."""

    def watch(self, events: Iterable[Event]) -> None:
        for event in events:
            kind = event.__class__
            if kind is TextDelta:
                self._watch_text(event)
            elif kind not in self._ignored:
                self._collector.add(event)
                if kind is ChoiceFinished:
                    self._finish(event)

    def _watch_text(self, event: Any) -> None:
        key = (event.choice, event.part)
        if self._issuer.signs_texts:
            self._collector.add(TextDelta(text=event.text, choice=event.choice, part=event.part, token=event.token))
        elif key not in self._texts:
            self._texts.add(key)
            self._collector.add(TextDelta(text="", choice=event.choice, part=event.part))

    def _finish(self, event: Any) -> None:
        choices = self._collector.response().choices
        parts: Sequence[Part] = next((choice.parts for choice in choices if choice.stop is event.stop), ())
        remember(self._memory, parts, self._conversation, self._issuer, has_ids=self._has_ids)
