"""Conversion between a stream's events and the complete response: `collect(events_of(response)) == response`."""

from collections.abc import Iterable, Iterator
from typing import Any

from intellirouter.core import Usage
from intellirouter.dialects.ir.events import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    StreamEnded,
    StreamFailed,
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.ir.parts import Foreign, Media, Part, Reasoning, Refusal, Text, ToolCall
from intellirouter.dialects.ir.response import Choice, Response


class Collector:
    """Builds the response that a stream describes. Call `add` with each event in order, then `response`."""

    def __init__(self, dialect: str = "") -> None:
        self._start = StreamStarted()
        self._usage: Usage | None = None
        self._dialect = dialect
        self._parts: dict[int, dict[int, Part]] = {}
        self._text: dict[tuple[int, int], list[str]] = {}
        self._logprobs: dict[tuple[int, int], list[Any]] = {}
        self._summaries: dict[tuple[int, int], dict[int, list[str]]] = {}
        self._finished: dict[int, ChoiceFinished] = {}

    def add(self, event: Event) -> None:  # noqa: C901 - one case per event
        match event:
            case StreamStarted():
                self._start = event
                self._usage = event.usage or self._usage
            case TextDelta():
                text = self._part(event, Text(text=""))
                if event.logprobs is not None:
                    self._append_logprobs(event)
                text.token = event.token or text.token
                self._append_text(event)
            case CitationDelta():
                self._part(event, Text(text="")).citations.append(event.citation)
            case RefusalDelta():
                self._part(event, Refusal(text=""))
                self._append_text(event)
            case ReasoningDelta():
                self._part(event, Reasoning())
                self._append_reasoning(event)
            case ReasoningToken():
                part = self._part(event, Reasoning())
                part.token, part.is_redacted = event.token, event.is_redacted
                part.id = event.id or part.id
            case ToolCallStarted():
                call = ToolCall(id=event.id, name=event.name, arguments="", kind=event.kind)
                call.item_id, call.token = event.item_id, event.token
                self._part(event, call)
            case ArgumentsDelta():
                self._append_text(event)
            case WholePart():
                self._part(event, event.value)
            case ChoiceFinished():
                self._finished[event.choice] = event
                self._parts.setdefault(event.choice, {})
            case UsageUpdate():
                self._usage = event.usage
            case StreamFailed():
                raise event.error
            case PartEnded() | StreamEnded():
                pass

    def _part(self, event: Any, new_part: Any) -> Any:
        return self._parts.setdefault(event.choice, {}).setdefault(event.part, new_part)

    def _append_text(self, event: TextDelta | RefusalDelta | ArgumentsDelta) -> None:
        self._text.setdefault((event.choice, event.part), []).append(event.text)

    def _append_logprobs(self, event: TextDelta) -> None:
        self._logprobs.setdefault((event.choice, event.part), []).extend(event.logprobs)

    def _append_reasoning(self, event: ReasoningDelta) -> None:
        key = (event.choice, event.part)
        if event.is_summary:
            self._summaries.setdefault(key, {}).setdefault(event.summary_index, []).append(event.text)
        else:
            self._text.setdefault(key, []).append(event.text)

    def response(self) -> Response:
        """Return the response so far. Choices that have not finished have `stop=None`."""
        start = self._start
        choices = [
            Choice(
                parts=[self._complete_part(choice, number) for number in sorted(self._parts[choice])],
                stop=self._finished[choice].stop if choice in self._finished else None,
            )
            for choice in sorted(self._parts)
        ]
        return Response(
            id=start.id,
            model=start.model,
            created_s=start.created_s,
            choices=choices,
            usage=self._usage,
            service_tier=start.service_tier,
            system_fingerprint=start.system_fingerprint,
            dialect=self._dialect,
        )

    def _complete_part(self, choice: int, number: int) -> Part:
        part, text = self._parts[choice][number], "".join(self._text.get((choice, number), ()))
        match part:
            case Text():
                part.text, part.logprobs = text, self._logprobs.get((choice, number))
            case Refusal():
                part.text = text
            case Reasoning():
                part.text = text
                pieces = self._summaries.get((choice, number), {})
                part.summary = ["".join(pieces[index]) for index in sorted(pieces)]
            case ToolCall():
                part.arguments = text or ("{}" if part.kind == "function" else "")
            case _:
                pass
        return part


def collect(events: Iterable[Event], dialect: str = "") -> Response:
    """Return the response that a complete stream describes. Raises the error of a stream that failed."""
    collector = Collector(dialect)
    for event in events:
        collector.add(event)
    return collector.response()


def events_of(response: Response) -> Iterator[Event]:
    """Yield the stream that describes a complete response, with one delta per part."""
    yield StreamStarted(
        id=response.id,
        model=response.model,
        created_s=response.created_s,
        service_tier=response.service_tier,
        system_fingerprint=response.system_fingerprint,
    )
    for index, choice in enumerate(response.choices):
        for number, part in enumerate(choice.parts):
            yield from _events_of_part(part, index, number)
            yield PartEnded(choice=index, part=number)
        if choice.stop is not None:
            yield ChoiceFinished(stop=choice.stop, choice=index)
    if response.usage is not None:
        yield UsageUpdate(usage=response.usage)
    yield StreamEnded()


def _events_of_part(part: Part, choice: int, number: int) -> Iterator[Event]:
    match part:
        case Text():
            yield TextDelta(text=part.text, choice=choice, part=number, logprobs=part.logprobs, token=part.token)
            for citation in part.citations:
                yield CitationDelta(citation=citation, choice=choice, part=number)
        case Refusal():
            yield RefusalDelta(text=part.text, choice=choice, part=number)
        case Reasoning():
            yield from _events_of_reasoning(part, choice, number)
        case ToolCall():
            yield ToolCallStarted(
                id=part.id,
                name=part.name,
                choice=choice,
                part=number,
                kind=part.kind,
                item_id=part.item_id,
                token=part.token,
            )
            yield ArgumentsDelta(text=part.arguments, choice=choice, part=number)
        case Media() | Foreign():
            yield WholePart(value=part, choice=choice, part=number)
        case _:
            pass  # A response contains no tool results.


def _events_of_reasoning(part: Reasoning, choice: int, number: int) -> Iterator[Event]:
    if part.text or not (part.summary or part.token):
        yield ReasoningDelta(text=part.text, choice=choice, part=number)
    for index, summary in enumerate(part.summary):
        yield ReasoningDelta(text=summary, choice=choice, part=number, is_summary=True, summary_index=index)
    if part.token is not None:
        yield ReasoningToken(token=part.token, choice=choice, part=number, is_redacted=part.is_redacted, id=part.id)
