"""Decoding of the deltas of one choice into events. A complete message counts as one large delta.

Vendors of this dialect differ in the members for reasoning, in whether calls have an index, an id, and arguments as
text, and in the names of finish reasons. This module reads all variants that are known.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import Deployment, errors, new_id
from intellirouter.dialects.adapt.answer_limits import too_many_calls
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    Citation,
    CitationDelta,
    Event,
    Media,
    Opaque,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    Source,
    Stop,
    StopReason,
    TextDelta,
    ToolCallStarted,
    WholePart,
    origin_of,
)
from intellirouter.dialects.openai_chat.reasoning import (
    DIALECT,
    continues_reasoning,
    has_several_signed_texts,
    reasoning_part,
)
from intellirouter.dialects.wire.json_progress import JsonProgress

_STOPS: Final[dict[str, StopReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_length": "context_length",
    "model_context_window_exceeded": "context_length",
    "content_filtered": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "refusal": "refusal",
    "error": "error",
    "abort": "cancelled",
    "cancelled": "cancelled",
    "insufficient_system_resource": "error",
    "network_error": "error",
    "malformed_function_call": "malformed_tool_call",
}
"""By finish reason in lower case. Unknown reasons count as `stop`."""
_NO_REASON: Final = frozenset({"", "null", "none"})


class _ToolCall:
    """A tool call in progress. It starts when its name is known."""

    __slots__ = ("_is_invalid", "_progress", "arguments", "has_started", "id", "name", "part", "token", "upstream_id")

    def __init__(self, part: int, upstream_id: str) -> None:
        self.part = part
        self.upstream_id = upstream_id
        self.id = upstream_id
        self.name = ""
        self.arguments: list[str] = []
        self.has_started = False
        self.token: Opaque | None = None
        self._progress = JsonProgress()
        self._is_invalid = False

    def add_arguments(self, text: str) -> None:
        self.arguments.append(text)
        self._progress.add(text)

    def is_complete(self) -> bool:
        """Return whether the arguments so far are a complete JSON object."""
        if self._is_invalid or not self._progress.is_complete:
            return False
        try:
            is_object = isinstance(msgspec.json.decode("".join(self.arguments)), dict)
        except (msgspec.DecodeError, RecursionError):
            is_object = False
        self._is_invalid = not is_object  # No text that follows can make a complete value another one.
        return is_object


class ChoiceReader:
    """Decodes the deltas of one choice into events."""

    def __init__(self, index: int, deployment: Deployment) -> None:
        self._index = index
        self._origin = origin_of(deployment)
        self._limits = deployment.limits
        field = deployment.quirks.reasoning_field
        self._reasoning_fields = (field, *({"reasoning_content", "reasoning"} - {field}))
        self._parts = 0
        self._open = ("", -1)
        """The kind and number of the part to which the next delta belongs."""
        self._last_text = -1
        self._calls: dict[int, _ToolCall] = {}
        self._calls_by_key: dict[Any, _ToolCall] = {}
        """By index, or by id if there is no index."""
        self._latest: _ToolCall | None = None
        self._ids: set[str] = set()
        self._audio_texts: dict[str, list[str]] = {"data": [], "transcript": []}
        self._audio_extras: dict[str, Any] = {}
        self._has_refusal = False
        self.finish = ""
        self._stop_text: str | None = None

    def read(self, choice: dict[str, Any]) -> list[Event]:
        """Return the events of one choice of a chunk or of a complete response."""
        delta = choice.get("delta")
        if is_message := not isinstance(delta, dict):
            delta = choice.get("message")
            if not isinstance(delta, dict):
                delta = {"content": choice.get("text")}
        events: list[Event] = []
        self._read_delta(delta, choice, events, is_message=is_message)
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish.lower() not in _NO_REASON:
            self.finish = finish
            stop_text = choice.get("stop_reason")  # vLLM: the stop sequence, or the number of a token
            self._stop_text = stop_text if isinstance(stop_text, str) and stop_text else None
        return events

    def _read_delta(
        self, delta: dict[str, Any], choice: dict[str, Any], events: list[Event], *, is_message: bool
    ) -> None:
        if len(delta) == 1 and isinstance(text := delta.get("content"), str) and text:
            self._text(text, choice, events)  # The usual case.
            return
        self._read_reasoning(delta, events)
        self._read_content(delta, choice, events)
        if delta.get("images") or delta.get("audio"):
            self._read_media(delta, events)
        if calls := delta.get("tool_calls"):
            self._read_calls(calls, events, is_message=is_message)
        if isinstance(legacy := delta.get("function_call"), dict):
            self._read_call({"index": 0, "function": legacy}, events)

    def _text_part(self, kind: str, events: list[Event]) -> int:
        """Return the number of the open part if it has this kind; otherwise end it and start a new one."""
        open_kind, part = self._open
        if open_kind == kind:
            return part
        self._close(events)
        part, self._parts = self._parts, self._parts + 1
        self._open = (kind, part)
        if kind == "text":
            self._last_text = part
        return part

    def _close(self, events: list[Event]) -> None:
        if self._open[0]:
            events.append(PartEnded(choice=self._index, part=self._open[1]))
            self._open = ("", -1)

    def _read_reasoning(self, delta: dict[str, Any], events: list[Event]) -> None:
        details = delta.get("reasoning_details") or delta.get("thinking_blocks")
        text = ""
        for name in () if has_several_signed_texts(details) else self._reasoning_fields:
            value = delta.get(name)
            if value and not text:
                text = value if isinstance(value, str) else _joined(value)
        if text:
            events.append(ReasoningDelta(text=text, choice=self._index, part=self._text_part("reasoning", events)))
        if isinstance(details, list):
            for entry in details:
                self._read_detail(entry, events, has_text=bool(text))

    def _read_detail(self, entry: Any, events: list[Event], *, has_text: bool) -> None:
        """Read an entry of `reasoning_details`. Its text is usually also in the other member (`has_text`)."""
        reasoning = reasoning_part(entry, self._origin) if isinstance(entry, dict) else None
        if reasoning is None:
            return
        text = reasoning.text or "".join(reasoning.summary)
        if text and not has_text:
            events.append(ReasoningDelta(text=text, choice=self._index, part=self._text_part("reasoning", events)))
        if reasoning.token is not None:
            is_redacted = reasoning.is_redacted
            if is_redacted and not text:
                if self._open[0] == "reasoning" and continues_reasoning(entry):
                    is_redacted = False
                else:
                    self._close(events)
            part = self._text_part("reasoning", events)
            token = ReasoningToken(token=reasoning.token, choice=self._index, part=part, is_redacted=is_redacted)
            token.id = reasoning.id
            events.append(token)
            self._close(events)

    def _read_content(self, delta: dict[str, Any], choice: dict[str, Any], events: list[Event]) -> None:
        content = delta.get("content")
        if content:
            if isinstance(content, str):
                self._text(content, choice, events)
            else:
                self._read_parts(content, choice, events)
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self._has_refusal = True
            part = self._text_part("refusal", events)
            events.append(RefusalDelta(text=refusal, choice=self._index, part=part))
        annotations = delta.get("annotations")
        if annotations and isinstance(annotations, list):
            part = self._last_text if self._last_text >= 0 else self._text_part("text", events)
            for annotation in annotations:
                citation = _citation(annotation)
                events.append(CitationDelta(citation=citation, choice=self._index, part=part))

    def _text(self, text: str, choice: dict[str, Any], events: list[Event]) -> None:
        logprobs = choice.get("logprobs")
        tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
        part = self._text_part("text", events)
        token_list = tokens if isinstance(tokens, list) and tokens else None
        events.append(TextDelta(text=text, choice=self._index, part=part, logprobs=token_list))

    def _read_parts(self, content: Any, choice: dict[str, Any], events: list[Event]) -> None:
        """Read content that is a list of parts. Mistral puts reasoning there. The first text gets the logprobs."""
        if not isinstance(content, list):
            raise malformed("`content` is neither a string nor a list of parts")
        for piece in content:
            if not isinstance(piece, dict):
                continue
            if piece.get("type") == "thinking" and (reasoning := _joined(piece.get("thinking"))):
                part = self._text_part("reasoning", events)
                events.append(ReasoningDelta(text=reasoning, choice=self._index, part=part))
            elif isinstance(text := piece.get("text"), str) and text:
                self._text(text, choice, events)
                choice = {}

    def _read_media(self, delta: dict[str, Any], events: list[Event]) -> None:
        images = delta.get("images")
        for image in images if isinstance(images, list) else ():
            link = image.get("image_url") if isinstance(image, dict) else None
            url = link.get("url") if isinstance(link, dict) else link
            if isinstance(url, str) and url:
                part, self._parts = self._parts, self._parts + 1
                value = Media(kind="image", source=_source(url))
                events.append(WholePart(value=value, choice=self._index, part=part))
        audio = delta.get("audio")
        if isinstance(audio, dict):
            for name, pieces in self._audio_texts.items():
                if isinstance(piece := audio.get(name), str):
                    pieces.append(piece)
            self._audio_extras |= {name: audio[name] for name in ("id", "expires_at") if audio.get(name)}

    def _audio(self) -> Media:
        data, transcript = ("".join(pieces) for pieces in self._audio_texts.values())
        return Media(kind="audio", source=Source(data=data), transcript=transcript, extras=self._audio_extras)

    def _read_calls(self, calls: Any, events: list[Event], *, is_message: bool) -> None:
        if not isinstance(calls, list):
            raise malformed("`tool_calls` is not a list")
        for position, call in enumerate(calls):
            if not isinstance(call, dict):
                raise malformed("a tool call is not an object")
            # In a complete message, each entry is a separate call, even if ids or indexes are equal.
            self._read_call(call | {"index": position} if is_message else call, events)

    def _read_call(self, fragment: dict[str, Any], events: list[Event]) -> None:
        is_custom = isinstance(fragment.get("custom"), dict)
        function = fragment.get("custom") if is_custom else fragment.get("function")
        inner: dict[str, Any] = function if isinstance(function, dict) else {}
        name = inner["name"] if isinstance(inner.get("name"), str) else ""
        arguments = arguments_text(inner.get("input" if is_custom else "arguments"))
        call = self._call_of(fragment, name, arguments)
        call.name = call.name or name
        if not call.has_started and call.name:
            call.token = _signature(fragment, self._origin)
            call.has_started = True
            events.append(
                ToolCallStarted(
                    id=call.id,
                    name=call.name,
                    choice=self._index,
                    part=call.part,
                    kind="custom" if is_custom or fragment.get("type") == "custom" else "function",
                    token=call.token,
                )
            )
            arguments = "".join(call.arguments) + arguments
            call.arguments = []
        if arguments:
            call.add_arguments(arguments)
            if call.has_started:
                events.append(ArgumentsDelta(text=arguments, choice=self._index, part=call.part))

    def _call_of(self, fragment: dict[str, Any], name: str, arguments: str) -> _ToolCall:
        """Return the call that a fragment belongs to, which may be a new one.

        A new id starts a new call, even with the same index. Without an id, a fragment with a name and arguments starts
        a new call if the arguments of the last one are complete.
        """
        upstream_id = fragment["id"] if isinstance(fragment.get("id"), str) else ""
        key = fragment.get("index")
        if isinstance(key, bool) or not isinstance(key, int):
            key = upstream_id or None
        found = self._calls_by_key.get(key) if key is not None else None
        if found is None and key is None and not name:
            found = self._latest
        is_new = found is None or bool(upstream_id and found.upstream_id and upstream_id != found.upstream_id)
        if found is not None and not is_new and not upstream_id and name and found.name:
            is_new = bool(arguments) and found.is_complete()
        if found is not None and not is_new:
            return found
        if len(self._calls) >= self._limits.tool_calls:
            raise too_many_calls(self._limits)  # before all calls of a very large event have been read
        call = _ToolCall(self._parts, upstream_id)
        self._parts += 1
        if not upstream_id or upstream_id in self._ids:
            call.id = new_id("call_")
        self._ids.add(call.id)
        self._open = ("", -1)
        self._calls[call.part] = self._latest = call
        if key is not None:
            self._calls_by_key[key] = call
        return call

    @property
    def is_empty(self) -> bool:
        """The choice has neither content nor a finish reason."""
        return not (self.finish or self._parts or self._audio_extras or any(self._audio_texts.values()))

    def end_events(self) -> list[Event]:
        """Return the last events of the choice."""
        events: list[Event] = []
        if self._audio_extras or any(self._audio_texts.values()):
            events.append(WholePart(value=self._audio(), choice=self._index, part=self._parts))
        if any(not call.has_started for call in self._calls.values()):
            raise malformed("the name of a tool call is missing")
        events.append(ChoiceFinished(stop=self._stop(), choice=self._index))
        return events

    def _stop(self) -> Stop:
        default: StopReason = "tool_calls" if self._calls else "stop"
        reason = _STOPS.get(self.finish.lower(), default) if self.finish else default
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        elif reason == "stop" and self._has_refusal:
            reason = "refusal"
        elif reason == "stop" and self._stop_text is not None:
            reason = "stop_sequence"
        return Stop(reason=reason, sequence=self._stop_text, raw=self.finish)


def arguments_text(value: Any) -> str:
    """Return the arguments as text, even if the vendor has not sent them as text."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(
            piece["text"] for piece in value if isinstance(piece, dict) and isinstance(piece.get("text"), str)
        )
    return value if isinstance(value, str) else ""


def _signature(fragment: dict[str, Any], origin: str) -> Opaque | None:
    extra = fragment.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    value = google.get("thought_signature") if isinstance(google, dict) else None
    return Opaque(value=value, origin=origin, dialect="gemini") if isinstance(value, str) and value else None


def _citation(annotation: Any) -> Citation:
    url_citation = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(url_citation, dict):
        return Citation(raw=annotation, dialect=DIALECT)
    texts = {name: url_citation[name] for name in ("url", "title") if isinstance(url_citation.get(name), str)}
    cited = url_citation.get("content")
    return Citation(
        kind="url",
        **texts,
        cited_text=cited if isinstance(cited, str) else "",
        start=_offset(url_citation.get("start_index")),
        end=_offset(url_citation.get("end_index")),
        raw=annotation,
        dialect=DIALECT,
    )


def _offset(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1


def _source(url: str) -> Source:
    if not url.startswith("data:"):
        return Source(url=url)
    head, _, body = url[5:].partition(",")
    return Source(data=body, media_type=head.partition(";")[0])


def malformed(problem: str) -> errors.UpstreamMalformed:
    """Return the error for an invalid chat completion."""
    return errors.UpstreamMalformed(f"The upstream returned an invalid chat completion: {problem}.")
