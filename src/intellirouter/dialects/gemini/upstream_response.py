"""Reads an upstream's `GenerateContentResponse`s as events: one for a whole answer, many for a stream.

Why a candidate ended is told last of all: usage, sources and even text may come after its finish reason, and some
upstreams repeat that in every chunk.
"""

from typing import Any, Final

from intellirouter.core import Deployment, Usage, errors, new_id
from intellirouter.dialects.gemini.citations import citations_of, logprobs_of
from intellirouter.dialects.gemini.client_contents import kind_of
from intellirouter.dialects.gemini.stop_reasons import block_of, stop_of, usage_of
from intellirouter.dialects.gemini.upstream_errors import error_in_200
from intellirouter.dialects.gemini.wire import DIALECT, json_text, objects_in, standard_base64, text_of
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    Foreign,
    Media,
    Opaque,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    Source,
    Stop,
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
    origin_of,
)
from intellirouter.dialects.wire.lenient import epoch_s

_MAX_CANDIDATES: Final = 64
_PARTIAL: Final = frozenset({"partialArgs", "willContinue"})
_MODIFIERS: Final = frozenset({"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"})


class _Candidate:
    """One candidate, as far as it has come."""

    def __init__(self, index: int, origin: str) -> None:
        self.index = index
        self.origin = origin
        self.events: list[Event] = []
        self.stop: Stop | None = None
        self._parts = 0
        self._open: str = ""
        """`text` or `thought`: what the last part is, while it can go on."""
        self._texts: dict[int, list[str]] = {}
        self._cited: set[tuple[str, str, int, int]] = set()
        self._logprobs: list[dict[str, Any]] | None = None
        self._has_calls = False

    @property
    def is_empty(self) -> bool:
        return not self._parts and self.stop is None

    def take(self, raw: dict[str, Any]) -> list[Event]:
        self.events = []
        self._logprobs = logprobs_of(raw)
        content = raw.get("content")
        for part in objects_in(content.get("parts")) if isinstance(content, dict) else ():
            self._part(part)
        if self._logprobs is not None and self._texts:
            self._say_text("", max(self._texts), None)
        self._sources(raw)
        self.stop = stop_of(raw, has_calls=self._has_calls) or self.stop
        return self.events

    def _part(self, part: dict[str, Any]) -> None:
        signature = text_of(part.get("thoughtSignature"))
        token = Opaque(signature, self.origin, DIALECT) if signature else None
        if isinstance(text := part.get("text"), str):
            if part.get("thought") is True:
                self._thought(text, token)
            else:
                self._text(text, token)
        elif isinstance(call := part.get("functionCall"), dict):
            self._call(call, token)
        elif isinstance(blob := part.get("inlineData"), dict):
            self._whole(_media(blob, token))
        elif isinstance(file := part.get("fileData"), dict) and text_of(file.get("fileUri")):
            self._whole(_file(file, token))
        else:
            self._other(part, token)

    def _next(self, kind: str) -> int:
        """Begin a part; the one before it is over."""
        if self._open:
            self.events.append(PartEnded(choice=self.index, part=self._parts - 1))
        self._open = kind
        self._parts += 1
        return self._parts - 1

    def _text(self, text: str, token: Opaque | None) -> None:
        """Text with a signature is a part of its own: it must come back as it was, not joined with its neighbours."""
        if not text and token is None:
            return
        number = self._parts - 1 if self._open == "text" and token is None else self._next("text")
        self._say_text(text, number, token)
        if token is not None:
            self.events.append(PartEnded(choice=self.index, part=number))
            self._open = ""

    def _say_text(self, text: str, number: int, token: Opaque | None) -> None:
        logprobs, self._logprobs = self._logprobs, None
        self._texts.setdefault(number, []).append(text)
        self.events.append(TextDelta(text=text, choice=self.index, part=number, logprobs=logprobs, token=token))

    def _thought(self, text: str, token: Opaque | None) -> None:
        if not text and token is None:
            return
        number = self._parts - 1 if self._open == "thought" else self._next("thought")
        if text:
            self.events.append(ReasoningDelta(text=text, choice=self.index, part=number))
        if token is not None:
            self.events.append(ReasoningToken(token=token, choice=self.index, part=number))
            self.events.append(PartEnded(choice=self.index, part=number))
            self._open = ""

    def _call(self, call: dict[str, Any], token: Opaque | None) -> None:
        name, args = text_of(call.get("name")), call.get("args")
        if not name and (not call or _PARTIAL & call.keys()):
            return  # pieces of arguments, which only a client of this dialect can ask for: they are relayed
        if not name or not (args is None or isinstance(args, dict)):
            raise errors.UpstreamMalformed("The upstream called a function without a name, or with no object.")
        number = self._next("")
        call_id = text_of(call.get("id")) or new_id("call_")
        self._has_calls = True
        self.events += (
            ToolCallStarted(id=call_id, name=name, choice=self.index, part=number, token=token),
            ArgumentsDelta(text=json_text(args or {}), choice=self.index, part=number),
            PartEnded(choice=self.index, part=number),
        )

    def _whole(self, value: Media | Foreign) -> None:
        number = self._next("")
        self.events.append(WholePart(value=value, choice=self.index, part=number))
        self.events.append(PartEnded(choice=self.index, part=number))

    def _other(self, part: dict[str, Any], token: Opaque | None) -> None:
        kind = next((name for name, value in part.items() if name not in _MODIFIERS and value is not None), None)
        if kind is not None:
            self._whole(Foreign(dialect=DIALECT, kind=kind, raw=part))
        elif token is not None:
            self._text("", token)

    def _sources(self, raw: dict[str, Any]) -> None:
        if not self._texts or not ("groundingMetadata" in raw or "citationMetadata" in raw):
            return
        numbers = sorted(self._texts)
        for placed in citations_of(raw, ["".join(self._texts[number]) for number in numbers]):
            citation = placed.citation
            key = (citation.url, citation.title, citation.start, citation.end)
            if key not in self._cited:  # later chunks repeat the earlier ones' sources
                self._cited.add(key)
                self.events.append(CitationDelta(citation=citation, choice=self.index, part=numbers[placed.text]))


