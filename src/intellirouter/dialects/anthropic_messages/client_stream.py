"""Writes a client stream: `message_start`, blocks that never interleave, `message_delta`, `message_stop`.

Upstreams may interleave parts, for example parallel tool calls. Here, a block is closed before the next one starts.
While the arguments of an open tool call are incomplete, events of other parts are held back (`_held_events`); all other
events are written immediately. A part that continues after its block was closed gets another block.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec
from msgspec import structs

from intellirouter.core import Call, LossReport, Usage, errors, estimate_tokens, new_id
from intellirouter.dialects.anthropic_messages.client_errors import ERRORS
from intellirouter.dialects.anthropic_messages.client_response import (
    INPUT,
    THINKING_TYPES,
    refusal_details,
    report_stop_reason,
    sanitize_id,
    write_call_signature,
    write_citation,
    write_foreign,
    write_signature,
)
from intellirouter.dialects.anthropic_messages.stop_reasons import write_stop_reason, write_usage
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    Foreign,
    Opaque,
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
from intellirouter.dialects.keep_alive import KeepAlive
from intellirouter.dialects.wire.json_progress import JsonProgress

_BLOCK_START: Final = b"event: content_block_start\ndata: "
_BLOCK_DELTA: Final = b"event: content_block_delta\ndata: "
_TEXT_DELTA: Final = (
    _BLOCK_DELTA + b'{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%b}}\n\n'
)
"""The most frequent event, as a template."""
_BLOCK_STOP: Final = b"event: content_block_stop\ndata: "
_encode: Final = msgspec.json.Encoder().encode
_PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
_COMMENT: Final = b": ping\n\n"


def _ping(call: Call, has_content: bool) -> bytes:  # noqa: ARG001, FBT001 - required by `KeepAlive.ping`
    return _PING if has_content else _COMMENT


PINGS: Final = KeepAlive(_ping, has_comments=True)
"""Anthropic's own event. Before `message_start`, which must be the first event, it is a comment."""


class _Block:
    """The open block."""

    __slots__ = ("custom_input", "index", "kind", "part", "progress", "summary_index", "token")

    def __init__(self, kind: str, part: int, index: int) -> None:
        self.kind = kind
        """`text`, `thinking` or `tool_use`."""
        self.part = part
        self.index = index
        self.progress: JsonProgress | None = None
        self.custom_input: list[str] | None = None
        """The free text of a custom tool call, which is written when the block is closed."""
        self.summary_index = 0
        self.token: str | None = None


