"""What requests and answers refer to that only its creator knows: conversations, files, containers, reasoning.

Only members that hold such ids are read, so arguments and results of the client's own tools are never among them.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Call
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.openai_responses import client_request

_MAX_IDS: Final = 32
_MARKS: Final = {
    "openai_responses": (b'"encrypted_content"', b'"item_reference"', b'"file_id"', b'"container"', b'_store_ids"'),
    "openai_chat": (b'"audio"', b'"file_id"'),
    "anthropic_messages": (b'"container"', b'"file_id"'),
    "gemini": (b'"cachedContent"', b'"cached_content"', b'"fileUri"', b'"file_uri"'),
}
"""By dialect: a request without any of these refers to nothing, apart from the members below."""
_IDS: Final = frozenset({"file_id", "container_id", "fileUri", "file_uri"})
_TOP_LEVEL: Final = frozenset({"conversation", "container", "cachedContent", "cached_content", "prompt"})
"""They hold an id, or an object with one."""
_INSIDE: Final = frozenset(
    {"input", "messages", "contents", "content", "parts", "source", "file", "fileData", "file_data", "tools", "output"}
)
"""The members that may contain ids. Objects in `input` and `output` are those of the client's tools."""
_ONLY_LISTS: Final = frozenset({"input", "output"})
_MAY_CREATE: Final = {
    "openai_chat": re.compile(rb'"modalities"'),
    "anthropic_messages": re.compile(rb'"container"|code_execution'),
}
"""By dialect: what a request has whose answer may contain an id."""
_CREATED: Final = {
    "openai_chat": re.compile(rb'"audio":\s*\{\s*"id":\s*"([^"\\]{1,256})"'),
    "anthropic_messages": re.compile(rb'"container":\s*\{\s*"id":\s*"([^"\\]{1,256})"'),
}

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class VendorIds(Struct, frozen=True):
    """Ids, the latest one last."""

    objects: tuple[str, ...] = ()
    """Ids of objects at the vendor."""
    tokens: tuple[str, ...] = ()
    """Encrypted reasoning, which a model can do without."""

    def __bool__(self) -> bool:
        return bool(self.objects or self.tokens)


NO_IDS: Final = VendorIds()


def may_have_ids(call: Call) -> bool:
    """Return whether the request may refer to something. It costs less than reading it."""
    marks = _MARKS.get(call.dialect)
    if marks is None or call.operation != "chat":
        return False
    if call.dialect == "openai_responses":
        request = client_request.source_of(call)
        if request.conversation or request.prompt:
            return True
    return any(mark in call.body for mark in marks)


def ids_in_request(call: Call) -> VendorIds:
    """Return what the request refers to. Call it off the event loop if the request is large."""
    try:
        body = _decode(call.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NO_IDS
    objects = [_id_in(body[name]) for name in _TOP_LEVEL if name in body]
    objects += _objects_in(body)
    tokens = [
        each["encrypted_content"]
        for each in _dicts(body.get("input"))
        if isinstance(each.get("encrypted_content"), str)
    ]
    return VendorIds(_usable(objects), _usable(tokens))


def may_create_ids(call: Call) -> bool:
    """Return whether the answer may contain the id of something that a later request refers to."""
    if call.operation != "chat":
        return False
    if call.dialect == "openai_responses":
        return True
    pattern = _MAY_CREATE.get(call.dialect)
    return pattern is not None and pattern.search(call.body) is not None


def ids_in_response(response: bytes, *, is_stored: bool) -> VendorIds:
    """Return what a response of the Responses API has created. `is_stored`: the vendor stores its items, too."""
    try:
        body = _decode(response)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NO_IDS
    items = _dicts(body.get("output"))
    objects: list[Any] = [_id_in(body.get("conversation"))]
    for item in items:
        objects += [item.get("container_id"), item.get("id") if is_stored else None]
    return VendorIds(_usable(objects), _usable([each.get("encrypted_content") for each in items]))


def created_in(data: bytes, dialect: str) -> list[str]:
    """Return the ids in a piece of an answer of another API."""
    pattern = _CREATED.get(dialect)
    return [] if pattern is None else [each.decode("utf-8", "replace") for each in pattern.findall(data)]


def _objects_in(value: Any) -> Iterator[Any]:
    """Yield the ids of objects in a part of a request, in order."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += reversed(one)
        elif isinstance(one, dict):
            yield from _ids_of(one)
            inside = [(name, each) for name, each in one.items() if name in _INSIDE]
            pending += [each for name, each in reversed(inside) if name not in _ONLY_LISTS or isinstance(each, list)]


def _ids_of(one: dict[str, Any]) -> Iterator[Any]:
    yield from [each for name, each in one.items() if name in _IDS]
    if one.get("type") == "item_reference":
        yield one.get("id")
    if isinstance(audio := one.get("audio"), dict):
        yield audio.get("id")
    if isinstance(container := one.get("container"), str) and "type" in one:  # a tool
        yield container
    if isinstance(stores := one.get("vector_store_ids"), list):
        yield from stores


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _id_in(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


def _usable(ids: list[Any]) -> tuple[str, ...]:
    """Return the last ids, each once, without those that the gateway itself has issued, and without public URLs."""
    found = [
        each
        for each in ids
        if isinstance(each, str) and each and not each.startswith(WRAPPED_PREFIX) and _is_of_vendor(each)
    ]
    return tuple(dict.fromkeys(found))[-_MAX_IDS:]


def _is_of_vendor(name: str) -> bool:
    """Return whether this is not a public URL. Those of Google's files can be read by their owner only."""
    return "://" not in name or "generativelanguage.googleapis.com/" in name