def _media(blob: dict[str, Any], token: Opaque | None) -> Media:
    media_type = text_of(blob.get("mimeType"))
    source = Source(data=standard_base64(text_of(blob.get("data"))), media_type=media_type)
    return Media(kind=kind_of(media_type), source=source, name=text_of(blob.get("displayName")), token=token)


def _file(file: dict[str, Any], token: Opaque | None) -> Media:
    media_type = text_of(file.get("mimeType"))
    source = Source(url=text_of(file["fileUri"]), media_type=media_type)
    return Media(kind=kind_of(media_type), source=source, name=text_of(file.get("displayName")), token=token)


class AnswerReader:
    """Reads one answer, chunk by chunk."""

    def __init__(self, deployment: Deployment) -> None:
        self._name = deployment.name
        self._origin = origin_of(deployment)
        self._candidates: dict[int, _Candidate] = {}
        self._has_begun = False
        self._usage: Usage | None = None

    @property
    def is_complete(self) -> bool:
        """Every candidate has said why it ended."""
        return bool(self._candidates) and all(each.stop is not None for each in self._candidates.values())

    @property
    def is_empty(self) -> bool:
        return all(each.is_empty for each in self._candidates.values())

    def take(self, document: Any, body: bytes) -> list[Event]:
        """Read one chunk. Raises the error that it says, `UpstreamMalformed` for what is none."""
        if not isinstance(document, dict):
            raise errors.UpstreamMalformed("The upstream's answer is no JSON object.")
        if document.get("error"):
            raise error_in_200(document["error"], self._name, body)
        events: list[Event] = []
        if not self._has_begun:
            self._has_begun = True
            events.append(_began(document))
        for position, raw in enumerate(objects_in(document.get("candidates"))):
            events += self._candidate(raw.get("index"), position).take(raw)
        if not self._candidates and (stop := block_of(document)) is not None:
            self._candidate(0, 0).stop = stop
        usage = usage_of(document.get("usageMetadata"))
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageUpdate(usage=usage))
        return events

    def _candidate(self, index: Any, position: int) -> _Candidate:
        number = index if type(index) is int and 0 <= index < _MAX_CANDIDATES else position % _MAX_CANDIDATES
        if number not in self._candidates:
            self._candidates[number] = _Candidate(number, self._origin)
        return self._candidates[number]

    def finish(self) -> list[Event]:
        """Tell why the candidates ended."""
        ended = sorted(self._candidates.items())
        return [ChoiceFinished(stop=each.stop, choice=index) for index, each in ended if each.stop is not None]


def _began(document: dict[str, Any]) -> StreamStarted:
    return StreamStarted(
        id=text_of(document.get("responseId")),
        model=text_of(document.get("modelVersion")),
        created_s=epoch_s(text_of(document.get("createTime"))),
    )
