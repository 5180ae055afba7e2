"""Writes output items. Each item sends its events, from `output_item.added` to `output_item.done`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.dialects.ir import Citation, Opaque
from intellirouter.dialects.openai_responses.encrypted_content import write_encrypted_content
from intellirouter.dialects.openai_responses.fields import DIALECT

Send = Callable[[str, dict[str, Any]], None]
"""Sends an event, given its type and its members."""


class OutputItem(ABC):
    """One item of the output. `index` is its position."""

    is_ended = False
    """Whether the upstream has ended the item, a tool call, so that it is closed as soon as another item begins."""

    def __init__(self, send: Send, index: int) -> None:
        self._send = send
        self.index = index
        self.final: dict[str, Any] | None = None
        """The complete item; None while it is open."""

    def _send_added(self, item: dict[str, Any]) -> None:
        self._send("response.output_item.added", {"output_index": self.index, "item": item})

    def _send_done(self, item: dict[str, Any]) -> None:
        self.final = item
        self._send("response.output_item.done", {"output_index": self.index, "item": item})

    @abstractmethod
    def close(self, status: str) -> None:
        """Send the events that complete the item with this status."""


class MessageItem(OutputItem):
    """A message of the assistant. Each content part is text with annotations, or a refusal."""

    def __init__(self, send: Send, index: int, item_id: str = "") -> None:
        super().__init__(send, index)
        self.id = item_id or new_id("msg_")
        self.has_refusal = False
        self._content: list[dict[str, Any]] = []
        self._part = -1
        self._is_refusal = False
        self._pieces: list[str] = []
        self._length = 0
        self._annotations: list[Any] = []
        self._logprobs: list[Any] = []
        self._send_added(self._item("in_progress"))

    def _item(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "content": [*self._content],
            "role": "assistant",
        }

    def _position(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, "content_index": len(self._content)}

    def _open_part(self, part: int, *, is_refusal: bool) -> None:
        if part == self._part and is_refusal == self._is_refusal:
            return
        self._close_part()
        self._part, self._is_refusal = part, is_refusal
        empty = {"type": "refusal", "refusal": ""} if is_refusal else _text_part("", [], [])
        self._send("response.content_part.added", {**self._position(), "part": empty})

    def add_text(self, part: int, text: str, logprobs: Any) -> None:
        self._open_part(part, is_refusal=False)
        tokens = logprobs if isinstance(logprobs, list) else []
        if text or tokens:
            self._pieces.append(text)
            self._length += len(text)
            self._logprobs += tokens
            members = {**self._position(), "delta": text, "logprobs": [_write_delta_logprob(token) for token in tokens]}
            self._send("response.output_text.delta", members)

    def add_refusal(self, part: int, text: str) -> None:
        self._open_part(part, is_refusal=True)
        self.has_refusal = True
        if text:
            self._pieces.append(text)
            self._send("response.refusal.delta", {**self._position(), "delta": text})

    def add_citation(self, part: int, citation: Citation) -> bool:
        """Add a citation. Return False if this dialect cannot express it."""
        self._open_part(part, is_refusal=False)
        annotation = write_citation(citation, self._length)
        if annotation is None:
            return False
        members = {**self._position(), "annotation_index": len(self._annotations), "annotation": annotation}
        self._annotations.append(annotation)
        self._send("response.output_text.annotation.added", members)
        return True

    def _close_part(self) -> None:
        if self._part < 0:
            return
        text, position = "".join(self._pieces), self._position()
        if self._is_refusal:
            part: dict[str, Any] = {"type": "refusal", "refusal": text}
            self._send("response.refusal.done", {**position, "refusal": text})
        else:
            logprobs = [_write_delta_logprob(token) for token in self._logprobs]
            part = _text_part(text, self._annotations, [_write_logprob(token) for token in self._logprobs])
            self._send("response.output_text.done", {**position, "text": text, "logprobs": logprobs})
        self._send("response.content_part.done", {**position, "part": part})
        self._content.append(part)
        self._part, self._pieces, self._length, self._annotations, self._logprobs = -1, [], 0, [], []

    def close(self, status: str) -> None:
        self._close_part()
        self._send_done(self._item(status))


class ReasoningItem(OutputItem):
    """Reasoning: summaries, text, and the token with which the model can continue."""

    def __init__(self, send: Send, index: int, item_id: str = "") -> None:
        super().__init__(send, index)
        self.id = item_id or new_id("rs_")
        self._summary: list[dict[str, Any]] = []
        self._content: list[dict[str, Any]] = []
        self._pieces: list[str] = []
        self._open = ""
        """The kind of the open part: `summary` or `text`; empty if no part is open."""
        self._upstream_index = 0
        self._token: str | None = None
        self._send_added(self._item())

    def _item(self) -> dict[str, Any]:
        item: dict[str, Any] = {"id": self.id, "type": "reasoning", "summary": [*self._summary]}
        if self._content:
            item["content"] = [*self._content]
        if self._token is not None:
            item["encrypted_content"] = self._token
        return item

    def _position(self) -> dict[str, Any]:
        position: dict[str, Any] = {"item_id": self.id, "output_index": self.index}
        if self._open == "summary":
            position["summary_index"] = len(self._summary)
        else:
            position["content_index"] = len(self._content)
        return position

    def add_summary(self, text: str, index: int) -> None:
        if self._open != "summary" or index != self._upstream_index:
            self._close_part()
            self._open, self._upstream_index = "summary", index
            part = {"type": "summary_text", "text": ""}
            self._send("response.reasoning_summary_part.added", {**self._position(), "part": part})
        self._add("response.reasoning_summary_text.delta", text)

    def add_text(self, text: str) -> None:
        if self._open != "text":
            self._close_part()
            self._open = "text"
            part = {"type": "reasoning_text", "text": ""}
            self._send("response.content_part.added", {**self._position(), "part": part})
        self._add("response.reasoning_text.delta", text)

    def _add(self, event: str, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._send(event, {**self._position(), "delta": text})

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def set_token(self, token: Opaque, *, is_redacted: bool = False, call_id: str = "") -> None:
        self._token = write_encrypted_content(token, is_redacted=is_redacted, call_id=call_id)

    def _close_part(self) -> None:
        if not self._open:
            return
        text, position = "".join(self._pieces), self._position()
        if self._open == "summary":
            part = {"type": "summary_text", "text": text}
            self._send("response.reasoning_summary_text.done", {**position, "text": text})
            self._send("response.reasoning_summary_part.done", {**position, "part": part})
            self._summary.append(part)
        else:
            part = {"type": "reasoning_text", "text": text}
            self._send("response.reasoning_text.done", {**position, "text": text})
            self._send("response.content_part.done", {**position, "part": part})
            self._content.append(part)
        self._open, self._pieces = "", []

    def close(self, status: str) -> None:  # noqa: ARG002 - reasoning items have no status
        self._close_part()
        self._send_done(self._item())


class CallItem(OutputItem):
    """A function call. Its arguments are a JSON object as text."""

    _kind = "function_call"
    _member = "arguments"
    _prefix = "fc_"
    _events = "response.function_call_arguments"

    def __init__(self, send: Send, index: int, call_id: str, name: tuple[str, str]) -> None:
        super().__init__(send, index)
        self.id = new_id(self._prefix)
        self._call_id = call_id
        self._namespace, self._name = name
        self._pieces: list[str] = []
        self._send_added(self._item("", "in_progress"))

    def _item(self, arguments: str, status: str) -> dict[str, Any]:
        item: dict[str, Any] = {
            "id": self.id,
            "type": self._kind,
            "status": status,
            self._member: arguments,
            "call_id": self._call_id,
            "name": self._name,
        }
        if self._namespace:
            item["namespace"] = self._namespace
        return item

    def _position(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index}

    def add_arguments(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._send(f"{self._events}.delta", {**self._position(), "delta": text})

    def _arguments(self) -> str:
        return "".join(self._pieces) or "{}"

    def close(self, status: str) -> None:
        arguments = self._arguments()
        self._send(f"{self._events}.done", {**self._position(), "name": self._name, self._member: arguments})
        self._send_done(self._item(arguments, status))


class CustomCallItem(CallItem):
    """A call of a custom tool, which takes free text."""

    _kind = "custom_tool_call"
    _member = "input"
    _prefix = "ctc_"
    _events = "response.custom_tool_call_input"

    def _arguments(self) -> str:
        return "".join(self._pieces)

    def close(self, status: str) -> None:
        arguments = self._arguments()
        self._send(f"{self._events}.done", {**self._position(), "input": arguments})
        self._send_done(self._item(arguments, status))


class UnwrappedCallItem(CustomCallItem):
    """A call of a custom tool that the upstream got as a function. Its text is sent once the arguments are complete."""

    def add_arguments(self, text: str) -> None:
        self._pieces.append(text)

    def close(self, status: str) -> None:
        arguments, self._pieces = "".join(self._pieces), []
        super().add_arguments(unwrap_arguments(arguments))
        super().close(status)


class WholeItem(OutputItem):
    """An item that is sent as a whole."""

    def __init__(self, send: Send, index: int, item: dict[str, Any]) -> None:
        super().__init__(send, index)
        self._whole = item
        self._send_added(item)

    def close(self, status: str) -> None:  # noqa: ARG002 - the item has its own
        self._send_done(self._whole)


def unwrap_arguments(arguments: str) -> str:
    """Return the text in a function's arguments if they are an object like `{"input": "…"}`, else the arguments."""
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return arguments
    texts = [text for text in value.values() if isinstance(text, str)] if isinstance(value, dict) else []
    return texts[0] if len(texts) == 1 and len(value) == 1 else arguments


