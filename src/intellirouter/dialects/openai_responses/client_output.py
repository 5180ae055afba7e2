"""Output items while they are written: each knows its events, from `output_item.added` to `output_item.done`."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.dialects.ir import Citation, Opaque
from intellirouter.dialects.openai_responses.encrypted_content import carry
from intellirouter.dialects.openai_responses.fields import DIALECT

Send = Callable[[str, dict[str, Any]], None]
"""Takes an event's type and members."""


class OutputItem:
    """One item of the output, by its place."""

    is_ended = False
    """Nothing more comes for it: it is closed as soon as another item begins."""

    def __init__(self, send: Send, index: int) -> None:
        self._send = send
        self._index = index
        self.final: dict[str, Any] | None = None
        """The whole item; None while it is open."""

    def _begin(self, item: dict[str, Any]) -> None:
        self._send("response.output_item.added", {"output_index": self._index, "item": item})

    def _end(self, item: dict[str, Any]) -> None:
        self.final = item
        self._send("response.output_item.done", {"output_index": self._index, "item": item})

    def close(self, status: str) -> None:
        raise NotImplementedError


class MessageItem(OutputItem):
    """What the assistant says: text with annotations, or a refusal, content part by content part."""

    def __init__(self, send: Send, index: int) -> None:
        super().__init__(send, index)
        self.id = new_id("msg_")
        self.has_refusal = False
        self._content: list[dict[str, Any]] = []
        self._part = -1
        self._is_refusal = False
        self._pieces: list[str] = []
        self._length = 0
        self._annotations: list[Any] = []
        self._logprobs: list[Any] = []
        self._begin(self._item("in_progress"))

    def _item(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "content": [*self._content],
            "role": "assistant",
        }

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self._index, "content_index": len(self._content)}

    def _turn_to(self, part: int, *, is_refusal: bool) -> None:
        if part == self._part and is_refusal == self._is_refusal:
            return
        self._end_part()
        self._part, self._is_refusal = part, is_refusal
        empty = {"type": "refusal", "refusal": ""} if is_refusal else _text_part("", [], [])
        self._send("response.content_part.added", {**self._place(), "part": empty})

    def add_text(self, part: int, text: str, logprobs: Any) -> None:
        self._turn_to(part, is_refusal=False)
        tokens = logprobs if isinstance(logprobs, list) else []
        if text or tokens:
            self._pieces.append(text)
            self._length += len(text)
            self._logprobs += tokens
            members = {**self._place(), "delta": text, "logprobs": [_delta_logprob(token) for token in tokens]}
            self._send("response.output_text.delta", members)

    def add_refusal(self, part: int, text: str) -> None:
        self._turn_to(part, is_refusal=True)
        self.has_refusal = True
        if text:
            self._pieces.append(text)
            self._send("response.refusal.delta", {**self._place(), "delta": text})

    def annotate(self, part: int, citation: Citation) -> bool:
        """Add a citation. False: this dialect has no such kind."""
        self._turn_to(part, is_refusal=False)
        annotation = annotation_of(citation, self._length)
        if annotation is None:
            return False
        members = {**self._place(), "annotation_index": len(self._annotations), "annotation": annotation}
        self._annotations.append(annotation)
        self._send("response.output_text.annotation.added", members)
        return True

    def _end_part(self) -> None:
        if self._part < 0:
            return
        text, place = "".join(self._pieces), self._place()
        if self._is_refusal:
            part: dict[str, Any] = {"type": "refusal", "refusal": text}
            self._send("response.refusal.done", {**place, "refusal": text})
        else:
            logprobs = [_delta_logprob(token) for token in self._logprobs]
            part = _text_part(text, self._annotations, [_logprob(token) for token in self._logprobs])
            self._send("response.output_text.done", {**place, "text": text, "logprobs": logprobs})
        self._send("response.content_part.done", {**place, "part": part})
        self._content.append(part)
        self._part, self._pieces, self._length, self._annotations, self._logprobs = -1, [], 0, [], []

    def close(self, status: str) -> None:
        self._end_part()
        self._end(self._item(status))


