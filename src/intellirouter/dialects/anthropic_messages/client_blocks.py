"""From content blocks to parts. Used for requests and for answers: an answer's blocks are legal in a request."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from intellirouter.dialects.anthropic_messages.wire import DIALECT, READER, missing_field, objects, wrong_type
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
_SIGNS_CALLS: Final = "gemini"
"""The dialect that signs tool calls themselves: for our clients that signature is a thinking block before the call."""


def parts_of(content: Any, path: str) -> list[Part]:
    """Read a message's content, text or blocks. Raises `InvalidRequest`."""
    if isinstance(content, str):
        return [Text(text=content)] if content else []
    blocks = objects(content, path)
    return _signed_calls([part_of(block, f"{path}.{index}") for index, block in enumerate(blocks)])


def part_of(block: dict[str, Any], path: str) -> Part:
    """Read one block. A type that has no equal in the form becomes `Foreign`. Raises `InvalidRequest`."""
    read = _READERS.get(READER.required(block, "type", path))
    return foreign(block) if read is None else read(block, path)


def foreign(block: dict[str, Any]) -> Foreign:
    return Foreign(dialect=DIALECT, kind=block["type"], raw=block)


def cache_of(block: Mapping[str, Any], path: str) -> CacheMark | None:
    control = READER.object(block, "cache_control", path)
    if control is None:
        return None
    return CacheMark(ttl=READER.text(control, "ttl", f"{path}.cache_control"))


def text_of(block: dict[str, Any], path: str) -> Text:
    return Text(
        text=READER.required(block, "text", path),
        citations=[citation_of(item) for item in objects(block.get("citations"), f"{path}.citations")],
        cache=cache_of(block, path),
        extras=unknown_members(block, _TEXT),
    )


def citation_of(raw: Mapping[str, Any]) -> Citation:
    """Read a citation; odd types are as good as absent, since it only decorates."""
    kind = text_in(raw, "type")
    citation = Citation(cited_text=text_in(raw, "cited_text"), raw=dict(raw), dialect=DIALECT)
    if kind == "web_search_result_location":
        citation.kind, citation.url, citation.title = "url", text_in(raw, "url"), text_in(raw, "title")
        if text_in(raw, "encrypted_index").startswith(WRAPPED_PREFIX):  # made up by us for another dialect's citation
            citation.raw, citation.dialect = None, ""
    elif kind == "search_result_location":
        source = text_in(raw, "source")
        citation.kind = "url" if source.startswith(("http://", "https://")) else "document"
        citation.url, citation.title = source, text_in(raw, "title")
        citation.source_start, citation.source_end = _at(raw, "start_block_index"), _at(raw, "end_block_index")
    elif kind in _LOCATIONS:
        start, end = _LOCATIONS[kind]
        citation.kind, citation.title = "document", text_in(raw, "document_title")
        citation.document_index = _at(raw, "document_index")
        citation.source_start, citation.source_end = _at(raw, start), _at(raw, end)
    return citation


_LOCATIONS: Final[dict[Any, tuple[str, str]]] = {
    "char_location": ("start_char_index", "end_char_index"),
    "page_location": ("start_page_number", "end_page_number"),
    "content_block_location": ("start_block_index", "end_block_index"),
}