class MessageStream:
    """Implements `protocols.StreamEncoder`."""

    def __init__(self, call: Call, losses: LossReport) -> None:
        self._call = call
        self._losses = losses
        self._out: list[bytes] = []
        self._block: _Block | None = None
        self._held_events: dict[int, list[Any]] = {}
        """By part. Empty unless an unfinished tool call is open."""
        self._held_parts: deque[int] = deque()
        """The keys of `_held_events`, in the order of their first held event."""
        self._block_count = 0
        self._content_bytes = 0
        self._closed_calls: set[int] = set()
        """Parts of tool calls whose block was closed. Later events of these parts are ignored."""
        self._has_begun = False
        self._has_refusal = False
        self._has_thinking = False
        self._stop: Stop | None = None
        self._start_usage: Usage | None = None
        self._usage: Usage | None = None
        self._handlers = self._HANDLERS

    def encode(self, events: Sequence[Event]) -> bytes:
        if events and not self._has_begun:
            self._start_message(events)
        for event in events:
            if event.__class__ is TextDelta:
                self._process(event)
            elif isinstance(event, UsageUpdate):
                self._usage = event.usage
            elif isinstance(event, ChoiceFinished):
                self._finish(event)
            elif not isinstance(event, StreamStarted):
                self._process(event)
        return self._take_output()

    def end(self) -> bytes:
        if not self._has_begun:
            self._start_message(())
        self._write_held_parts()
        delta: dict[str, Any] = {
            "stop_reason": write_stop_reason(self._stop, has_refusal=self._has_refusal),
            "stop_sequence": None if self._stop is None else self._stop.sequence,
        }
        if details := refusal_details(self._stop):
            delta["stop_details"] = details
        usage = self._usage or self._final_usage()
        data = _encode({"type": "message_delta", "delta": delta, "usage": write_usage(usage)})
        self._out.append(b"event: message_delta\ndata: " + data + b"\n\n")
        self._out.append(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        return self._take_output()

    def fail(self, error: errors.GatewayError) -> bytes:
        return ERRORS.encode_event(error)

    def _take_output(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out

    def _start_message(self, events: Sequence[Event]) -> None:
        """Write `message_start` with the number of input tokens, estimated if the upstream reports it later.

        Agents use this number to decide when to compact the conversation.
        """
        self._has_begun = True
        began = next((event for event in events if isinstance(event, StreamStarted)), None) or StreamStarted()
        reported = next((event.usage for event in events if isinstance(event, UsageUpdate)), None)
        self._start_usage = began.usage
        known = began.usage or reported
        usage = write_usage(known if known is not None and known.total_input_tokens else self._estimate())
        usage["output_tokens"] = min(usage["output_tokens"], 1)  # the count so far; the last event has the total
        usage.pop("output_tokens_details", None)
        message: dict[str, Any] = {
            "id": began.id or new_id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": began.model or self._call.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        data = _encode({"type": "message_start", "message": message})
        self._out.append(b"event: message_start\ndata: " + data + b"\n\n")

    def _final_usage(self) -> Usage:
        """Return the usage if the upstream reported none at the end."""
        self._losses.add("usage", "emulated", "estimate")
        estimate = self._estimate()
        if self._start_usage is None:
            return estimate
        return structs.replace(self._start_usage, output_tokens=estimate.output_tokens)

    def _estimate(self) -> Usage:
        return Usage(
            input_tokens=self._call.estimated_input_tokens(),
            output_tokens=estimate_tokens(self._content_bytes),
            is_estimated=True,
        )

    def _finish(self, event: ChoiceFinished) -> None:
        if event.choice == 0:
            self._write_held_parts()
            self._stop = event.stop
            report_stop_reason(event.stop, self._losses)

    def _write_held_parts(self) -> None:
        """Write all held events, part by part, because the choice is complete."""
        self._close_block()
        while self._held_events:
            self._write_next_held_part()
            self._close_block()

    def _process(self, event: Any) -> None:
        """Write an event of the first choice, or hold it back while a tool call of another part is unfinished."""
        if event.choice != 0:
            self._losses.add("n", "dropped", "only the first choice is returned")
            return
        block = self._block
        if block is not None and block.part != event.part and _is_unfinished(block):
            self._hold(event)
            return
        self._write_event(event)
        while self._held_events and not _is_unfinished(self._block):
            self._write_next_held_part()

    def _hold(self, event: Any) -> None:
        held = self._held_events.get(event.part)
        if held is None:
            self._held_events[event.part] = [event]
            self._held_parts.append(event.part)
        else:
            held.append(event)

    def _write_next_held_part(self) -> None:
        """Write the events of the part that was held back first."""
        for event in self._held_events.pop(self._held_parts.popleft()):
            self._write_event(event)

    def _write_event(self, event: Any) -> None:
        if event.__class__ is not PartEnded:
            self._handlers[event.__class__](self, event)
        elif (block := self._block) is not None and block.part == event.part and not _is_unsigned(block):
            self._close_block()

    def _open_block(self, kind: str, part: int, content: dict[str, Any]) -> _Block:
        self._close_block()
        block = self._block = _Block(kind, part, self._block_count)
        self._block_count += 1
        self._has_thinking = self._has_thinking or kind in THINKING_TYPES
        data = _encode({"type": "content_block_start", "index": block.index, "content_block": content})
        self._out.append(_BLOCK_START + data + b"\n\n")
        return block

    def _write_delta(self, index: int, delta: dict[str, Any]) -> None:
        data = _encode({"type": "content_block_delta", "index": index, "delta": delta})
        self._out.append(_BLOCK_DELTA + data + b"\n\n")

    def _close_block(self) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        if block.kind == "thinking":
            signature = block.token or write_signature(None)
            self._write_delta(block.index, {"type": "signature_delta", "signature": signature})
        elif block.kind == "tool_use":
            self._closed_calls.add(block.part)
            if block.custom_input is not None:
                text = _encode({INPUT: "".join(block.custom_input)}).decode()
                self._write_delta(block.index, {"type": "input_json_delta", "partial_json": text})
        self._out.append(_BLOCK_STOP + b'{"type":"content_block_stop","index":%d}\n\n' % block.index)

    def _block_for(self, kind: str, part: int, content: dict[str, Any]) -> _Block:
        """Return the open block of the part, or open one."""
        block = self._block
        if block is not None and block.part == part and block.kind == kind:
            return block
        return self._open_block(kind, part, content)

    def _write_text(self, event: TextDelta | RefusalDelta) -> None:
        if event.text:
            block = self._block
            if block is None or block.part != event.part or block.kind != "text":
                block = self._open_block("text", event.part, {"type": "text", "text": ""})
            self._content_bytes += len(event.text)
            self._out.append(_TEXT_DELTA % (block.index, _encode(event.text)))

    def _write_refusal(self, event: RefusalDelta) -> None:
        self._has_refusal = True
        self._write_text(event)

    def _write_citation(self, event: CitationDelta) -> None:
        citation = write_citation(event.citation, self._losses)
        if citation is not None:
            block = self._block_for("text", event.part, {"type": "text", "text": ""})
            self._write_delta(block.index, {"type": "citations_delta", "citation": citation})

    def _write_reasoning(self, event: ReasoningDelta) -> None:
        if not event.text:
            return
        block = self._block_for("thinking", event.part, {"type": "thinking", "thinking": "", "signature": ""})
        text = event.text
        if event.is_summary and event.summary_index != block.summary_index:
            block.summary_index = event.summary_index
            text = "\n\n" + text
        self._content_bytes += len(event.text)
        self._write_delta(block.index, {"type": "thinking_delta", "thinking": text})

    def _set_signature(self, event: ReasoningToken) -> None:
        signature = write_signature(event.token)
        if event.is_redacted:
            self._open_block("redacted_thinking", event.part, {"type": "redacted_thinking", "data": signature})
            self._close_block()
            return
        block = self._block_for("thinking", event.part, {"type": "thinking", "thinking": "", "signature": ""})
        block.token = signature

    def _start_tool_call(self, event: ToolCallStarted) -> None:
        if event.part in self._closed_calls or (self._block is not None and self._is_open_call(event.part)):
            return  # some upstreams repeat the id and name in every chunk
        if event.token is not None:
            self._write_call_signature(event.token)
        content = {"type": "tool_use", "id": sanitize_id(event.id), "name": event.name, "input": {}}
        block = self._open_block("tool_use", event.part, content)
        block.progress = JsonProgress()
        if event.kind == "custom":
            block.custom_input = []

    def _write_call_signature(self, token: Opaque) -> None:
        """Write the signature of a call into the unsigned thinking before it, or else alone; see `client_response`."""
        if self._block is not None and _is_unsigned(self._block):
            self._block.token = write_call_signature(token)
        elif not (self._has_thinking and self._call.memory is not None):
            block = self._open_block("thinking", -1, {"type": "thinking", "thinking": "", "signature": ""})
            block.token = write_signature(token)

    def _write_arguments(self, event: ArgumentsDelta) -> None:
        block = self._block
        if not event.text or block is None or block.progress is None or block.part != event.part:
            return
        if block.custom_input is not None:
            block.custom_input.append(event.text)
            return
        block.progress.add(event.text)
        self._content_bytes += len(event.text)
        self._write_delta(block.index, {"type": "input_json_delta", "partial_json": event.text})

    def _is_open_call(self, part: int) -> bool:
        return self._block is not None and self._block.part == part and self._block.kind == "tool_use"

    def _write_whole_part(self, event: WholePart) -> None:
        value = event.value
        if isinstance(value, Foreign):
            for content in write_foreign(value, self._losses):
                self._open_block(value.kind, event.part, content)
                self._close_block()
        elif value.transcript:
            self._losses.add(value.kind, "converted", "its transcript")
            self._write_text(TextDelta(text=value.transcript, part=event.part))
        else:
            self._losses.dropped(value.kind)

    _HANDLERS: ClassVar[dict[type, Any]] = {
        TextDelta: _write_text,
        RefusalDelta: _write_refusal,
        CitationDelta: _write_citation,
        ReasoningDelta: _write_reasoning,
        ReasoningToken: _set_signature,
        ToolCallStarted: _start_tool_call,
        ArgumentsDelta: _write_arguments,
        WholePart: _write_whole_part,
    }


def _is_unsigned(block: _Block) -> bool:
    """Return whether the block is thinking without a signature, which a tool call that follows may bring."""
    return block.kind == "thinking" and block.token is None


def _is_unfinished(block: _Block | None) -> bool:
    """Return whether the block is a tool call with incomplete arguments, so that other parts must be held back."""
    return block is not None and block.progress is not None and not block.progress.is_complete
