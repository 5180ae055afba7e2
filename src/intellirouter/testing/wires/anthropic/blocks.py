"""Validate content blocks: their types and members, and that calls and results match."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.anthropic.fields import EXTRA, at, known_only, one_of, optional, required, typed
from intellirouter.testing.wires.anthropic.reply import invalid
from intellirouter.testing.wires.shared.opaque_tokens import is_issued

TOKENS_PER_ATTACHMENT: Final = 85
MAX_CACHE_MARKS: Final = 4
_MEMBERS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "text": frozenset({"text", "citations"}),
        "image": frozenset({"source", "transformations"}),
        "document": frozenset({"source", "title", "context", "citations"}),
        "search_result": frozenset({"source", "title", "content", "citations"}),
        "tool_result": frozenset({"tool_use_id", "content", "is_error", "toolset_name"}),
        "tool_reference": frozenset({"tool_name"}),
        "thinking": frozenset({"thinking", "signature"}),
        "redacted_thinking": frozenset({"data"}),
        "tool_use": frozenset({"id", "name", "input", "caller", "toolset_name"}),
    }
)
"""Members in addition to `type` and `cache_control`; blocks of Anthropic's own tools are not validated."""
_BY_ROLE: Final = {
    "user": frozenset({"text", "image", "document", "search_result", "tool_result", "container_upload"}),
    "assistant": frozenset({"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "fallback"}),
    "system": frozenset({"text"}),
}
_IN_RESULT: Final = frozenset({"text", "image", "document", "search_result", "tool_reference"})
_UNMARKED: Final = frozenset({"thinking", "redacted_thinking"})
_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")


def check_content(content: Any, role: str, where: str) -> list[dict[str, Any]]:
    """Return the blocks of a message; a string becomes one text block."""
    if isinstance(content, str):
        if not content:
            raise invalid(where.rpartition(".")[0], "user messages must have non-empty content")
        return [{"type": "text", "text": content}]
    blocks = typed(content, list, where)
    for index, block in enumerate(blocks):
        check_block(block, _BY_ROLE[role], at(where, index))
    return blocks


def check_block(block: Any, allowed: frozenset[str], where: str) -> None:
    typed(block, dict, where)
    kind = str(block.get("type"))
    is_own = kind.endswith("_tool_result")
    if kind not in allowed and not is_own:
        tags = ", ".join(f"'{name}'" for name in sorted(allowed))
        raise invalid(where, f"Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}")
    members = _MEMBERS.get(kind)
    if members is not None:
        for name in block:
            if name not in members and name not in {"type", "cache_control"}:
                raise invalid(f"{where}.{kind}.{name}", EXTRA)
    check_cache_mark(block, f"{where}.{kind}")
    if block.get("cache_control") is not None and kind in _UNMARKED:
        raise invalid(f"{where}.{kind}.cache_control", EXTRA)
    check = _CHECKS.get(kind)
    if check is not None:
        check(block, f"{where}.{kind}")


def check_cache_mark(document: dict[str, Any], where: str) -> None:
    mark = optional(document, "cache_control", dict, where)
    if mark is None:
        return
    place = at(where, "cache_control")
    known_only(mark, ("type", "ttl", "scope"), f"{place}.ephemeral")
    one_of(mark.get("type"), ("ephemeral",), f"{place}.type")
    if mark.get("ttl") is not None:
        one_of(mark["ttl"], ("5m", "1h"), f"{place}.ephemeral.ttl")


def _text(block: dict[str, Any], where: str) -> None:
    text = required(block, "text", str, where)
    if not text:
        if block.get("cache_control") is not None:
            raise invalid(where, "cache_control cannot be set for empty text blocks")
        raise invalid(where.split(".", 1)[0], "text content blocks must be non-empty")
    if not text.strip():
        raise invalid(where.split(".", 1)[0], "text content blocks must contain non-whitespace text")


def _source(block: dict[str, Any], where: str) -> None:
    source = required(block, "source", dict, where)
    place = f"{where}.source"
    kind = one_of(source.get("type"), ("base64", "url", "file", "text", "content"), f"{place}.type")
    if kind == "base64":
        media = required(source, "media_type", str, f"{place}.base64")
        allowed = _IMAGES if block["type"] == "image" else ("application/pdf",)
        one_of(media, allowed, f"{place}.base64.media_type")
        data = required(source, "data", str, f"{place}.base64")
        if data.startswith("data:"):
            raise invalid(f"{place}.base64", "invalid base64 data")
    elif kind == "url":
        url = required(source, "url", str, f"{place}.url")
        if not url.startswith(("https://", "http://")):
            raise invalid(f"{place}.url.url", "Only HTTPS URLs are supported.")


def _result(block: dict[str, Any], where: str) -> None:
    required(block, "tool_use_id", str, where)
    optional(block, "is_error", bool, where)
    content = block.get("content")
    if content is None or isinstance(content, str):
        return
    for index, part in enumerate(typed(content, list, at(where, "content"))):
        check_block(part, _IN_RESULT, f"{where}.content.{index}")


def _call(block: dict[str, Any], where: str) -> None:
    name = required(block, "id", str, where)
    if not name or not all(char.isascii() and (char.isalnum() or char in "_-") for char in name):
        raise invalid(at(where, "id"), "String should match pattern '^[a-zA-Z0-9_-]+$'")
    required(block, "name", str, where)
    required(block, "input", dict, where)


def _thinking(block: dict[str, Any], where: str) -> None:
    text = required(block, "thinking", str, where)
    signature = required(block, "signature", str, where)
    if not is_issued(signature, text):
        raise invalid(where.rpartition(".")[0], "Invalid `signature` in `thinking` block")


def _redacted(block: dict[str, Any], where: str) -> None:
    if not is_issued(required(block, "data", str, where), "redacted"):
        raise invalid(where.rpartition(".")[0], "Invalid `data` in `redacted_thinking` block")


_CHECKS: Final = {
    "text": _text,
    "image": _source,
    "document": _source,
    "tool_result": _result,
    "tool_use": _call,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


def check_pairs(turns: list[tuple[str, int, list[dict[str, Any]]]]) -> None:
    """Validate calls and results of merged turns: (role, index of the first message, blocks).

    The next turn must begin with exactly one result for each call.
    """
    open_ids: list[str] = []
    opened_at = 0
    for role, index, blocks in turns:
        if role == "assistant":
            calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
            if len(calls) != len(set(calls)):
                raise invalid("messages", "`tool_use` ids must be unique")
            _require_results(open_ids, opened_at)
            open_ids, opened_at = calls, index
            continue
        answered = _leading_results(blocks)
        for place, block in enumerate(blocks):
            name = block.get("tool_use_id")
            if block["type"] == "tool_result" and name not in open_ids:
                raise invalid(
                    f"messages.{index}.content.{place}",
                    f"unexpected `tool_use_id` found in `tool_result` blocks: {name}. Each `tool_result` block must "
                    "have a corresponding `tool_use` block in the previous message.",
                )
        if len(answered) != len(set(answered)):
            duplicate = next(name for name in answered if answered.count(name) > 1)
            raise invalid(
                f"messages.{index}.content.{answered.index(duplicate) + 1}",
                f"each tool_use must have a single result. Found multiple `tool_result` blocks with id: {duplicate}",
            )
        _require_results([name for name in open_ids if name not in answered], opened_at)
        open_ids = []
    _require_results(open_ids, opened_at)


def _require_results(ids: list[str], index: int) -> None:
    if ids:
        raise invalid(
            f"messages.{index}",
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(ids)}. Each "
            "`tool_use` block must have a corresponding `tool_result` block in the next message.",
        )


def _leading_results(blocks: list[dict[str, Any]]) -> list[str]:
    found = []
    for block in blocks:
        if block["type"] != "tool_result":
            break
        found.append(block["tool_use_id"])
    return found


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(block["text"] for block in content if isinstance(block, dict) and isinstance(block.get("text"), str))


def block_tokens(block: dict[str, Any]) -> int:
    match block["type"]:
        case "text":
            return count_tokens(block["text"])
        case "thinking":
            return count_tokens(block["thinking"])
        case "tool_result":
            content = block.get("content")
            parts = content if isinstance(content, list) else []
            return count_tokens(text_of(content)) + sum(
                TOKENS_PER_ATTACHMENT for part in parts if isinstance(part, dict) and part.get("type") != "text"
            )
        case "tool_use":
            return count_tokens(block["name"] + str(block["input"]))
        case _:
            return TOKENS_PER_ATTACHMENT


def marks_of(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the cache marks of the blocks."""
    return (block["cache_control"] for block in blocks if block.get("cache_control") is not None)
