"""Reads `GenerateContentResponse`s of an upstream as events: one for a complete response, several for a stream.

Finish reasons are emitted at the end, because usage, sources and even text may follow them, and some upstreams repeat
them in every chunk.
"""

from typing import Any, Final

from intellirouter.core import Deployment, Usage, errors, new_id
from intellirouter.dialects.error_causes import is_error_document
from intellirouter.dialects.gemini.citations import read_citations, read_logprobs
from intellirouter.dialects.gemini.client_contents import media_kind
from intellirouter.dialects.gemini.stop_reasons import read_block_reason, read_stop, read_usage
from intellirouter.dialects.gemini.text_offsets import GrowingText
from intellirouter.dialects.gemini.upstream_errors import decode_error_object
from intellirouter.dialects.gemini.wire import DIALECT, json_text, objects_in, optional_text, standard_base64
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
_PARTIAL_CALL_MEMBERS: Final = frozenset({"partialArgs", "willContinue"})
_MODIFIER_MEMBERS: Final = frozenset(
    {"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"}
)


class _Candidate:
    """The state of one candidate."""

    def __init__(self, index: int, origin: str) -> None:
        self.index = index
        self.origin = origin
        self.events: list[Event] = []
        self.stop: Stop | None = None
        self._part_count = 0
        self._open_kind: str = ""
        """The kind of the last part, `text` or `thought`; empty if the part cannot continue."""
        self._texts: list[GrowingText] = []
        self._text_numbers: list[int] = []
        """The part numbers of `_texts`."""
        self._seen_citations: set[tuple[str, str, int, int]] = set()
        self._logprobs: list[dict[str, Any]] | None = None
        self._has_calls = False
        self._thought_token: Opaque | None = None
        """The signature of the open thought, of which more can follow."""
        self._loose_token: Opaque | None = None
        """The signature of a part without content, which belongs to the call after it."""

    @property
    def is_empty(self) -> bool:
        return not self._part_count and self.stop is None

    def read(self, raw: dict[str, Any]) -> list[Event]:
        self.events = []
        self._logprobs = read_logprobs(raw)
        content = raw.get("content")
        for part in objects_in(content.get("parts")) if isinstance(content, dict) else ():
            self._read_part(part)
        if self._logprobs is not None and self._texts:
            self._add_text("", self._text_numbers[-1], None)
        self._read_citations(raw)
        self.stop = read_stop(raw, has_calls=self._has_calls) or self.stop
        return self.events

    def _read_part(self, part: dict[str, Any]) -> None:
        signature = optional_text(part.get("thoughtSignature"))
        token = Opaque(signature, self.origin, DIALECT) if signature else None
        if isinstance(text := part.get("text"), str):
            if part.get("thought") is True:
                self._read_reasoning(text, token)
            else:
                self._read_text(text, token)
        elif isinstance(call := part.get("functionCall"), dict):
            self._read_call(call, token)
        elif isinstance(blob := part.get("inlineData"), dict):
            self._add_whole_part(_inline_media(blob, token))
        elif isinstance(file := part.get("fileData"), dict) and optional_text(file.get("fileUri")):
            self._add_whole_part(_file_media(file, token))
        else:
            self._read_other(part, token)

    def _start_part(self, kind: str) -> int:
        """End the open part, start the next one, and return its number."""
        if self._open_kind:
            self.events += self.end_thought()
            self.events.append(PartEnded(choice=self.index, part=self._part_count - 1))
        self._open_kind = kind
        self._part_count += 1
        return self._part_count - 1

    def _read_text(self, text: str, token: Opaque | None) -> None:
        """Read text. Text with a signature is a separate part, because it must be sent back unchanged."""
        if not text and token is None:
            return
        self._loose_token = None if text else token
        part_number = self._part_count - 1 if self._open_kind == "text" and token is None else self._start_part("text")
        self._add_text(text, part_number, token)
        if token is not None:
            self.events.append(PartEnded(choice=self.index, part=part_number))
            self._open_kind = ""

    def _add_text(self, text: str, part_number: int, token: Opaque | None) -> None:
        logprobs, self._logprobs = self._logprobs, None
        if not self._text_numbers or part_number > self._text_numbers[-1]:
            self._texts.append(GrowingText())
            self._text_numbers.append(part_number)
        self._texts[-1].append(text)
        self.events.append(TextDelta(text=text, choice=self.index, part=part_number, logprobs=logprobs, token=token))

    def end_thought(self) -> list[Event]:
        """Return the signature of the open thought, after its text."""
        token, self._thought_token = self._thought_token, None
        if token is None:
            return []
        return [ReasoningToken(token=token, choice=self.index, part=self._part_count - 1)]

    def _read_reasoning(self, text: str, token: Opaque | None) -> None:
        """Read a piece of a thought. Successive pieces are one thought, unless they have different signatures."""
        if not text and token is None:
            return
        is_other = token is not None and self._thought_token not in {None, token}
        if self._open_kind != "thought" or is_other:
            self._start_part("thought")
        self._thought_token = token or self._thought_token
        if text:
            self.events.append(ReasoningDelta(text=text, choice=self.index, part=self._part_count - 1))

    def _read_call(self, call: dict[str, Any], token: Opaque | None) -> None:
        name, args = optional_text(call.get("name")), call.get("args")
        if not name and (not call or _PARTIAL_CALL_MEMBERS & call.keys()):
            return  # partial arguments, which only clients of this dialect can request, are relayed
        if not name or not (args is None or isinstance(args, dict)):
            raise errors.UpstreamMalformed(
                "The upstream returned a function call without a name or with invalid arguments."
            )
        if not self._has_calls:
            token = token or self._loose_token
        part_number = self._start_part("")
        call_id = optional_text(call.get("id")) or new_id("call_")
        self._has_calls = True
        self.events += (
            ToolCallStarted(id=call_id, name=name, choice=self.index, part=part_number, token=token),
            ArgumentsDelta(text=json_text(args or {}), choice=self.index, part=part_number),
            PartEnded(choice=self.index, part=part_number),
        )

    def _add_whole_part(self, value: Media | Foreign) -> None:
        part_number = self._start_part("")
        self.events.append(WholePart(value=value, choice=self.index, part=part_number))
        self.events.append(PartEnded(choice=self.index, part=part_number))

    def _read_other(self, part: dict[str, Any], token: Opaque | None) -> None:
        kind = next((name for name, value in part.items() if name not in _MODIFIER_MEMBERS and value is not None), None)
        if kind is not None:
            self._add_whole_part(Foreign(dialect=DIALECT, kind=kind, raw=part))
        elif token is not None:
            self._read_text("", token)

    def _read_citations(self, raw: dict[str, Any]) -> None:
        if not self._texts or not ("groundingMetadata" in raw or "citationMetadata" in raw):
            return
        for placed in read_citations(raw, self._texts):
            citation = placed.citation
            key = (citation.url, citation.title, citation.start, citation.end)
            if key not in self._seen_citations:  # later chunks repeat earlier sources
                self._seen_citations.add(key)
                self.events.append(
                    CitationDelta(citation=citation, choice=self.index, part=self._text_numbers[placed.text])
                )