def _at(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _image(block: dict[str, Any], path: str) -> Part:
    source = _source(block, path)
    if source is None:
        return foreign(block)
    return Media(kind="image", source=source, cache=cache_of(block, path), extras=unknown_members(block, _IMAGE))


def _document(block: dict[str, Any], path: str) -> Part:
    source = _source(block, path)
    extras = unknown_members(block, _DOCUMENT)
    if source is None:
        text = _joined_text(block["source"].get("content"))
        if text is None:
            return foreign(block)
        source, extras["source"] = Source(text=text, media_type="text/plain"), block["source"]
    citations = READER.object(block, "citations", path)
    return Media(
        kind="document",
        source=source,
        name=READER.text(block, "title", path),
        context=READER.text(block, "context", path),
        has_citations=citations is not None and READER.flag(citations, "enabled", f"{path}.citations") is True,
        cache=cache_of(block, path),
        extras=extras,
    )


def _source(block: dict[str, Any], path: str) -> Source | None:
    """Read where the bytes are; None for a kind of source that the form has no slot for."""
    raw = READER.object(block, "source", path)
    path = f"{path}.source"
    if raw is None:
        raise missing_field(path)
    kind = READER.required(raw, "type", path)
    media_type = READER.text(raw, "media_type", path)
    if kind == "base64":
        return Source(data=READER.required(raw, "data", path), media_type=media_type)
    if kind == "url":
        return _linked(READER.required(raw, "url", path), media_type)
    if kind == "file":
        return Source(file_id=READER.required(raw, "file_id", path), media_type=media_type)
    if kind == "text":
        return Source(text=READER.required(raw, "data", path), media_type=media_type or "text/plain")
    return None


def _linked(url: str, media_type: str) -> Source:
    if not url.startswith("data:"):
        return Source(url=url, media_type=media_type)
    head, _, data = url[5:].partition(",")
    return Source(data=data, media_type=media_type or head.partition(";")[0])


def _joined_text(content: Any) -> str | None:
    """Return the text of a document that is made of blocks; None when there is more than text in it."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [block.get("text") for block in content if isinstance(block, dict)]
    known = [text for text in texts if isinstance(text, str)]
    return "\n".join(known) if len(known) == len(content) else None


def _thinking(block: dict[str, Any], path: str) -> Reasoning:
    return Reasoning(
        text=READER.text(block, "thinking", path),
        token=token_of(READER.text(block, "signature", path)),
        extras=unknown_members(block, _THINKING),
    )


def token_of(signature: str) -> Opaque | None:
    """Read a signature of ours (wrapped) or of Anthropic's. Thoughts that nobody signed carry an empty one."""
    token = unwrap_token(signature, DIALECT) if signature else None
    return token if token is not None and token.value else None


def _redacted(block: dict[str, Any], path: str) -> Reasoning:
    return Reasoning(
        token=token_of(READER.required(block, "data", path)), is_redacted=True, extras=unknown_members(block, _REDACTED)
    )


def _tool_use(block: dict[str, Any], path: str) -> ToolCall:
    arguments = block.get("input")
    if arguments is not None and not isinstance(arguments, dict):
        raise wrong_type(f"{path}.input", "dictionary")
    return ToolCall(
        id=READER.required(block, "id", path),
        name=READER.required(block, "name", path),
        arguments=msgspec.json.encode(arguments or {}).decode(),
        cache=cache_of(block, path),
        extras=unknown_members(block, _TOOL_USE),
    )


def _tool_result(block: dict[str, Any], path: str) -> ToolResult:
    content = block.get("content")
    extras = unknown_members(block, _TOOL_RESULT)
    parts: list[Text | Media] = []
    if isinstance(content, str):
        parts = [Text(text=content)]
    else:
        for index, item in enumerate(objects(content, f"{path}.content")):
            part = part_of(item, f"{path}.content.{index}")
            if isinstance(part, Text | Media):
                parts.append(part)
            else:  # kept whole for the same dialect, in words for others
                extras["content"] = content
                parts.append(Text(text=_in_words(item)))
    return ToolResult(
        call_id=READER.required(block, "tool_use_id", path),
        parts=parts,
        is_error=READER.flag(block, "is_error", path) is True,
        cache=cache_of(block, path),
        extras=extras,
    )


def _in_words(block: dict[str, Any]) -> str:
    """Say a block that only this dialect knows as text: a search result, the name of a tool, any other as JSON."""
    if block.get("type") == "search_result" and (text := _joined_text(block.get("content"))) is not None:
        return "\n".join(line for line in (text_in(block, "title"), text_in(block, "source"), text) if line)
    if block.get("type") == "tool_reference":
        return text_in(block, "tool_name")
    return msgspec.json.encode(block).decode()


def _signed_calls(parts: list[Part]) -> list[Part]:
    """Give a call the signature that stood before it as a thinking block without thoughts."""
    if not any(isinstance(part, Reasoning) and _is_signature(part) for part in parts):
        return parts
    kept: list[Part] = []
    for part in parts:
        before = kept[-1] if kept else None
        if isinstance(part, ToolCall) and isinstance(before, Reasoning) and _is_signature(before):
            part.token = before.token
            kept.pop()
        kept.append(part)
    return kept


def _is_signature(part: Reasoning) -> bool:
    return not part.text and part.token is not None and part.token.dialect == _SIGNS_CALLS


_READERS: Final[dict[str, Any]] = {
    "text": text_of,
    "image": _image,
    "document": _document,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
