"""Reads and writes grounding, citations and log probabilities.

Google's offsets count bytes of UTF-8; the offsets of `ir.Citation` count characters.

Source: Google, `GroundingMetadata` (`groundingChunks`, `groundingSupports.segment`) and `CitationMetadata`.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from intellirouter.dialects.gemini.wire import DIALECT, objects_in, optional_text
from intellirouter.dialects.ir import Citation

_CHUNK_KINDS: Final = ("web", "maps", "retrievedContext", "image")


class PlacedCitation(Struct):
    """A citation and the number of the text it belongs to."""

    text: int
    citation: Citation


class _TextIndex:
    """Finds the texts of one candidate by byte offsets."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._bytes = [text.encode("utf-8", "replace") for text in texts]
        self.last_text = len(texts) - 1

    def find_text(self, start: int, end: int, segment_text: str) -> int:
        """Return the number of the text with this segment, or else of the last text that is long enough."""
        segment_bytes = segment_text.encode("utf-8", "replace")
        for number, text in enumerate(self._bytes):
            if segment_bytes and text[start:end] == segment_bytes:
                return number
        for number in range(len(self._bytes) - 1, -1, -1):
            if len(self._bytes[number]) >= end and self._bytes[number]:
                return number
        return self.last_text

    def char_offset(self, number: int, offset: int) -> int:
        text = self._bytes[number]
        if offset > len(text):
            return -1
        return offset if text.isascii() else len(text[:offset].decode("utf-8", "ignore"))


def read_citations(candidate: dict[str, Any], texts: Sequence[str]) -> list[PlacedCitation]:
    """Read the citations of a candidate. Without text, they are ignored."""
    grounding, cited = candidate.get("groundingMetadata"), candidate.get("citationMetadata")
    if not texts or not (isinstance(grounding, dict) or isinstance(cited, dict)):
        return []
    index = _TextIndex(texts)
    citations = _read_grounding(grounding, index) if isinstance(grounding, dict) else []
    if isinstance(cited, dict):
        citations += [
            _read_citation(each, index) for each in objects_in(cited.get("citations") or cited.get("citationSources"))
        ]
    return citations


def _read_grounding(grounding: dict[str, Any], index: _TextIndex) -> list[PlacedCitation]:
    chunks = objects_in(grounding.get("groundingChunks"))
    citations: list[PlacedCitation] = []
    used: set[int] = set()
    for support in objects_in(grounding.get("groundingSupports")):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        indices = support.get("groundingChunkIndices")
        for number in indices if isinstance(indices, list) else ():
            if type(number) is int and 0 <= number < len(chunks):
                used.add(number)
                citations.append(_read_chunk(chunks[number], segment, index))
    citations += [_read_chunk(chunk, None, index) for number, chunk in enumerate(chunks) if number not in used]
    return citations


def _read_chunk(chunk: dict[str, Any], segment: dict[str, Any] | None, index: _TextIndex) -> PlacedCitation:
    source: dict[str, Any] = next((chunk[kind] for kind in _CHUNK_KINDS if isinstance(chunk.get(kind), dict)), {})
    url = optional_text(source.get("uri")) or optional_text(source.get("sourceUri"))
    citation = Citation(
        kind="url" if url else "document",
        url=url,
        title=optional_text(source.get("title")),
        cited_text=optional_text(source.get("text")),
        raw={"groundingChunk": chunk},
        dialect=DIALECT,
    )
    if segment is None:
        return PlacedCitation(index.last_text, citation)
    return _place(citation, segment, optional_text(segment.get("text")), index)


def _read_citation(raw: dict[str, Any], index: _TextIndex) -> PlacedCitation:
    url = optional_text(raw.get("uri"))
    citation = Citation(
        kind="url" if url else "unknown",
        url=url,
        title=optional_text(raw.get("title")),
        raw={"citation": raw},
        dialect=DIALECT,
    )
    return _place(citation, raw, "", index)


def _place(citation: Citation, segment: dict[str, Any], segment_text: str, index: _TextIndex) -> PlacedCitation:
    start, end = _read_offset(segment.get("startIndex")), _read_offset(segment.get("endIndex"))
    number = index.find_text(start, end, segment_text)
    if end > 0:
        citation.start, citation.end = index.char_offset(number, start), index.char_offset(number, end)
    return PlacedCitation(number, citation)


def _read_offset(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def write_grounding(cited: Sequence[tuple[str, Citation]]) -> dict[str, Any]:
    """Write `groundingMetadata` from citations and the texts they belong to."""
    chunks: list[dict[str, Any]] = []
    numbers: dict[tuple[str, str], int] = {}
    supports: list[dict[str, Any]] = []
    for text, citation in cited:
        key = (citation.url, citation.title)
        if key not in numbers:
            numbers[key] = len(chunks)
            chunks.append(_write_chunk(citation))
        if 0 <= citation.start <= citation.end:
            supports.append({"segment": _write_segment(text, citation), "groundingChunkIndices": [numbers[key]]})
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


def _write_segment(text: str, citation: Citation) -> dict[str, Any]:
    segment_text = text[citation.start : citation.end]
    start = len(text[: citation.start].encode("utf-8", "replace"))
    return {"startIndex": start, "endIndex": start + len(segment_text.encode("utf-8", "replace")), "text": segment_text}


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