class ReasoningItem(OutputItem):
    """What the model thought: summaries, text, and the token that lets it think on."""

    def __init__(self, send: Send, index: int, item_id: str = "") -> None:
        super().__init__(send, index)
        self.id = item_id or new_id("rs_")
        self._summary: list[dict[str, Any]] = []
        self._content: list[dict[str, Any]] = []
        self._pieces: list[str] = []
        self._open = ""
        """`summary` or `text`: what the pieces belong to."""
        self._upstream_index = 0
        self._token: str | None = None
        self._begin(self._item())

    def _item(self) -> dict[str, Any]:
        item: dict[str, Any] = {"id": self.id, "type": "reasoning", "summary": [*self._summary]}
        if self._content:
            item["content"] = [*self._content]
        if self._token is not None:
            item["encrypted_content"] = self._token
        return item

    def _place(self) -> dict[str, Any]:
        place: dict[str, Any] = {"item_id": self.id, "output_index": self._index}
        if self._open == "summary":
            place["summary_index"] = len(self._summary)
        else:
            place["content_index"] = len(self._content)
        return place

    def add_summary(self, text: str, index: int) -> None:
        if self._open != "summary" or index != self._upstream_index:
            self._end_part()
            self._open, self._upstream_index = "summary", index
            part = {"type": "summary_text", "text": ""}
            self._send("response.reasoning_summary_part.added", {**self._place(), "part": part})
        self._add("response.reasoning_summary_text.delta", text)

    def add_text(self, text: str) -> None:
        if self._open != "text":
            self._end_part()
            self._open = "text"
            part = {"type": "reasoning_text", "text": ""}
            self._send("response.content_part.added", {**self._place(), "part": part})
        self._add("response.reasoning_text.delta", text)

    def _add(self, event: str, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._send(event, {**self._place(), "delta": text})

    def sign(self, token: Opaque, *, is_redacted: bool = False, call_id: str = "") -> None:
        self._token = carry(token, is_redacted=is_redacted, call_id=call_id)

    def _end_part(self) -> None:
        if not self._open:
            return
        text, place = "".join(self._pieces), self._place()
        if self._open == "summary":
            part = {"type": "summary_text", "text": text}
            self._send("response.reasoning_summary_text.done", {**place, "text": text})
            self._send("response.reasoning_summary_part.done", {**place, "part": part})
            self._summary.append(part)
        else:
            part = {"type": "reasoning_text", "text": text}
            self._send("response.reasoning_text.done", {**place, "text": text})
            self._send("response.content_part.done", {**place, "part": part})
            self._content.append(part)
        self._open, self._pieces = "", []

    def close(self, status: str) -> None:  # noqa: ARG002 - thoughts have none on the wire
        self._end_part()
        self._end(self._item())


class CallItem(OutputItem):
    """A function call: arguments are the text of a JSON object."""

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
        self._begin(self._item("", "in_progress"))

    def _item(self, said: str, status: str) -> dict[str, Any]:
        item: dict[str, Any] = {
            "id": self.id,
            "type": self._kind,
            "status": status,
            self._member: said,
            "call_id": self._call_id,
            "name": self._name,
        }
        if self._namespace:
            item["namespace"] = self._namespace
        return item

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self._index}

    def add(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._send(f"{self._events}.delta", {**self._place(), "delta": text})

    def _said(self) -> str:
        return "".join(self._pieces) or "{}"

    def close(self, status: str) -> None:
        said = self._said()
        self._send(f"{self._events}.done", {**self._place(), "name": self._name, self._member: said})
        self._end(self._item(said, status))


class CustomCallItem(CallItem):
    """A call of a tool that takes free text."""

    _kind = "custom_tool_call"
    _member = "input"
    _prefix = "ctc_"
    _events = "response.custom_tool_call_input"

    def _said(self) -> str:
        return "".join(self._pieces)

    def close(self, status: str) -> None:
        said = self._said()
        self._send(f"{self._events}.done", {**self._place(), "input": said})
        self._end(self._item(said, status))


class UnwrappedCallItem(CustomCallItem):
    """A custom tool that its upstream knew as a function of one text: shown when its arguments are whole."""

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def close(self, status: str) -> None:
        arguments, self._pieces = "".join(self._pieces), []
        super().add(unwrapped(arguments))
        super().close(status)


class WholeItem(OutputItem):
    """An item that comes in one piece."""

    def __init__(self, send: Send, index: int, item: dict[str, Any]) -> None:
        super().__init__(send, index)
        self._whole = item
        self._begin(item)

    def close(self, status: str) -> None:  # noqa: ARG002 - it has its own
        self._end(self._whole)


def unwrapped(arguments: str) -> str:
    """Return the one text of a function's arguments (`{"input": "…"}`); what is no such object stays as it is."""
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return arguments
    texts = [text for text in value.values() if isinstance(text, str)] if isinstance(value, dict) else []
    return texts[0] if len(texts) == 1 and len(value) == 1 else arguments


def annotation_of(citation: Citation, length: int) -> dict[str, Any] | None:
    """Say a citation; None: this dialect has no such kind."""
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


def _logprob(token: Any) -> dict[str, Any]:
    """Return one token's log probability as whole answers show it."""
    source = token if isinstance(token, dict) else _NO_TOKEN
    return {**_one(source), "top_logprobs": [_one(other) for other in _tops(source)]}


def _one(source: dict[str, Any]) -> dict[str, Any]:
    text, number = str(source.get("token") or ""), source.get("logprob")
    given = source.get("bytes")
    return {
        "token": text,
        "bytes": given if isinstance(given, list) else list(text.encode()),
        "logprob": number if isinstance(number, int | float) else 0.0,
    }


def _delta_logprob(token: Any) -> dict[str, Any]:
    """Return it as events show it: without bytes."""
    whole = _logprob(token)
    tops = [{"token": other["token"], "logprob": other["logprob"]} for other in whole["top_logprobs"]]
    return {"token": whole["token"], "logprob": whole["logprob"], "top_logprobs": tops}


def _tops(source: dict[str, Any]) -> list[dict[str, Any]]:
    tops = source.get("top_logprobs")
    return [other for other in tops if isinstance(other, dict)] if isinstance(tops, list) else []
