"""Decoding of streams of chat completion chunks. Source: OpenAI API reference, "The chat completion chunk object"."""

from typing import Final

from intellirouter.core import Deployment, Usage, errors
from intellirouter.dialects.ir import Event, StreamEnded, StreamFailed, UsageUpdate
from intellirouter.dialects.openai.upstream_errors import decode_error_in_stream, error_without_answer
from intellirouter.dialects.openai_chat.upstream_deltas import ChoiceReader
from intellirouter.dialects.openai_chat.upstream_response import (
    choice_index,
    choices_of,
    raise_choice_error,
    read_completion,
    stream_start,
    usage_of,
)
from intellirouter.dialects.wire.sse import EventReader

_DONE: Final = b"[DONE]"


class ChatStreamDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._events = EventReader()
        self._choices: dict[int, ChoiceReader] = {}
        self._has_started = False
        self._usage: Usage | None = None
        self._has_ended = False

    @property
    def buffered_bytes(self) -> int:
        return self._events.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        return self._read(self._events.feed(data))

    def _read(self, event_data: list[bytes]) -> list[Event]:
        events: list[Event] = []
        count = 0
        try:
            for data in event_data:
                if self._has_ended:
                    return events
                if data.startswith(b"{"):
                    self._chunk(data, events)
                elif (stripped := data.strip()) == _DONE:
                    self._finish(events)
                elif stripped:
                    self._chunk(data, events)
                count += 1
            if self._events.has_failed and not self._has_ended:
                self._events.check(decode_error_in_stream)
        except errors.UpstreamError as error:
            events.append(StreamFailed(error=error, read_documents=count))
        return events

    def _chunk(self, data: bytes, events: list[Event]) -> None:
        chunk = read_completion(data)
        if chunk.error or chunk.object == "error":
            raise decode_error_in_stream(data)
        choices = choices_of(chunk)
        if chunk.choices is None and not chunk.usage and (error := error_without_answer(data)) is not None:
            raise error
        if choices and not self._has_started:
            self._has_started = True
            events.append(stream_start(chunk))
        for choice in choices:
            if "error" in choice:
                raise_choice_error(choices)
            index = choice_index(choice, 0)
            reader = self._choices.get(index)
            if reader is None:
                reader = self._choices[index] = ChoiceReader(index, self._deployment)
            events += reader.read(choice)
        usage = usage_of(chunk, choices)
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageUpdate(usage=usage))

    def _finish(self, events: list[Event]) -> None:
        """Finish the choices at the end of the stream, because some vendors send a finish reason with every chunk."""
        if all(choice.is_empty for choice in self._choices.values()):
            raise errors.UpstreamMalformed("The upstream's stream ended without an answer.")
        for index in sorted(self._choices):
            events += self._choices[index].end_events()
        events.append(StreamEnded())
        self._has_ended = True

    def end(self) -> list[Event]:
        events = self._read(self._events.end())
        if self._has_ended or (events and isinstance(events[-1], StreamFailed)):
            return events
        # Some vendors do not send `[DONE]`. Without a finish reason, the stream was cut off.
        if not self._choices or not all(choice.finish for choice in self._choices.values()):
            message = "The upstream's stream was cut off: it ended without a finish reason."
            return [*events, StreamFailed(error=errors.UpstreamMalformed(message))]
        try:
            self._finish(events)
        except errors.UpstreamMalformed as error:
            events.append(StreamFailed(error=error))
        return events
