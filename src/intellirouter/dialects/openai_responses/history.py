"""Conversations kept on the server's side: what to remember of an exchange, and how to go on from it.

Pure: a store above keeps what these functions return. Items are normalised: every one has a `type`, and an `id` of
its kind. Instructions are not among them, because they are not inherited.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import errors, new_id
from intellirouter.dialects.openai_responses.client_input import kind_of
from intellirouter.dialects.wire.request_validation import decode_body
from intellirouter.dialects.wire.sse import event_data, split_events

_PREFIXES: Final = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "reasoning": "rs_",
    "web_search_call": "ws_",
    "file_search_call": "fs_",
    "computer_call": "cu_",
    "computer_call_output": "cuo_",
    "code_interpreter_call": "ci_",
    "image_generation_call": "ig_",
    "local_shell_call": "lsh_",
    "shell_call": "sh_",
    "apply_patch_call": "apc_",
    "mcp_call": "mcp_",
    "mcp_list_tools": "mcpl_",
    "mcp_approval_request": "mcpr_",
    "compaction": "cmp_",
}
_NAMED_BY_VENDOR: Final = frozenset({"message", "function_call", "custom_tool_call"})
"""Their ids tie them to a thought that the vendor may not have kept: they are left out of the next request."""
_TERMINATORS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})

_object: Final = msgspec.json.Decoder(dict[str, Any])


class _Terminator(msgspec.Struct):
    type: Any = None
    response: msgspec.Raw = msgspec.Raw()


_terminator: Final = msgspec.json.Decoder(_Terminator)


def input_items(body: bytes) -> list[dict[str, Any]]:
    """Return a request's input as items with types and ids. Raises `InvalidRequest`."""
    given = decode_body(_object, body).get("input")
    if isinstance(given, str):
        content = [{"type": "input_text", "text": given}]
        return [{"type": "message", "id": new_id("msg_"), "role": "user", "content": content}]
    items = given if isinstance(given, list) else []
    return [_normal(item, f"input[{index}]") for index, item in enumerate(items)]


def _normal(item: Any, path: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise errors.InvalidRequest(f"Invalid type for '{path}': expected an object.", code="invalid_type", param=path)
    kind = kind_of(item, path)
    normal = {"type": kind, **{name: value for name, value in item.items() if name != "type"}}
    if not normal.get("id"):
        normal["id"] = new_id(_PREFIXES.get(kind, "item_"))
    if kind == "message" and isinstance(normal.get("content"), str):
        form = "output_text" if normal.get("role") == "assistant" else "input_text"
        normal["content"] = [{"type": form, "text": normal["content"]}]
    return normal


def output_items(response_body: bytes) -> list[dict[str, Any]]:
    """Return the items of a response; none for a body that is no response."""
    try:
        output = _object.decode(response_body).get("output")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def with_history(body: bytes, items: list[dict[str, Any]]) -> bytes:
    """Return the request with earlier items before its input, and without `previous_response_id`.

    Thoughts that nobody could understand again (neither text nor token) and the ids that point at them are left out.
    """
    document = decode_body(_object, body)
    document.pop("previous_response_id", None)
    given = document.get("input")
    if isinstance(given, str):
        given = [{"type": "message", "role": "user", "content": given}]
    document["input"] = [*_replayed(items), *(given if isinstance(given, list) else [])]
    return msgspec.json.encode(document)


def in_foreground(body: bytes) -> bytes:
    """Return the request without `background`: who asks an upstream on behalf of a client that left waits for it."""
    document = decode_body(_object, body)
    document.pop("background", None)
    return msgspec.json.encode(document)


def _replayed(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    replayed: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type")
        if kind == "reasoning" and not (item.get("encrypted_content") or item.get("content")):
            continue
        left_out = {"id", "status"} if kind in _NAMED_BY_VENDOR else {"status"} if kind == "reasoning" else set()
        replayed.append({name: value for name, value in item.items() if name not in left_out and value is not None})
    return replayed


def final_response(stream: bytes) -> bytes | None:
    """Return the response object that a client's stream (or its tail) ended with, None if it was cut off."""
    for event in reversed(split_events(stream)):
        data = event_data(event)
        if data is None:
            continue
        try:
            read = _terminator.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(read.type, str) and read.type in _TERMINATORS:
            return bytes(read.response) or None
    return None
