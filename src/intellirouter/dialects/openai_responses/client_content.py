"""Reads the content of input messages and tool results as parts."""

from typing import Any, Final

from intellirouter.dialects.ir import CacheMark, Citation, Foreign, Media, Part, Refusal, Source, Text
from intellirouter.dialects.openai_responses.fields import DIALECT, as_object
from intellirouter.dialects.wire.data_urls import read_data_url
from intellirouter.dialects.wire.json_reader import READER, missing, unknown_members, wrong_type
from intellirouter.dialects.wire.lenient import text_in

_TEXT: Final = frozenset({"type", "text", "annotations", "logprobs", "prompt_cache_breakpoint"})
_REFUSAL: Final = frozenset({"type", "refusal"})
_IMAGE: Final = frozenset({"type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"})
_FILE: Final = frozenset({"type", "file_data", "file_url", "file_id", "filename", "detail", "prompt_cache_breakpoint"})
_AUDIO: Final = frozenset({"type", "input_audio"})
_TEXT_TYPES: Final = frozenset({"input_text", "output_text", "text", "summary_text"})
MEDIA_TYPES: Final = {
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".json": "application/json",
    ".html": "text/html",
}


def read_content(value: Any, path: str) -> list[Part]:
    """Read the content of a message, which is a text, a list of parts, or null. Raises `InvalidRequest`."""
    if value is None:
        return []
    if isinstance(value, str):
        return [Text(text=value)]
    if not isinstance(value, list):
        raise wrong_type(path, "one of a string or an array", value)
    return [_read_part(as_object(part, f"{path}[{index}]"), f"{path}[{index}]") for index, part in enumerate(value)]


def _read_part(part: dict[str, Any], path: str) -> Part:
    kind = READER.required(part, "type", path)
    if kind in _TEXT_TYPES:
        return Text(
            text=READER.required(part, "text", path),
            citations=read_citations(READER.array(part, "annotations", path)),
            cache=_read_cache_mark(part, path),
            extras=unknown_members(part, _TEXT),
        )
    if kind == "refusal":
        return Refusal(text=READER.required(part, "refusal", path), extras=unknown_members(part, _REFUSAL))
    if kind == "input_image":
        return _read_image(part, path)
    if kind == "input_file":
        return _read_file(part, path)
    if kind == "input_audio":
        return _read_audio(part, path)
    return Foreign(dialect=DIALECT, kind=kind, raw=part)


def _read_cache_mark(part: dict[str, Any], path: str) -> CacheMark | None:
    mark = READER.object(part, "prompt_cache_breakpoint", path)
    return None if mark is None else CacheMark(ttl=READER.text(mark, "ttl", f"{path}.prompt_cache_breakpoint"))


def _read_image(part: dict[str, Any], path: str) -> Media:
    url, file_id = READER.text(part, "image_url", path), READER.text(part, "file_id", path)
    if not url and not file_id:
        raise missing(f"{path}.image_url")
    return Media(
        kind="image",
        source=source_of_url(url) if url else Source(file_id=file_id),
        detail=READER.text(part, "detail", path),
        cache=_read_cache_mark(part, path),
        extras=unknown_members(part, _IMAGE),
    )


def _read_file(part: dict[str, Any], path: str) -> Media:
    name = READER.text(part, "filename", path)
    data, url, file_id = (READER.text(part, member, path) for member in ("file_data", "file_url", "file_id"))
    if data:
        source = source_of_url(data) if data.startswith("data:") else Source(data=data)
    elif url:
        source = source_of_url(url)
    elif file_id:
        source = Source(file_id=file_id)
    else:
        raise missing(f"{path}.file_data")
    if not source.media_type and not file_id:
        dot = name.rfind(".")
        source.media_type = MEDIA_TYPES.get(name[dot:].lower(), "") if dot >= 0 else ""
    return Media(
        kind="document",
        source=source,
        name=name,
        detail=READER.text(part, "detail", path),
        cache=_read_cache_mark(part, path),
        extras=unknown_members(part, _FILE),
    )


def _read_audio(part: dict[str, Any], path: str) -> Media:
    audio = READER.object(part, "input_audio", path)
    if audio is None:
        raise missing(f"{path}.input_audio")
    inner = f"{path}.input_audio"
    suffix = READER.text(audio, "format", inner)
    source = Source(data=READER.required(audio, "data", inner), media_type=f"audio/{suffix}" if suffix else "")
    return Media(kind="audio", source=source, extras=unknown_members(part, _AUDIO))


def source_of_url(url: str) -> Source:
    """Read a URL. The content of a `data:` URL becomes base64 data."""
    if not url.startswith("data:"):
        return Source(url=url)
    media_type, data = read_data_url(url) or (url.removeprefix("data:").partition(";")[0], "")
    return Source(data=data, media_type=media_type)


def read_citations(annotations: list[Any]) -> list[Citation]:
    return [citation for citation in map(read_citation, annotations) if citation is not None]


def read_citation(raw: Any) -> Citation | None:
    """Read an annotation; None if it is not an object."""
    if not isinstance(raw, dict):
        return None
    kind = text_in(raw, "type")
    citation = Citation(
        raw=raw, dialect=DIALECT, start=_read_offset(raw, "start_index"), end=_read_offset(raw, "end_index")
    )
    if kind == "url_citation":
        citation.kind, citation.url, citation.title = "url", text_in(raw, "url"), text_in(raw, "title")
    elif kind in {"file_citation", "container_file_citation", "file_path"}:
        citation.kind, citation.title = "file", text_in(raw, "filename")
    return citation


def _read_offset(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1
