"""Reads the streams that clients of legacy completions get, so that they can be continued."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.ir import ChoiceFinished, Event, Stop, StreamFailed, StreamStarted, TextDelta
from intellirouter.dialects.openai.upstream_errors import decode_error_in_stream
from intellirouter.dialects.wire.sse import event_data, split_events


class _Choice(Struct):
    text: str = ""
    index: int = 0
    finish_reason: str | None = None
    logprobs: Any = None


class _Chunk(Struct):
    id: str = ""
    model: str = ""
    created: int = 0
    choices: list[_Choice] = []
    error: Any = None


_decode: Final = msgspec.json.Decoder(_Chunk, strict=False).decode


class CompletionsReader:
    """Implements `protocols.StreamDecoder` for complete events, which is what relays send."""

    buffered_bytes = 0

    def __init__(self) -> None:
        self._has_begun = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        documents = 0
        for event in split_events(data):
            document = event_data(event)
            if document is None or document.strip() == b"[DONE]":
                continue
            try:
                self._read(document, events)
            except errors.UpstreamError as error:
                events.append(StreamFailed(error=error, read_documents=documents))
                break
            documents += 1
        return events

    def _read(self, document: bytes, events: list[Event]) -> None:
        try:
            chunk = _decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.UpstreamMalformed(f"Invalid completion chunk: {describe_json_error(error)}.") from None
        if chunk.error:
            raise decode_error_in_stream(document)
        if not self._has_begun:
            self._has_begun = True
            events.append(StreamStarted(id=chunk.id, model=chunk.model, created_s=chunk.created))
        for choice in chunk.choices:
            if choice.text or choice.logprobs:
                logprobs = [choice.logprobs] if choice.logprobs else None
                events.append(TextDelta(text=choice.text, choice=choice.index, logprobs=logprobs))
            if choice.finish_reason:
                stop = Stop(reason="length" if choice.finish_reason == "length" else "stop", raw=choice.finish_reason)
                events.append(ChoiceFinished(stop=stop, choice=choice.index))

    def end(self) -> list[Event]:
        return []
