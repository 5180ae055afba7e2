"""What one choice of an answer says, delta by delta, as events. A whole message is one large delta.

Vendors of this dialect differ in where they put thoughts, in whether calls have an index, an id or arguments that are
text, and in the words for the end; all that they are known to send is read here.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import Deployment, errors, new_id
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
from intellirouter.dialects.openai_chat.reasoning import DIALECT, thought_of

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
    "content_filtered": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "refusal": "refusal",
    "error": "error",
    "abort": "cancelled",
    "cancelled": "cancelled",
    "insufficient_system_resource": "error",
    "malformed_function_call": "malformed_tool_call",
}
"""In lower case. A word that is not here ends the answer like `stop`, and is kept as `raw`."""
_NO_WORDS: Final = frozenset({"", "null", "none"})


class _ToolCall:
    """A call that is being told. It begins once its name is known."""

    __slots__ = ("arguments", "has_begun", "id", "name", "part", "said_id", "token")

    def __init__(self, part: int, said_id: str) -> None:
        self.part = part
        self.said_id = said_id
        self.id = said_id
        self.name = ""
        self.arguments: list[str] = []
        self.has_begun = False
        self.token: Opaque | None = None

    def is_complete(self) -> bool:
        """Tell whether the arguments are one whole JSON object already."""
        text = "".join(self.arguments)
        if not text.rstrip().endswith("}"):
            return False
        try:
            return isinstance(msgspec.json.decode(text), dict)
        except (msgspec.DecodeError, RecursionError):
            return False


class ChoiceReader:
    """Turns the deltas of one choice into events."""

    def __init__(self, index: int, deployment: Deployment) -> None:
        self._index = index
        self._origin = origin_of(deployment)
        field = deployment.quirks.reasoning_field
        self._thought_fields = (field, *({"reasoning_content", "reasoning"} - {field}))
        self._parts = 0
        self._open = ("", -1)
        """Kind and number of the text-like part that deltas go to."""
        self._last_text = -1
        self._calls: dict[int, _ToolCall] = {}
        self._by_place: dict[Any, _ToolCall] = {}
        self._latest: _ToolCall | None = None
        self._ids: set[str] = set()
        self._audio: dict[str, Any] = {}
        self._has_refusal = False
        self.finish = ""
        self._stop_text: str | None = None

    def read(self, choice: dict[str, Any]) -> list[Event]:
        """Read one choice of a chunk or of a whole answer."""
        delta = choice.get("delta")
        is_whole = not isinstance(delta, dict)
        if not isinstance(delta, dict):
            delta = choice.get("message")
        if not isinstance(delta, dict):
            delta = {"content": choice.get("text")}
        events: list[Event] = []
        self._read_delta(delta, choice, events, is_whole=is_whole)
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish.lower() not in _NO_WORDS:
            self.finish = finish
            stop_text = choice.get("stop_reason")  # vLLM: the stop sequence, or a token's number
            self._stop_text = stop_text if isinstance(stop_text, str) and stop_text else None
        return events

    def _read_delta(
        self, delta: dict[str, Any], choice: dict[str, Any], events: list[Event], *, is_whole: bool
    ) -> None:
        if len(delta) == 1 and isinstance(text := delta.get("content"), str) and text:
            self._text(text, choice, events)  # nearly all there is in a stream
            return
        self._think(delta, events)
        self._say(delta, choice, events)
        if delta.get("images") or delta.get("audio"):
            self._show(delta, events)
        if calls := delta.get("tool_calls"):
            self._call(calls, events, is_whole=is_whole)
        if isinstance(legacy := delta.get("function_call"), dict):
            self._one_call({"index": 0, "function": legacy}, events)

    def _text_part(self, kind: str, events: list[Event]) -> int:
        """Return the number of the open part of this kind, closing one of another kind."""
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

    def _think(self, delta: dict[str, Any], events: list[Event]) -> None:
        text = ""
        for name in self._thought_fields:
            value = delta.get(name)
            if value and not text:
                text = value if isinstance(value, str) else _joined(value)
        if text:
            events.append(ReasoningDelta(text=text, choice=self._index, part=self._text_part("reasoning", events)))
        details = delta.get("reasoning_details") or delta.get("thinking_blocks")
        if isinstance(details, list):
            for entry in details:
                self._detail(entry, events, has_text=bool(text))

    def _detail(self, entry: Any, events: list[Event], *, has_text: bool) -> None:
        """Read an entry that may carry a token. Its text usually stands in the plain field as well."""
        thought = thought_of(entry, self._origin) if isinstance(entry, dict) else None
        if thought is None:
            return
        said = thought.text or "".join(thought.summary)
        if said and not has_text:
            events.append(ReasoningDelta(text=said, choice=self._index, part=self._text_part("reasoning", events)))
        if thought.token is not None:
            if thought.is_redacted and not said:
                self._close(events)
            part = self._text_part("reasoning", events)
            events.append(
                ReasoningToken(
                    token=thought.token,
                    choice=self._index,
                    part=part,
                    is_redacted=thought.is_redacted,
                    id=thought.id,
                )
            )
            self._close(events)

    def _say(self, delta: dict[str, Any], choice: dict[str, Any], events: list[Event]) -> None:
        content = delta.get("content")
        if content:
            if isinstance(content, str):
                self._text(content, choice, events)
            else:
                self._pieces(content, choice, events)
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self._has_refusal = True
            part = self._text_part("refusal", events)
            events.append(RefusalDelta(text=refusal, choice=self._index, part=part))
        annotations = delta.get("annotations")
        if annotations and isinstance(annotations, list):
            part = self._last_text if self._last_text >= 0 else self._text_part("text", events)
            for annotation in annotations:
                cited = _citation(annotation)
                events.append(CitationDelta(citation=cited, choice=self._index, part=part))

    def _text(self, text: str, choice: dict[str, Any], events: list[Event]) -> None:
        logprobs = choice.get("logprobs")
        tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
        part = self._text_part("text", events)
        said = tokens if isinstance(tokens, list) and tokens else None
        events.append(TextDelta(text=text, choice=self._index, part=part, logprobs=said))

    def _pieces(self, content: Any, choice: dict[str, Any], events: list[Event]) -> None:
        """Read content in parts: Mistral's thoughts stand there, between texts."""
        if not isinstance(content, list):
            raise _malformed("`content` is neither a text nor a list of parts")
        for piece in content:
            if not isinstance(piece, dict):
                continue
            if piece.get("type") == "thinking" and (thought := _joined(piece.get("thinking"))):
                part = self._text_part("reasoning", events)
                events.append(ReasoningDelta(text=thought, choice=self._index, part=part))
            elif isinstance(text := piece.get("text"), str) and text:
                self._text(text, choice, events)

    def _show(self, delta: dict[str, Any], events: list[Event]) -> None:
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
            for name in ("data", "transcript"):
                if isinstance(piece := audio.get(name), str):
                    self._audio[name] = self._audio.get(name, "") + piece
            self._audio |= {name: audio[name] for name in ("id", "expires_at") if audio.get(name)}

    def _call(self, calls: Any, events: list[Event], *, is_whole: bool) -> None:
        if not isinstance(calls, list):
            raise _malformed("`tool_calls` is no list")
        for place, call in enumerate(calls):
            if not isinstance(call, dict):
                raise _malformed("a tool call is no object")
            # In a whole message every entry is a call of its own, whatever ids and numbers it has.
            self._one_call(call | {"index": place} if is_whole else call, events)

    def _one_call(self, fragment: dict[str, Any], events: list[Event]) -> None:
        is_custom = isinstance(fragment.get("custom"), dict)
        function = fragment.get("custom") if is_custom else fragment.get("function")
        inner: dict[str, Any] = function if isinstance(function, dict) else {}
        name = inner["name"] if isinstance(inner.get("name"), str) else ""
        arguments = arguments_text(inner.get("input" if is_custom else "arguments"))
        call = self._which(fragment, name, arguments)
        call.name = call.name or name
        if not call.has_begun and call.name:
            call.token = _signature(fragment, self._origin)
            call.has_begun = True
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
            call.arguments.append(arguments)
            if call.has_begun:
                events.append(ArgumentsDelta(text=arguments, choice=self._index, part=call.part))

    def _which(self, fragment: dict[str, Any], name: str, arguments: str) -> _ToolCall:
        """Find the call that a fragment goes on with, or open one.

        A new id is a new call, whatever its index; without an id, a name and arguments after a whole object are.
        """
        said_id = fragment["id"] if isinstance(fragment.get("id"), str) else ""
        place = fragment.get("index")
        if isinstance(place, bool) or not isinstance(place, int):
            place = said_id or None
        known = self._by_place.get(place) if place is not None else None
        if known is None and place is None and not name:
            known = self._latest
        is_new = known is None or bool(said_id and known.said_id and said_id != known.said_id)
        if known is not None and not is_new and not said_id and name and known.name:
            is_new = bool(arguments) and known.is_complete()
        if known is not None and not is_new:
            return known
        call = _ToolCall(self._parts, said_id)
        self._parts += 1
        if not said_id or said_id in self._ids:
            call.id = new_id("call_")
        self._ids.add(call.id)
        self._open = ("", -1)
        self._calls[call.part] = self._latest = call
        if place is not None:
            self._by_place[place] = call
        return call

    def finished(self) -> list[Event]:
        """The choice is over: return what has waited for that."""
        events: list[Event] = []
        if self._audio:
            events.append(WholePart(value=_audio(self._audio), choice=self._index, part=self._parts))
        if any(not call.has_begun for call in self._calls.values()):
            raise _malformed("a tool call has no name")
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
    """Return the arguments as text, whatever the vendor sent them as."""
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
    said = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(said, dict):
        return Citation(raw=annotation, dialect=DIALECT)
    texts = {name: said[name] for name in ("url", "title") if isinstance(said.get(name), str)}
    cited = said.get("content")
    return Citation(
        kind="url",
        **texts,
        cited_text=cited if isinstance(cited, str) else "",
        start=_place(said.get("start_index")),
        end=_place(said.get("end_index")),
        raw=annotation,
        dialect=DIALECT,
    )


def _place(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1


def _source(url: str) -> Source:
    if not url.startswith("data:"):
        return Source(url=url)
    head, _, body = url[5:].partition(",")
    return Source(data=body, media_type=head.partition(";")[0])


def _audio(said: dict[str, Any]) -> Media:
    extras: dict[str, Any] = {name: said[name] for name in ("id", "expires_at") if name in said}
    return Media(
        kind="audio", source=Source(data=said.get("data", "")), transcript=said.get("transcript", ""), extras=extras
    )


def _malformed(what: str) -> errors.UpstreamMalformed:
    return errors.UpstreamMalformed(f"The upstream's answer is no chat completion: {what}.")