def write_citation(citation: Citation, length: int) -> dict[str, Any] | None:
    """Return the annotation for a citation; None if this dialect cannot express it."""
    if citation.dialect == DIALECT and isinstance(citation.raw, dict):
        return citation.raw
    if not citation.url:
        return None
    return {
        "type": "url_citation",
        "start_index": max(0, citation.start),
        "end_index": citation.end if citation.end >= 0 else length,
        "url": citation.url,
        "title": citation.title,
    }


def _text_part(text: str, annotations: list[Any], logprobs: list[Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


_NO_TOKEN: Final[dict[str, Any]] = {}


def _write_logprob(token: Any) -> dict[str, Any]:
    """Return the log probability of one token as it is in complete responses."""
    source = token if isinstance(token, dict) else _NO_TOKEN
    return {**_write_token(source), "top_logprobs": [_write_token(other) for other in _top_tokens(source)]}


def _write_token(source: dict[str, Any]) -> dict[str, Any]:
    text, number = str(source.get("token") or ""), source.get("logprob")
    raw_bytes = source.get("bytes")
    return {
        "token": text,
        "bytes": raw_bytes if isinstance(raw_bytes, list) else list(text.encode()),
        "logprob": number if isinstance(number, int | float) else 0.0,
    }


def _write_delta_logprob(token: Any) -> dict[str, Any]:
    """Return the log probability of one token as it is in events, without `bytes`."""
    whole = _write_logprob(token)
    tops = [{"token": other["token"], "logprob": other["logprob"]} for other in whole["top_logprobs"]]
    return {"token": whole["token"], "logprob": whole["logprob"], "top_logprobs": tops}


def _top_tokens(source: dict[str, Any]) -> list[dict[str, Any]]:
    tops = source.get("top_logprobs")
    return [other for other in tops if isinstance(other, dict)] if isinstance(tops, list) else []
