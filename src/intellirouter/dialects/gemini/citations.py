"""Grounding and citations, both ways. Google counts bytes of UTF-8, the intermediate form characters.

Source: Google, `GroundingMetadata` (`groundingChunks`, `groundingSupports.segment`) and `CitationMetadata`.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from intellirouter.dialects.gemini.wire import DIALECT, objects_in, text_of
from intellirouter.dialects.ir import Citation

_CHUNK_KINDS: Final = ("web", "maps", "retrievedContext", "image")


class Placed(Struct):
    """A citation and the number of the text it belongs to."""

    text: int
    citation: Citation


class _Texts:
    """The texts of one candidate, in bytes."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._bytes = [text.encode("utf-8", "replace") for text in texts]
        self.last = len(texts) - 1

    def find(self, start: int, end: int, said: str) -> int:
        """Return the text that a segment lies in: where its words stand, else the last one that is long enough."""
        wanted = said.encode("utf-8", "replace")
        for number, text in enumerate(self._bytes):
            if wanted and text[start:end] == wanted:
                return number
        for number in range(len(self._bytes) - 1, -1, -1):
            if len(self._bytes[number]) >= end and self._bytes[number]:
                return number
        return self.last

    def chars(self, number: int, offset: int) -> int:
        text = self._bytes[number]
        if offset > len(text):
            return -1
        return offset if text.isascii() else len(text[:offset].decode("utf-8", "ignore"))


def citations_of(candidate: dict[str, Any], texts: Sequence[str]) -> list[Placed]:
    """Read what a candidate cites. Without any text there is nothing that could cite."""
    grounding, cited = candidate.get("groundingMetadata"), candidate.get("citationMetadata")
    if not texts or not (isinstance(grounding, dict) or isinstance(cited, dict)):
        return []
    places = _Texts(texts)
    found = _grounded(grounding, places) if isinstance(grounding, dict) else []
    if isinstance(cited, dict):
        found += [_cited(each, places) for each in objects_in(cited.get("citations") or cited.get("citationSources"))]
    return found


def _grounded(grounding: dict[str, Any], places: _Texts) -> list[Placed]:
    chunks = objects_in(grounding.get("groundingChunks"))
    found: list[Placed] = []
    used: set[int] = set()
    for support in objects_in(grounding.get("groundingSupports")):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            if type(index) is int and 0 <= index < len(chunks):
                used.add(index)
                found.append(_placed(chunks[index], segment, places))
    found += [_placed(chunk, None, places) for index, chunk in enumerate(chunks) if index not in used]
    return found


def _placed(chunk: dict[str, Any], segment: dict[str, Any] | None, places: _Texts) -> Placed:
    source: dict[str, Any] = next((chunk[kind] for kind in _CHUNK_KINDS if isinstance(chunk.get(kind), dict)), {})
    url = text_of(source.get("uri")) or text_of(source.get("sourceUri"))
    citation = Citation(
        kind="url" if url else "document",
        url=url,
        title=text_of(source.get("title")),
        cited_text=text_of(source.get("text")),
        raw={"groundingChunk": chunk},
        dialect=DIALECT,
    )
    if segment is None:
        return Placed(places.last, citation)
    return _at(citation, segment, text_of(segment.get("text")), places)


def _cited(raw: dict[str, Any], places: _Texts) -> Placed:
    url = text_of(raw.get("uri"))
    citation = Citation(
        kind="url" if url else "unknown",
        url=url,
        title=text_of(raw.get("title")),
        raw={"citation": raw},
        dialect=DIALECT,
    )
    return _at(citation, raw, "", places)


def _at(citation: Citation, segment: dict[str, Any], said: str, places: _Texts) -> Placed:
    start, end = _offset(segment.get("startIndex")), _offset(segment.get("endIndex"))
    number = places.find(start, end, said)
    if end > 0:
        citation.start, citation.end = places.chars(number, start), places.chars(number, end)
    return Placed(number, citation)


def _offset(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def grounding_out(cited: Sequence[tuple[str, Citation]]) -> dict[str, Any]:
    """Write `groundingMetadata` from citations and the texts they belong to."""
    chunks: list[dict[str, Any]] = []
    numbers: dict[tuple[str, str], int] = {}
    supports: list[dict[str, Any]] = []
    for text, citation in cited:
        key = (citation.url, citation.title)
        if key not in numbers:
            numbers[key] = len(chunks)
            chunks.append(_chunk(citation))
        if 0 <= citation.start <= citation.end:
            supports.append({"segment": _segment(text, citation), "groundingChunkIndices": [numbers[key]]})
    found: dict[str, Any] = {"groundingChunks": chunks}
    if supports:
        found["groundingSupports"] = supports
    return found


def _chunk(citation: Citation) -> dict[str, Any]:
    if citation.dialect == DIALECT and isinstance(citation.raw, dict) and "groundingChunk" in citation.raw:
        chunk: dict[str, Any] = citation.raw["groundingChunk"]
        return chunk
    if citation.url:
        return {"web": {"uri": citation.url, **({"title": citation.title} if citation.title else {})}}
    return {"retrievedContext": {"title": citation.title, "text": citation.cited_text}}


def _segment(text: str, citation: Citation) -> dict[str, Any]:
    said = text[citation.start : citation.end]
    start = len(text[: citation.start].encode("utf-8", "replace"))
    return {"startIndex": start, "endIndex": start + len(said.encode("utf-8", "replace")), "text": said}


def logprobs_of(candidate: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Read `logprobsResult` in OpenAI's form; None when there is none."""
    result = candidate.get("logprobsResult")
    if not isinstance(result, dict):
        return None
    chosen = objects_in(result.get("chosenCandidates"))
    tops = objects_in(result.get("topCandidates"))
    found: list[dict[str, Any]] = []
    for index, each in enumerate(chosen):
        others = objects_in(tops[index].get("candidates")) if index < len(tops) else []
        found.append({**_token(each), "top_logprobs": [_token(other) for other in others]})
    return found or None


def _token(raw: dict[str, Any]) -> dict[str, Any]:
    token = text_of(raw.get("token"))
    return {
        "token": token,
        "logprob": _number(raw.get("logProbability")),
        "bytes": list(token.encode("utf-8", "replace")),
    }


def logprobs_out(tokens: Any) -> dict[str, Any]:
    """Write `logprobsResult` from OpenAI's form."""
    chosen = objects_in(tokens)
    return {
        "chosenCandidates": [_candidate(each) for each in chosen],
        "topCandidates": [
            {"candidates": [_candidate(other) for other in objects_in(each.get("top_logprobs"))]} for each in chosen
        ],
    }


def _candidate(raw: dict[str, Any]) -> dict[str, Any]:
    return {"token": text_of(raw.get("token")), "logProbability": _number(raw.get("logprob"))}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
