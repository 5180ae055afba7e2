"""Stream decoders without I/O: bytes in, chunks of an answer or records out."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.client.errors import IntelliRouterError, UpstreamError, error_from_event
from intellirouter.client.replies import (
    ChatReply,
    Delta,
    Route,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
    content_text,
    describe_invalid_fields,
    parse_usage,
)
from intellirouter.core import ExchangeRecord
from intellirouter.dialects import SseParser

_DONE: Final = "[DONE]"


class _ToolCallParts(Struct):
    id: str = ""
    name: str = ""
    arguments: str = ""


class ChatStreamDecoder:
    """Decodes one chat stream. Pass all bytes to `feed`, then call `finish`."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.is_done = False
        """Whether the last event was received: `[DONE]` or an error."""
        self._parser = SseParser()
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _ToolCallParts] = {}
        self._finish_reason: str | None = None
        self._usage: TokenUsage | None = None
        self._last_chunk: dict[str, Any] = {}

    def feed(self, data: bytes) -> list[Delta | IntelliRouterError]:
        """Return the chunks that the bytes complete. An error event ends the stream and is the last item."""
        found: list[Delta | IntelliRouterError] = []
        for event in self._parser.feed(data):
            if self.is_done:
                break
            if event.data == _DONE:
                self.is_done = True
                continue
            decoded = self._decode(event.data)
            found.append(decoded)
            if isinstance(decoded, IntelliRouterError):
                self.is_done = True
        return found

    def finish(self) -> None:
        """Raise `UpstreamError` if the stream ended before the answer was complete."""
        if not self.is_done and self._finish_reason is None:
            raise UpstreamError(
                "The stream ended before the answer was complete.",
                status=200,
                envelope={"code": "stream_truncated"},
                request_id=self.route.request_id,
            )

    def reply(self) -> ChatReply:
        """Return what was received so far as one answer; `raw` is the last chunk."""
        return ChatReply(
            text="".join(self._text),
            refusal="".join(self._refusal) or None,
            tool_calls=tuple(
                ToolCall(id=part.id, name=part.name, arguments=part.arguments)
                for _, part in sorted(self._calls.items())
            ),
            usage=self._usage,
            finish_reason=self._finish_reason,
            request_id=self.route.request_id,
            deployment=self.route.deployment,
            degraded=self.route.degraded,
            cost_usd=self.route.cost_usd,
            raw=self._last_chunk,
        )

    def _decode(self, data: str) -> Delta | IntelliRouterError:
        try:
            document = msgspec.json.decode(data)
        except msgspec.DecodeError:
            document = None
        if not isinstance(document, dict):
            return error_from_event("The gateway sent a stream event that is not a JSON object.", self.route.request_id)
        if document.get("error"):
            return error_from_event(document["error"], self.route.request_id)
        delta = _delta(document)
        self._add(delta)
        return delta

    def _add(self, delta: Delta) -> None:
        self._last_chunk = delta.raw
        self._text.append(delta.text)
        self._refusal.append(delta.refusal or "")
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._usage = delta.usage or self._usage
        for part in delta.tool_calls:
            call = self._calls.setdefault(part.index, _ToolCallParts())
            call.id = part.id or call.id
            call.name = part.name or call.name
            call.arguments += part.arguments


def _delta(document: dict[str, Any]) -> Delta:
    choices = document.get("choices") or [{}]
    choice = choices[0]
    content = choice.get("delta") or {}
    return Delta(
        text=content_text(content.get("content")),
        refusal=content.get("refusal"),
        tool_calls=tuple(_tool_call_delta(call) for call in content.get("tool_calls") or ()),
        finish_reason=choice.get("finish_reason"),
        usage=parse_usage(document.get("usage")),
        raw=document,
    )


def _tool_call_delta(call: dict[str, Any]) -> ToolCallDelta:
    function = call.get("function") or {}
    return ToolCallDelta(
        index=call.get("index", 0),
        id=call.get("id"),
        name=function.get("name"),
        arguments=function.get("arguments") or "",
    )


class RecordStreamDecoder:
    """Decodes the stream of finished requests."""

    def __init__(self) -> None:
        self._parser = SseParser()

    def feed(self, data: bytes) -> list[ExchangeRecord]:
        """Return the records that the bytes complete. Raises `IntelliRouterError` for an invalid event."""
        return [self._record(event.data) for event in self._parser.feed(data)]

    def _record(self, data: str) -> ExchangeRecord:
        try:
            return msgspec.json.decode(data, type=ExchangeRecord)
        except msgspec.ValidationError as error:
            message = f"The gateway sent an invalid request record: {describe_invalid_fields(error)}."
            raise error_from_event(message, None) from error
        except msgspec.DecodeError as error:
            raise error_from_event("The gateway sent a request record that is not valid JSON.", None) from error
