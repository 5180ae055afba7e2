"""Reads and writes grounding, citations and log probabilities.

Google's offsets count bytes of UTF-8; the offsets of `ir.Citation` count characters.

Source: Google, `GroundingMetadata` (`groundingChunks`, `groundingSupports.segment`) and `CitationMetadata`.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from intellirouter.dialects.gemini.text_offsets import ByteOffsets, GrowingText
from intellirouter.dialects.gemini.wire import DIALECT, objects_in, optional_text
from intellirouter.dialects.ir import Citation

_MAX_SEARCHED_TEXTS: Final = 64
"""How many texts of an answer are searched for a cited segment."""
_MAX_SEGMENT_CHARS: Final = 4 * 1024 * 1024
"""How much cited text is repeated in the citations. After that, they only have offsets."""
_CHUNK_KINDS: Final = ("web", "maps", "retrievedContext", "image")


class PlacedCitation(Struct):
    """A citation and the number of the text it belongs to."""

    text: int
    citation: Citation


def _find_text(texts: Sequence[GrowingText], start: int, end: int, segment_text: str) -> int:
    """Return the number of the text with this segment, or else of the last text that is long enough."""
    if segment_text:
        segment = segment_text.encode("utf-8", "replace")
        for number, text in enumerate(texts[:_MAX_SEARCHED_TEXTS]):
            if text.has_at(start, end, segment):
                return number
    last = len(texts) - 1
    for number in range(last, max(-1, last - _MAX_SEARCHED_TEXTS), -1):
        if texts[number].size_bytes() >= max(end, 1):
            return number
    return last


def read_citations(candidate: dict[str, Any], texts: Sequence[GrowingText]) -> list[PlacedCitation]:
    """Read the citations of a candidate. Without text, they are ignored."""
    grounding, cited = candidate.get("groundingMetadata"), candidate.get("citationMetadata")
    if not texts or not (isinstance(grounding, dict) or isinstance(cited, dict)):
        return []
    citations = _read_grounding(grounding, texts) if isinstance(grounding, dict) else []
    if isinstance(cited, dict):
        citations += [
            _read_citation(each, texts) for each in objects_in(cited.get("citations") or cited.get("citationSources"))
        ]
    return citations


def _read_grounding(grounding: dict[str, Any], texts: Sequence[GrowingText]) -> list[PlacedCitation]:
    chunks = objects_in(grounding.get("groundingChunks"))
    citations: list[PlacedCitation] = []
    used: set[int] = set()
    for support in objects_in(grounding.get("groundingSupports")):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        indices = support.get("groundingChunkIndices")
        numbers = (
            [each for each in indices if type(each) is int and 0 <= each < len(chunks)]
            if isinstance(indices, list)
            else []
        )
        if numbers:
            place = _read_place(segment, optional_text(segment.get("text")), texts)
            used.update(numbers)
            citations += [place.of(_read_chunk(chunks[number])) for number in numbers]
    last = _Place(len(texts) - 1)
    citations += [last.of(_read_chunk(chunk)) for number, chunk in enumerate(chunks) if number not in used]
    return citations


def _read_chunk(chunk: dict[str, Any]) -> Citation:
    source: dict[str, Any] = next((chunk[kind] for kind in _CHUNK_KINDS if isinstance(chunk.get(kind), dict)), {})
    url = optional_text(source.get("uri")) or optional_text(source.get("sourceUri"))
    return Citation(
        kind="url" if url else "document",
        url=url,
        title=optional_text(source.get("title")),
        cited_text=optional_text(source.get("text")),
        raw={"groundingChunk": chunk},
        dialect=DIALECT,
    )


def _read_citation(raw: dict[str, Any], texts: Sequence[GrowingText]) -> PlacedCitation:
    url = optional_text(raw.get("uri"))
    citation = Citation(
        kind="url" if url else "unknown",
        url=url,
        title=optional_text(raw.get("title")),
        raw={"citation": raw},
        dialect=DIALECT,
    )
    return _read_place(raw, "", texts).of(citation)


class _Place(Struct, frozen=True):
    """What a citation refers to: a text, and the characters of it."""

    text: int
    start: int = -1
    end: int = -1

    def of(self, citation: Citation) -> PlacedCitation:
        citation.start, citation.end = self.start, self.end
        return PlacedCitation(self.text, citation)


def _read_place(segment: dict[str, Any], segment_text: str, texts: Sequence[GrowingText]) -> _Place:
    start, end = _read_offset(segment.get("startIndex")), _read_offset(segment.get("endIndex"))
    number = _find_text(texts, start, end, segment_text)
    if end <= 0:
        return _Place(number)
    return _Place(number, texts[number].char_offset(start), texts[number].char_offset(end))


def _read_offset(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def write_grounding(cited: Sequence[tuple[str, Citation]]) -> dict[str, Any]:
    """Write `groundingMetadata` from citations and the texts they belong to."""
    chunks: list[dict[str, Any]] = []
    numbers: dict[tuple[str, str], int] = {}
    supports: list[dict[str, Any]] = []
    offsets: dict[str, ByteOffsets] = {}
    chars_left = _MAX_SEGMENT_CHARS
    for text, citation in cited:
        key = (citation.url, citation.title)
        if key not in numbers:
            numbers[key] = len(chunks)
            chunks.append(_write_chunk(citation))
        if 0 <= citation.start <= citation.end:
            index = offsets.get(text) or offsets.setdefault(text, ByteOffsets(text))
            segment: dict[str, Any] = {
                "startIndex": index.byte_offset(citation.start),
                "endIndex": index.byte_offset(citation.end),
            }
            chars_left -= max(0, min(citation.end, len(text)) - citation.start)
            if chars_left >= 0:
                segment["text"] = text[citation.start : citation.end]
            supports.append({"segment": segment, "groundingChunkIndices": [numbers[key]]})
    if not supports:
        return {"groundingChunks": chunks}
    return {"groundingChunks": chunks, "groundingSupports": supports}


def _write_chunk(citation: Citation) -> dict[str, Any]:
    if citation.dialect == DIALECT and isinstance(citation.raw, dict) and "groundingChunk" in citation.raw:
        chunk: dict[str, Any] = citation.raw["groundingChunk"]
        return chunk
    if citation.url:
        return {"web": {"uri": citation.url, **({"title": citation.title} if citation.title else {})}}
    return {"retrievedContext": {"title": citation.title, "text": citation.cited_text}}


def read_logprobs(candidate: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Read `logprobsResult` and return it in OpenAI's format, or None if it is missing."""
    result = candidate.get("logprobsResult")
    if not isinstance(result, dict):
        return None
    chosen = objects_in(result.get("chosenCandidates"))
    tops = objects_in(result.get("topCandidates"))
    tokens: list[dict[str, Any]] = []
    for number, each in enumerate(chosen):
        others = objects_in(tops[number].get("candidates")) if number < len(tops) else []
        tokens.append({**_read_token(each), "top_logprobs": [_read_token(other) for other in others]})
    return tokens or None


def _read_token(raw: dict[str, Any]) -> dict[str, Any]:
    token = optional_text(raw.get("token"))
    return {
        "token": token,
        "logprob": _optional_float(raw.get("logProbability")),
        "bytes": list(token.encode("utf-8", "replace")),
    }


def write_logprobs(tokens: Any) -> dict[str, Any]:
    """Write `logprobsResult` from log probabilities in OpenAI's format."""
    chosen = objects_in(tokens)
    return {
        "chosenCandidates": [_write_token(each) for each in chosen],
        "topCandidates": [
            {"candidates": [_write_token(other) for other in objects_in(each.get("top_logprobs"))]} for each in chosen
        ],
    }


def _write_token(raw: dict[str, Any]) -> dict[str, Any]:
    return {"token": optional_text(raw.get("token")), "logProbability": _optional_float(raw.get("logprob"))}


def _optional_float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
