"""Decoding of chat completions, complete or in chunks.

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
from intellirouter.dialects.openai_chat.upstream_deltas import ChoiceReader, malformed
from intellirouter.dialects.wire.sse import EventReader, check_utf8

_DONE: Final = b"[DONE]"
_MAX_CHOICES: Final = 128
_MAX_CREATED_S: Final = 2**53


class _Completion(Struct):
    """A chat completion or a chunk of one. The types of its members are checked later, because vendors deviate."""

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


_decode: Final = msgspec.json.Decoder(_Completion).decode


def _read(data: bytes) -> _Completion:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(f"The upstream returned an invalid chat completion: {error}.") from None


def _choices(completion: _Completion) -> list[dict[str, Any]]:
    choices = completion.choices or []
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise malformed("`choices` is not a list of objects")
    return choices


def _index(choice: dict[str, Any], fallback: int) -> int:
    index = choice.get("index")
    if isinstance(index, bool) or not isinstance(index, int):
        return fallback
    if not 0 <= index < _MAX_CHOICES:
        raise malformed(f"the index {index} of a choice is out of range")
    return index


def _start(completion: _Completion) -> StreamStarted:
    created = completion.created
    is_time = isinstance(created, int | float) and not isinstance(created, bool) and 0 < created < _MAX_CREATED_S
    return StreamStarted(
        id=_text(completion.id),
        model=_text(completion.model),
        created_s=int(created) if is_time else 0,
        service_tier=_text(completion.service_tier),
        system_fingerprint=_text(completion.system_fingerprint),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _usage(completion: _Completion, choices: list[dict[str, Any]]) -> Usage | None:
    """Return the usage, which some vendors put into `x_groq` or into a choice."""
    usage = decode_usage(completion.usage)
    if usage is None and isinstance(completion.x_groq, dict) and completion.x_groq.get("usage"):
        usage = decode_usage(msgspec.Raw(msgspec.json.encode(completion.x_groq["usage"])))
    if usage is None:
        for choice in choices:
            if choice_usage := choice.get("usage"):
                return decode_usage(msgspec.Raw(msgspec.json.encode(choice_usage)))
    return usage


def decode_response(body: bytes, deployment: Deployment) -> Response:
    """Decode the body of a 200 response. Raises `UpstreamMalformed`, or the error that the body reports."""
    check_utf8(body)
    completion = _read(body)
    if completion.error or completion.object == "error":
        raise decode_error_in_200(body)
    choices = _choices(completion)
    if not choices:
        raise errors.UpstreamMalformed("The upstream returned a chat completion without `choices`.")
    events: list[Event] = [_start(completion)]
    readers: dict[int, ChoiceReader] = {}
    for position, choice in enumerate(choices):
        index = _index(choice, position)
        if index in readers:
            index = max(readers) + 1
        reader = readers[index] = ChoiceReader(index, deployment)
        events += reader.read(choice)
        events += reader.end_events()
    if (usage := _usage(completion, choices)) is not None:
        events.append(UsageUpdate(usage=usage))
    return collect(events, DIALECT)


class ChatStreamDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._events = EventReader()
        self._choices: dict[int, ChoiceReader] = {}
        self._has_started = False
        self._usage: Usage | None = None
        self._has_ended = False

    def feed(self, data: bytes) -> list[Event]:
        return self._read(self._events.feed(data))

    def _read(self, event_data: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for data in event_data:
            if self._has_ended:
                break
            if data.startswith(b"{"):
                self._chunk(data, events)
            elif (stripped := data.strip()) == _DONE:
                self._finish(events)
            elif stripped:
                self._chunk(data, events)
        return events

    def _chunk(self, data: bytes, events: list[Event]) -> None:
        chunk = _read(data)
        if chunk.error or chunk.object == "error":
            raise decode_error_in_stream(data)
        choices = _choices(chunk)
        if choices and not self._has_started:
            self._has_started = True
            events.append(_start(chunk))
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
        """Finish the choices at the end of the stream, because some vendors send a finish reason with every chunk."""
        if not self._choices:
            raise errors.UpstreamMalformed("The upstream's stream ended without `choices`.")
        for index in sorted(self._choices):
            events += self._choices[index].end_events()
        events.append(StreamEnded())
        self._has_ended = True

    def end(self) -> list[Event]:
        events = self._read(self._events.end())
        if not self._has_ended:
            # Some vendors do not send `[DONE]`. Without a finish reason, the stream was cut off.
            if not self._choices or not all(choice.finish for choice in self._choices.values()):
                raise errors.UpstreamMalformed("The upstream's stream was cut off: it ended without a finish reason.")
            self._finish(events)
        return events
