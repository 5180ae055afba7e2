"""From a chat completion, whole or in chunks, to the intermediate form.

Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Deployment, Usage, errors
from intellirouter.dialects.ir import Event, Response, StreamEnded, StreamStarted, UsageUpdate, collect
from intellirouter.dialects.openai.errors import decode_error_in_200, decode_error_in_stream
from intellirouter.dialects.openai.usage import NOT_REPORTED, decode_usage
from intellirouter.dialects.openai_chat.reasoning import DIALECT
from intellirouter.dialects.openai_chat.upstream_deltas import ChoiceReader
from intellirouter.dialects.wire.sse import EventReader, check_utf8

_DONE: Final = b"[DONE]"
_MAX_CHOICES: Final = 128
_MAX_CREATED_S: Final = 2**53


class _Answer(Struct):
    """An answer or a chunk of one. Nothing but JSON is relied on."""

    id: Any = None
    model: Any = None
    created: Any = None
    choices: Any = None
    usage: msgspec.Raw = NOT_REPORTED
    service_tier: Any = None
    system_fingerprint: Any = None
    error: Any = None
    object: Any = None
    x_groq: Any = None


_decode: Final = msgspec.json.Decoder(_Answer).decode


def _read(data: bytes) -> _Answer:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(f"The upstream's answer is no chat completion: {error}") from None


def _choices(answer: _Answer) -> list[dict[str, Any]]:
    choices = answer.choices or []
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise errors.UpstreamMalformed("The upstream's answer is no chat completion: `choices` is no list of objects.")
    return choices


def _index(choice: dict[str, Any], fallback: int) -> int:
    index = choice.get("index")
    if isinstance(index, bool) or not isinstance(index, int):
        return fallback
    if not 0 <= index < _MAX_CHOICES:
        raise errors.UpstreamMalformed(f"The upstream's answer has a choice of number {index}.")
    return index


def _began(answer: _Answer) -> StreamStarted:
    created = answer.created
    is_time = isinstance(created, int | float) and not isinstance(created, bool) and 0 < created < _MAX_CREATED_S
    return StreamStarted(
        id=_text(answer.id),
        model=_text(answer.model),
        created_s=int(created) if is_time else 0,
        service_tier=_text(answer.service_tier),
        system_fingerprint=_text(answer.system_fingerprint),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _usage(answer: _Answer, choices: list[dict[str, Any]]) -> Usage | None:
    """Return the usage, from where this vendor puts it."""
    usage = decode_usage(answer.usage)
    if usage is None and isinstance(answer.x_groq, dict) and answer.x_groq.get("usage"):
        usage = decode_usage(msgspec.Raw(msgspec.json.encode(answer.x_groq["usage"])))
    if usage is None:
        for choice in choices:
            if said := choice.get("usage"):
                return decode_usage(msgspec.Raw(msgspec.json.encode(said)))
    return usage


def read_answer(body: bytes, deployment: Deployment) -> Response:
    """Read a 200 body. Raises `UpstreamMalformed`, or the error that it holds."""
    check_utf8(body)
    answer = _read(body)
    if answer.error or answer.object == "error":
        raise decode_error_in_200(body)
    choices = _choices(answer)
    if not choices:
        raise errors.UpstreamMalformed("The upstream's answer has no `choices`.")
    events: list[Event] = [_began(answer)]
    readers: dict[int, ChoiceReader] = {}
    for place, choice in enumerate(choices):
        index = _index(choice, place)
        if index in readers:
            index = max(readers) + 1
        reader = readers[index] = ChoiceReader(index, deployment)
        events += reader.read(choice)
        events += reader.finished()
    if (usage := _usage(answer, choices)) is not None:
        events.append(UsageUpdate(usage=usage))
    return collect(events, DIALECT)


class ChatStreamDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._events = EventReader()
        self._choices: dict[int, ChoiceReader] = {}
        self._has_begun = False
        self._usage: Usage | None = None
        self._is_over = False

    def feed(self, data: bytes) -> list[Event]:
        return self._take(self._events.feed(data))

    def _take(self, datas: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for data in datas:
            if self._is_over:
                break
            if data.startswith(b"{"):
                self._chunk(data, events)
            elif (said := data.strip()) == _DONE:
                self._finish(events)
            elif said:
                self._chunk(data, events)
        return events

    def _chunk(self, data: bytes, events: list[Event]) -> None:
        chunk = _read(data)
        if chunk.error or chunk.object == "error":
            raise decode_error_in_stream(data)
        choices = _choices(chunk)
        if choices and not self._has_begun:
            self._has_begun = True
            events.append(_began(chunk))
        for choice in choices:
            index = _index(choice, 0)
            reader = self._choices.get(index)
            if reader is None:
                reader = self._choices[index] = ChoiceReader(index, self._deployment)
            events += reader.read(choice)
        usage = _usage(chunk, choices)
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageUpdate(usage=usage))

    def _finish(self, events: list[Event]) -> None:
        """End the choices only now: some vendors say a finish with every chunk."""
        if not self._choices:
            raise errors.UpstreamMalformed("The upstream's stream ended without an answer.")
        for index in sorted(self._choices):
            events += self._choices[index].finished()
        events.append(StreamEnded())
        self._is_over = True

    def end(self) -> list[Event]:
        events = self._take(self._events.end())
        if not self._is_over:
            # Not every vendor says `[DONE]`; without a finish, though, the answer was cut off.
            if not self._choices or not all(choice.finish for choice in self._choices.values()):
                raise errors.UpstreamMalformed("The upstream's stream ended without a finish.")
            self._finish(events)
        return events
