"""Writes a client's stream: one `message_start`, blocks that never interleave, `message_delta`, `message_stop`.

Upstreams may interleave parts (parallel tool calls do); here a block is closed before the next one begins. While the
arguments of an open call are incomplete JSON, what belongs to other parts waits (`_held`); everything else moves on at
once. A part that goes on after its block was closed gets another block. See `answer_out` for how parts are said.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import structs

from intellirouter.core import Call, LossReport, Usage, errors, estimate_input_tokens, estimate_tokens, new_id
from intellirouter.dialects.anthropic_messages.client_errors import ERRORS
from intellirouter.dialects.anthropic_messages.client_response import (
    INPUT,
    citation_out,
    clean_id,
    foreign_of,
    note_stop,
    refusal_details,
    signature_of,
)
from intellirouter.dialects.anthropic_messages.stop_reasons import usage_out, word_for
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    Foreign,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    Stop,
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.wire.json_progress import JsonProgress

_START: Final = b"event: content_block_start\ndata: "
_DELTA: Final = b"event: content_block_delta\ndata: "
_TEXT: Final = _DELTA + b'{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%b}}\n\n'
"""Nearly all there is in a stream."""
_STOP: Final = b"event: content_block_stop\ndata: "
_encode: Final = msgspec.json.Encoder().encode


class _Block:
    """The block that is open."""

    __slots__ = ("custom", "index", "kind", "part", "progress", "summary_index", "token")

    def __init__(self, kind: str, part: int, index: int) -> None:
        self.kind = kind
        """`text`, `thinking`, `tool_use`."""
        self.part = part
        self.index = index
        self.progress: JsonProgress | None = None
        self.custom: list[str] | None = None
        """The free text of a call without JSON arguments, said at once at its end."""
        self.summary_index = 0
        self.token: str | None = None


class MessageStream:
    """Implements `protocols.StreamEncoder`."""

    def __init__(self, call: Call, losses: LossReport) -> None:
        self._call = call
        self._losses = losses
        self._out: list[bytes] = []
        self._block: _Block | None = None
        self._held: dict[int, list[Any]] = {}
        """By part, in the order in which they began to wait. Not empty only while an unfinished call is open."""
        self._blocks = 0
        self._content_bytes = 0
        self._done: set[int] = set()
        """Tool calls whose block was closed: what still comes for them is noise."""
        self._has_begun = False
        self._has_refusal = False
        self._stop: Stop | None = None
        self._began: Usage | None = None
        self._usage: Usage | None = None
        self._handlers: dict[type, Any] = {
            TextDelta: self._text,
            RefusalDelta: self._refusal,
            CitationDelta: self._citation,
            ReasoningDelta: self._reasoning,
            ReasoningToken: self._signature,
            ToolCallStarted: self._tool_call,
            ArgumentsDelta: self._arguments,
            WholePart: self._whole,
        }

    def encode(self, events: Sequence[Event]) -> bytes:
        if events and not self._has_begun:
            self._begin(events)
        for event in events:
            if event.__class__ is TextDelta:
                self._take(event)
            elif isinstance(event, UsageUpdate):
                self._usage = event.usage
            elif isinstance(event, ChoiceFinished):
                self._finish(event)
            elif not isinstance(event, StreamStarted):
                self._take(event)
        return self._taken()

    def end(self) -> bytes:
        if not self._has_begun:
            self._begin(())
        self._release()
        delta: dict[str, Any] = {
            "stop_reason": word_for(self._stop, has_refusal=self._has_refusal),
            "stop_sequence": None if self._stop is None else self._stop.sequence,
        }
        if details := refusal_details(self._stop):
            delta["stop_details"] = details
        usage = self._usage or self._counted()
        said = _encode({"type": "message_delta", "delta": delta, "usage": usage_out(usage)})
        self._out.append(b"event: message_delta\ndata: " + said + b"\n\n")
        self._out.append(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        return self._taken()

    def fail(self, error: errors.GatewayError) -> bytes:
        return ERRORS.encode_event(error)

    def _taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out

    def _begin(self, events: Sequence[Event]) -> None:
        """Say the prompt's tokens at once, an estimate where the upstream counts last: agents compact by them."""
        self._has_begun = True
        began = next((event for event in events if isinstance(event, StreamStarted)), None) or StreamStarted()
        counted = next((event.usage for event in events if isinstance(event, UsageUpdate)), None)
        self._began = began.usage
        known = began.usage or counted
        usage = usage_out(known if known is not None and known.total_input_tokens else self._estimate())
        usage["output_tokens"] = min(usage["output_tokens"], 1)  # the count so far; the last event has the whole
        usage.pop("output_tokens_details", None)
        message: dict[str, Any] = {
            "id": began.id or new_id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": self._call.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        said = _encode({"type": "message_start", "message": message})
        self._out.append(b"event: message_start\ndata: " + said + b"\n\n")

    def _counted(self) -> Usage:
        """Return the usage of an upstream that never counted its answer."""
        counted = self._estimate()
        return counted if self._began is None else structs.replace(self._began, output_tokens=counted.output_tokens)

    def _estimate(self) -> Usage:
        return Usage(
            input_tokens=estimate_input_tokens(self._call.body),
            output_tokens=estimate_tokens(self._content_bytes),
            is_estimated=True,
        )

    def _finish(self, event: ChoiceFinished) -> None:
        if event.choice == 0:
            self._release()
            self._stop = event.stop
            note_stop(event.stop, self._losses)

    def _release(self) -> None:
        """The choice is over: what waits is said, part by part."""
        self._close()
        while self._held:
            self._say_next()
            self._close()

    def _take(self, event: Any) -> None:
        """Say one event of the first choice, now or when its part's turn comes."""
        if event.choice != 0:
            self._losses.add("n", "dropped", "only the first answer can be told")
            return
        block = self._block
        if block is not None and block.part != event.part and _is_unfinished(block):
            self._held.setdefault(event.part, []).append(event)
            return
        self._say(event)
        while self._held and not _is_unfinished(self._block):
            self._say_next()

    def _say_next(self) -> None:
        """Say all that waits of the part that has waited longest."""
        for event in self._held.pop(next(iter(self._held))):
            self._say(event)

    def _say(self, event: Any) -> None:
        if event.__class__ is not PartEnded:
            self._handlers[event.__class__](event)
        elif self._block is not None and self._block.part == event.part:
            self._close()

    def _open(self, kind: str, part: int, content: dict[str, Any]) -> _Block:
        self._close()
        block = self._block = _Block(kind, part, self._blocks)
        self._blocks += 1
        said = _encode({"type": "content_block_start", "index": block.index, "content_block": content})
        self._out.append(_START + said + b"\n\n")
        return block

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        said = _encode({"type": "content_block_delta", "index": index, "delta": delta})
        self._out.append(_DELTA + said + b"\n\n")

    def _close(self) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        if block.kind == "thinking":
            self._delta(block.index, {"type": "signature_delta", "signature": block.token or signature_of(None)})
        elif block.kind == "tool_use":
            self._done.add(block.part)
            if block.custom is not None:
                text = _encode({INPUT: "".join(block.custom)}).decode()
                self._delta(block.index, {"type": "input_json_delta", "partial_json": text})
        self._out.append(_STOP + b'{"type":"content_block_stop","index":%d}\n\n' % block.index)

    def _within(self, kind: str, part: int, content: dict[str, Any]) -> _Block:
        """Return the part's block, opened if it is not."""
        block = self._block
        if block is not None and block.part == part and block.kind == kind:
            return block
        return self._open(kind, part, content)

    def _text(self, event: TextDelta | RefusalDelta) -> None:
        if event.text:
            block = self._block
            if block is None or block.part != event.part or block.kind != "text":
                block = self._open("text", event.part, {"type": "text", "text": ""})
            self._content_bytes += len(event.text)
            self._out.append(_TEXT % (block.index, _encode(event.text)))

    def _refusal(self, event: RefusalDelta) -> None:
        self._has_refusal = True
        self._text(event)

    def _citation(self, event: CitationDelta) -> None:
        citation = citation_out(event.citation, self._losses)
        if citation is not None:
            block = self._within("text", event.part, {"type": "text", "text": ""})
            self._delta(block.index, {"type": "citations_delta", "citation": citation})

    def _reasoning(self, event: ReasoningDelta) -> None:
        if not event.text:
            return
        block = self._within("thinking", event.part, {"type": "thinking", "thinking": "", "signature": ""})
        text = event.text
        if event.is_summary and event.summary_index != block.summary_index:
            block.summary_index = event.summary_index
            text = "\n\n" + text
        self._content_bytes += len(event.text)
        self._delta(block.index, {"type": "thinking_delta", "thinking": text})

    def _signature(self, event: ReasoningToken) -> None:
        signature = signature_of(event.token)
        if event.is_redacted:
            self._open("redacted_thinking", event.part, {"type": "redacted_thinking", "data": signature})
            self._close()
            return
        block = self._within("thinking", event.part, {"type": "thinking", "thinking": "", "signature": ""})
        block.token = signature

    def _tool_call(self, event: ToolCallStarted) -> None:
        if event.part in self._done or (self._block is not None and self._is_call(event.part)):
            return  # some upstreams repeat id and name with every piece
        if event.token is not None:
            block = self._open("thinking", -1, {"type": "thinking", "thinking": "", "signature": ""})
            block.token = signature_of(event.token)
        content = {"type": "tool_use", "id": clean_id(event.id), "name": event.name, "input": {}}
        block = self._open("tool_use", event.part, content)
        block.progress = JsonProgress()
        if event.kind == "custom":
            block.custom = []

    def _arguments(self, event: ArgumentsDelta) -> None:
        block = self._block
        if not event.text or block is None or block.progress is None or block.part != event.part:
            return
        if block.custom is not None:
            block.custom.append(event.text)
            return
        block.progress.add(event.text)
        self._content_bytes += len(event.text)
        self._delta(block.index, {"type": "input_json_delta", "partial_json": event.text})

    def _is_call(self, part: int) -> bool:
        return self._block is not None and self._block.part == part and self._block.kind == "tool_use"

    def _whole(self, event: WholePart) -> None:
        value = event.value
        if isinstance(value, Foreign):
            for content in foreign_of(value, self._losses):
                self._open(value.kind, event.part, content)
                self._close()
        elif value.transcript:
            self._losses.add(value.kind, "converted", "its transcript")
            self._text(TextDelta(text=value.transcript, part=event.part))
        else:
            self._losses.dropped(value.kind)


def _is_unfinished(block: _Block | None) -> bool:
    """Whether other parts must wait: the block is a call whose arguments are still under way."""
    return block is not None and block.progress is not None and not block.progress.is_complete
