"""Streams without I/O: bytes in, deltas out, and the whole answer at the end."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.client import errors
from intellirouter.client.replies import ChatReply, Delta, Route, TokenUsage, ToolCall, ToolCallDelta, text_of, usage
from intellirouter.core import ExchangeRecord
from intellirouter.dialects import SseParser

_DONE: Final = "[DONE]"


class _ToolCallParts(Struct):
    id: str = ""
    name: str = ""
    arguments: str = ""


class ChatDecoder:
    """Reads one chat stream. Feed it bytes; call `end` when there are no more."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.is_done = False
        """The stream said that it is complete."""
        self._parser = SseParser()
        self._text: list[str] = []
        self._calls: dict[int, _ToolCallParts] = {}
        self._finish_reason: str | None = None
        self._usage: TokenUsage | None = None
        self._last: dict[str, Any] = {}

    def feed(self, data: bytes) -> list[Delta | errors.IntelliRouterError]:
        """Return what the bytes complete. An error is the last thing of a stream, after the deltas before it."""
        found: list[Delta | errors.IntelliRouterError] = []
        for event in self._parser.feed(data):
            if self.is_done:
                break
            if event.data == _DONE:
                self.is_done = True
                continue
            piece = self._piece(event.data)
            found.append(piece)
            if isinstance(piece, errors.IntelliRouterError):
                self.is_done = True
        return found

    def end(self) -> None:
        """Raise `UpstreamError` if the stream stopped before it was complete."""
        if not self.is_done and self._finish_reason is None:
            raise errors.UpstreamError(
                "the stream broke off before the answer was complete",
                status=200,
                envelope={"code": "stream_truncated"},
                request_id=self.route.request_id,
            )

    def reply(self) -> ChatReply:
        """Return what has arrived so far as one answer; `raw` is the last chunk."""
        return ChatReply(
            text="".join(self._text),
            tool_calls=tuple(
                ToolCall(id=part.id, name=part.name, arguments=part.arguments)
                for _, part in sorted(self._calls.items())
            ),
            usage=self._usage,
            finish_reason=self._finish_reason,
            request_id=self.route.request_id,
            deployment=self.route.deployment,
            cost_usd=self.route.cost_usd,
            raw=self._last,
        )

    def _piece(self, data: str) -> Delta | errors.IntelliRouterError:
        try:
            document = msgspec.json.decode(data)
        except msgspec.DecodeError:
            document = None
        if not isinstance(document, dict):
            return errors.from_event("a stream event is not a JSON object", self.route.request_id)
        if document.get("error"):
            return errors.from_event(document["error"], self.route.request_id)
        delta = _delta(document)
        self._keep(delta)
        return delta

    def _keep(self, delta: Delta) -> None:
        self._last = delta.raw
        self._text.append(delta.text)
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._usage = delta.usage or self._usage
        for piece in delta.tool_calls:
            call = self._calls.setdefault(piece.index, _ToolCallParts())
            call.id = piece.id or call.id
            call.name = piece.name or call.name
            call.arguments += piece.arguments


def _delta(document: dict[str, Any]) -> Delta:
    choices = document.get("choices") or [{}]
    choice = choices[0]
    content = choice.get("delta") or {}
    return Delta(
        text=text_of(content.get("content")),
        tool_calls=tuple(_tool_piece(call) for call in content.get("tool_calls") or ()),
        finish_reason=choice.get("finish_reason"),
        usage=usage(document.get("usage")),
        raw=document,
    )


def _tool_piece(call: dict[str, Any]) -> ToolCallDelta:
    function = call.get("function") or {}
    return ToolCallDelta(
        index=call.get("index", 0),
        id=call.get("id"),
        name=function.get("name"),
        arguments=function.get("arguments") or "",
    )


class RecordDecoder:
    """Reads the feed of finished exchanges."""

    def __init__(self) -> None:
        self._parser = SseParser()

    def feed(self, data: bytes) -> list[ExchangeRecord]:
        """Return the records that the bytes complete. Raises `IntelliRouterError` for an event that is none."""
        return [self._record(event.data) for event in self._parser.feed(data)]

    def _record(self, data: str) -> ExchangeRecord:
        try:
            return msgspec.json.decode(data, type=ExchangeRecord)
        except msgspec.DecodeError as error:
            raise errors.from_event(f"the feed sent something that is no record: {error}", None) from error
