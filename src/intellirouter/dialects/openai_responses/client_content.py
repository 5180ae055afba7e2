"""Content parts of input messages and tool results, read into the intermediate form."""

import base64
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from intellirouter.dialects.ir import CacheMark, Citation, Foreign, Media, Part, Refusal, Source, Text
from intellirouter.dialects.openai_responses.fields import DIALECT, as_object
from intellirouter.dialects.wire.json_reader import READER, missing, unknown_members, wrong_type
from intellirouter.dialects.wire.lenient import text_in

_TEXT: Final = frozenset({"type", "text", "annotations", "logprobs", "prompt_cache_breakpoint"})
_REFUSAL: Final = frozenset({"type", "refusal"})
_IMAGE: Final = frozenset({"type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"})
_FILE: Final = frozenset({"type", "file_data", "file_url", "file_id", "filename", "detail", "prompt_cache_breakpoint"})
_AUDIO: Final = frozenset({"type", "input_audio"})
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text"})
MEDIA_TYPES: Final = {
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".json": "application/json",
    ".html": "text/html",
}


def decode_content(value: Any, path: str) -> list[Part]:
    """Read a message's content: a string, a list of parts, or null for none."""
    if value is None:
        return []
    if isinstance(value, str):
        return [Text(text=value)]
    if not isinstance(value, list):
        raise wrong_type(path, "one of a string or an array", value)
    return [_part(as_object(part, f"{path}[{index}]"), f"{path}[{index}]") for index, part in enumerate(value)]


def _part(part: dict[str, Any], path: str) -> Part:
    kind = READER.required(part, "type", path)
    if kind in _TEXTS:
        return Text(
            text=READER.required(part, "text", path),
            citations=[found for found in map(citation, READER.array(part, "annotations", path)) if found is not None],
            cache=_mark(part, path),
            extras=unknown_members(part, _TEXT),
        )
    if kind == "refusal":
        return Refusal(text=READER.required(part, "refusal", path), extras=unknown_members(part, _REFUSAL))
    if kind == "input_image":
        return _image(part, path)
    if kind == "input_file":
        return _file(part, path)
    if kind == "input_audio":
        return _audio(part, path)
    return Foreign(dialect=DIALECT, kind=kind, raw=part)


def _mark(part: dict[str, Any], path: str) -> CacheMark | None:
    mark = READER.object(part, "prompt_cache_breakpoint", path)
    return None if mark is None else CacheMark(ttl=READER.text(mark, "ttl", f"{path}.prompt_cache_breakpoint"))


def _image(part: dict[str, Any], path: str) -> Media:
    url, file_id = READER.text(part, "image_url", path), READER.text(part, "file_id", path)
    if not url and not file_id:
        raise missing(f"{path}.image_url")
    return Media(
        kind="image",
        source=source_of_url(url) if url else Source(file_id=file_id),
        detail=READER.text(part, "detail", path),
        cache=_mark(part, path),
        extras=unknown_members(part, _IMAGE),
    )


def _file(part: dict[str, Any], path: str) -> Media:
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
        cache=_mark(part, path),
        extras=unknown_members(part, _FILE),
    )


def _audio(part: dict[str, Any], path: str) -> Media:
    sound = READER.object(part, "input_audio", path)
    if sound is None:
        raise missing(f"{path}.input_audio")
    inner = f"{path}.input_audio"
    suffix = READER.text(sound, "format", inner)
    source = Source(data=READER.required(sound, "data", inner), media_type=f"audio/{suffix}" if suffix else "")
    return Media(kind="audio", source=source, extras=unknown_members(part, _AUDIO))


def source_of_url(url: str) -> Source:
    """Read a URL; what a `data:` URL holds becomes base64 without the prefix."""
    if not url.startswith("data:"):
        return Source(url=url)
    head, _, data = url[5:].partition(",")
    media_type, *flags = head.split(";")
    if "base64" not in flags:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Source(data=data, media_type=media_type)


def citation(raw: Any) -> Citation | None:
    """Read an annotation; one that is no object says nothing."""
    if not isinstance(raw, dict):
        return None
    kind = text_in(raw, "type")
    found = Citation(raw=raw, dialect=DIALECT, start=_offset(raw, "start_index"), end=_offset(raw, "end_index"))
    if kind == "url_citation":
        found.kind, found.url, found.title = "url", text_in(raw, "url"), text_in(raw, "title")
    elif kind in {"file_citation", "container_file_citation", "file_path"}:
        found.kind, found.title = "file", text_in(raw, "filename")
    return found


def _offset(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1
