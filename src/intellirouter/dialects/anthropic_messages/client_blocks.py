"""Reads content blocks as parts. Requests and responses share this code because their blocks have the same form."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from intellirouter.dialects.anthropic_messages.wire import DIALECT, READER, missing_field, read_objects, wrong_type
from intellirouter.dialects.ir import (
    CacheMark,
    Citation,
    Foreign,
    Media,
    Opaque,
    Part,
    Reasoning,
    Source,
    Text,
    ToolCall,
    ToolResult,
    unwrap_token,
)
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.wire.json_reader import unknown_members
from intellirouter.dialects.wire.lenient import text_in

_TEXT: Final = frozenset({"type", "text", "citations", "cache_control"})
_IMAGE: Final = frozenset({"type", "source", "cache_control"})
_DOCUMENT: Final = frozenset({"type", "source", "title", "context", "citations", "cache_control"})
_THINKING: Final = frozenset({"type", "thinking", "signature"})
_REDACTED: Final = frozenset({"type", "data"})
_TOOL_USE: Final = frozenset({"type", "id", "name", "input", "cache_control"})
_TOOL_RESULT: Final = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})
_CALL_SIGNING_DIALECT: Final = "gemini"
"""The dialect that signs tool calls."""
CALL_TAG: Final = ".c"
"""At the end of a wrapped token: it belongs to the tool call after the thinking block, not to the thinking."""


def read_parts(content: Any, path: str) -> list[Part]:
    """Read the content of a message, which is a text or a list of blocks. Raises `InvalidRequest`."""
    if isinstance(content, str):
        return [Text(text=content)] if content else []
    blocks = read_objects(content, path)
    parts = [read_part(block, f"{path}.{index}") for index, block in enumerate(blocks)]
    signing = [part for part, block in zip(parts, blocks, strict=True) if _signs_call(part, block)]
    return _move_signatures_to_calls(parts, signing) if signing else parts


def _signs_call(part: Part, block: dict[str, Any]) -> bool:
    """Return whether it is a thinking block with the signature of a tool call: an empty one, or one with the tag."""
    if not isinstance(part, Reasoning) or part.token is None or part.token.dialect != _CALL_SIGNING_DIALECT:
        return False
    return not part.text or str(block.get("signature")).endswith(CALL_TAG)


def read_part(block: dict[str, Any], path: str) -> Part:
    """Read one block. A block type without an equivalent part becomes `Foreign`. Raises `InvalidRequest`."""
    read = _READERS.get(READER.required(block, "type", path))
    return foreign_part(block) if read is None else read(block, path)


def foreign_part(block: dict[str, Any]) -> Foreign:
    return Foreign(dialect=DIALECT, kind=block["type"], raw=block)


def read_cache_mark(block: Mapping[str, Any], path: str) -> CacheMark | None:
    control = READER.object(block, "cache_control", path)
    if control is None:
        return None
    return CacheMark(ttl=READER.text(control, "ttl", f"{path}.cache_control"))


def read_text(block: dict[str, Any], path: str) -> Text:
    return Text(
        text=READER.required(block, "text", path),
        citations=[read_citation(item) for item in read_objects(block.get("citations"), f"{path}.citations")],
        cache=read_cache_mark(block, path),
        extras=unknown_members(block, _TEXT),
    )


def read_citation(raw: Mapping[str, Any]) -> Citation:
    """Read a citation. Members of an unexpected type are ignored, because citations are not essential."""
    kind = text_in(raw, "type")
    citation = Citation(cited_text=text_in(raw, "cited_text"), raw=dict(raw), dialect=DIALECT)
    if kind == "web_search_result_location":
        citation.kind, citation.url, citation.title = "url", text_in(raw, "url"), text_in(raw, "title")
        if text_in(raw, "encrypted_index").startswith(
            WRAPPED_PREFIX
        ):  # written by the gateway for a citation of another dialect
            citation.raw, citation.dialect = None, ""
    elif kind == "search_result_location":
        source = text_in(raw, "source")
        citation.kind = "url" if source.startswith(("http://", "https://")) else "document"
        citation.url, citation.title = source, text_in(raw, "title")
        citation.source_start, citation.source_end = (
            _read_index(raw, "start_block_index"),
            _read_index(raw, "end_block_index"),
        )
    elif kind in _LOCATIONS:
        start, end = _LOCATIONS[kind]
        citation.kind, citation.title = "document", text_in(raw, "document_title")
        citation.document_index = _read_index(raw, "document_index")
        citation.source_start, citation.source_end = _read_index(raw, start), _read_index(raw, end)
    return citation


_LOCATIONS: Final[dict[Any, tuple[str, str]]] = {
    "char_location": ("start_char_index", "end_char_index"),
    "page_location": ("start_page_number", "end_page_number"),
    "content_block_location": ("start_block_index", "end_block_index"),
}


def _read_index(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _read_image(block: dict[str, Any], path: str) -> Part:
    source = _read_source(block, path)
    if source is None:
        return foreign_part(block)
    return Media(kind="image", source=source, cache=read_cache_mark(block, path), extras=unknown_members(block, _IMAGE))


def _read_document(block: dict[str, Any], path: str) -> Part:
    source = _read_source(block, path)
    extras = unknown_members(block, _DOCUMENT)
    if source is None:
        text = _join_text(block["source"].get("content"))
        if text is None:
            return foreign_part(block)
        source, extras["source"] = Source(text=text, media_type="text/plain"), block["source"]
    citations = READER.object(block, "citations", path)
    return Media(
        kind="document",
        source=source,
        name=READER.text(block, "title", path),
        context=READER.text(block, "context", path),
        has_citations=citations is not None and READER.flag(citations, "enabled", f"{path}.citations") is True,
        cache=read_cache_mark(block, path),
        extras=extras,
    )


def _read_source(block: dict[str, Any], path: str) -> Source | None:
    """Read a media source. None: a kind of source that has no equivalent in other dialects."""
    raw = READER.object(block, "source", path)
    path = f"{path}.source"
    if raw is None:
        raise missing_field(path)
    kind = READER.required(raw, "type", path)
    media_type = READER.text(raw, "media_type", path)
    if kind == "base64":
        return Source(data=READER.required(raw, "data", path), media_type=media_type)
    if kind == "url":
        return _url_source(READER.required(raw, "url", path), media_type)
    if kind == "file":
        return Source(file_id=READER.required(raw, "file_id", path), media_type=media_type)
    if kind == "text":
        return Source(text=READER.required(raw, "data", path), media_type=media_type or "text/plain")
    return None


def _url_source(url: str, media_type: str) -> Source:
    if not url.startswith("data:"):
        return Source(url=url, media_type=media_type)
    head, _, data = url[5:].partition(",")
    return Source(data=data, media_type=media_type or head.partition(";")[0])


def _join_text(content: Any) -> str | None:
    """Return the text of a document that consists of blocks. None: some of them are not text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [block.get("text") for block in content if isinstance(block, dict)]
    valid = [text for text in texts if isinstance(text, str)]
    return "\n".join(valid) if len(valid) == len(content) else None