def _inline_media(blob: dict[str, Any], token: Opaque | None) -> Media:
    media_type = optional_text(blob.get("mimeType"))
    source = Source(data=standard_base64(optional_text(blob.get("data"))), media_type=media_type)
    return Media(kind=media_kind(media_type), source=source, name=optional_text(blob.get("displayName")), token=token)


def _file_media(file: dict[str, Any], token: Opaque | None) -> Media:
    media_type = optional_text(file.get("mimeType"))
    source = Source(url=optional_text(file["fileUri"]), media_type=media_type)
    return Media(kind=media_kind(media_type), source=source, name=optional_text(file.get("displayName")), token=token)


_ANSWER_MEMBERS: Final = frozenset({"candidates", "promptFeedback", "usageMetadata"})


class ResponseReader:
    """Reads one response, chunk by chunk."""

    def __init__(self, deployment: Deployment) -> None:
        self._name = deployment.name
        self._origin = origin_of(deployment)
        self._candidates: dict[int, _Candidate] = {}
        self._has_started = False
        self._usage: Usage | None = None

    @property
    def is_complete(self) -> bool:
        """Every candidate has a finish reason."""
        return bool(self._candidates) and all(each.stop is not None for each in self._candidates.values())

    @property
    def is_empty(self) -> bool:
        return all(each.is_empty for each in self._candidates.values())

    def read(self, document: Any, body: bytes) -> list[Event]:
        """Read one chunk. Raises the error that it reports, or `UpstreamMalformed`."""
        if not isinstance(document, dict):
            raise errors.UpstreamMalformed("The upstream did not return a JSON object.")
        if document.get("error"):
            raise decode_error_object(document["error"], self._name, body)
        if document.keys().isdisjoint(_ANSWER_MEMBERS) and is_error_document(document):
            raise decode_error_object(document, self._name, body)
        events: list[Event] = []
        if not self._has_started:
            self._has_started = True
            events.append(_read_start(document))
        for position, raw in enumerate(objects_in(document.get("candidates"))):
            events += self._candidate_at(raw.get("index"), position).read(raw)
        if not self._candidates and (stop := read_block_reason(document)) is not None:
            self._candidate_at(0, 0).stop = stop
        usage = read_usage(document.get("usageMetadata"))
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageUpdate(usage=usage))
        return events

    def _candidate_at(self, index: Any, position: int) -> _Candidate:
        number = index if type(index) is int and 0 <= index < _MAX_CANDIDATES else position % _MAX_CANDIDATES
        if number not in self._candidates:
            self._candidates[number] = _Candidate(number, self._origin)
        return self._candidates[number]

    def finish(self) -> list[Event]:
        """Return the last events of all candidates, which end with their finish reasons."""
        events: list[Event] = []
        for index, candidate in sorted(self._candidates.items()):
            events += candidate.end_thought()
            if candidate.stop is not None:
                events.append(ChoiceFinished(stop=candidate.stop, choice=index))
        return events


def _read_start(document: dict[str, Any]) -> StreamStarted:
    return StreamStarted(
        id=optional_text(document.get("responseId")),
        model=optional_text(document.get("modelVersion")),
        created_s=epoch_s(optional_text(document.get("createTime"))),
    )