def _read_thinking(block: dict[str, Any], path: str) -> Reasoning:
    return Reasoning(
        text=READER.text(block, "thinking", path),
        token=read_signature(READER.text(block, "signature", path)),
        extras=unknown_members(block, _THINKING),
    )


def read_signature(signature: str) -> Opaque | None:
    """Read a signature, either wrapped by the gateway or from Anthropic. None: the reasoning is not signed."""
    if signature.endswith(CALL_TAG) and signature.startswith(WRAPPED_PREFIX):
        signature = signature.removesuffix(CALL_TAG)
    token = unwrap_token(signature, DIALECT) if signature else None
    return token if token is not None and token.value else None


def _read_redacted_thinking(block: dict[str, Any], path: str) -> Reasoning:
    return Reasoning(
        token=read_signature(READER.required(block, "data", path)),
        is_redacted=True,
        extras=unknown_members(block, _REDACTED),
    )


def _read_tool_use(block: dict[str, Any], path: str) -> ToolCall:
    arguments = block.get("input")
    if arguments is not None and not isinstance(arguments, dict):
        raise wrong_type(f"{path}.input", "dictionary")
    return ToolCall(
        id=READER.required(block, "id", path),
        name=READER.required(block, "name", path),
        arguments=msgspec.json.encode(arguments or {}).decode(),
        cache=read_cache_mark(block, path),
        extras=unknown_members(block, _TOOL_USE),
    )


def _read_tool_result(block: dict[str, Any], path: str) -> ToolResult:
    content = block.get("content")
    extras = unknown_members(block, _TOOL_RESULT)
    parts: list[Text | Media] = []
    if isinstance(content, str):
        parts = [Text(text=content)]
    else:
        for index, item in enumerate(read_objects(content, f"{path}.content")):
            part = read_part(item, f"{path}.content.{index}")
            if isinstance(part, Text | Media):
                parts.append(part)
            else:  # unchanged for the same dialect, as text for others
                extras["content"] = content
                parts.append(Text(text=_block_as_text(item)))
    return ToolResult(
        call_id=READER.required(block, "tool_use_id", path),
        parts=parts,
        is_error=READER.flag(block, "is_error", path) is True,
        cache=read_cache_mark(block, path),
        extras=extras,
    )


def _block_as_text(block: dict[str, Any]) -> str:
    """Return a block that only this dialect has as text: a search result, the name of a tool, or else its JSON."""
    if block.get("type") == "search_result" and (text := _join_text(block.get("content"))) is not None:
        return "\n".join(line for line in (text_in(block, "title"), text_in(block, "source"), text) if line)
    if block.get("type") == "tool_reference":
        return text_in(block, "tool_name")
    return msgspec.json.encode(block).decode()


def _move_signatures_to_calls(parts: list[Part], signing: list[Part]) -> list[Part]:
    """Move signatures from these thinking blocks to the next tool calls. Blocks that are empty then are left out."""
    ids = {id(part) for part in signing}
    emptied: set[int] = set()
    pending: Reasoning | None = None
    for part in parts:
        if isinstance(part, Reasoning) and id(part) in ids:
            pending = part
        elif isinstance(part, ToolCall) and pending is not None:
            part.token, pending.token = pending.token, None
            if not pending.text:
                emptied.add(id(pending))
            pending = None
    return [part for part in parts if id(part) not in emptied]


_READERS: Final[dict[str, Any]] = {
    "text": read_text,
    "image": _read_image,
    "document": _read_document,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted_thinking,
    "tool_use": _read_tool_use,
    "tool_result": _read_tool_result,
}
