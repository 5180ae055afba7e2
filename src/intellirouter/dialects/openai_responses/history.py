"""Stored conversations: the items of an exchange that are stored, and requests that continue from them.

The functions are pure; the store of responses stores what they return. Items are normalized: each has a `type`, and an
`id` with the prefix of its type. Instructions are not stored, because later requests do not inherit them.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import errors, new_id
from intellirouter.dialects.openai_responses.client_input import item_type
from intellirouter.dialects.wire.request_validation import decode_body
from intellirouter.dialects.wire.sse import event_data, split_events

_ID_PREFIXES: Final = {
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
_TYPES_WITHOUT_ID: Final = frozenset({"message", "function_call", "custom_tool_call"})
"""Their ids refer to reasoning that the vendor may not have stored, so the next request does not contain them."""
_TERMINATORS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})

_object: Final = msgspec.json.Decoder(dict[str, Any])


class _Terminator(msgspec.Struct):
    type: Any = None
    response: msgspec.Raw = msgspec.Raw()


_terminator: Final = msgspec.json.Decoder(_Terminator)


def input_items(body: bytes) -> list[dict[str, Any]]:
    """Return a request's input as items with types and ids. Raises `InvalidRequest`."""
    value = decode_body(_object, body).get("input")
    if isinstance(value, str):
        content = [{"type": "input_text", "text": value}]
        return [{"type": "message", "id": new_id("msg_"), "role": "user", "content": content}]
    items = value if isinstance(value, list) else []
    return [_normalize_item(item, f"input[{index}]") for index, item in enumerate(items)]


def _normalize_item(item: Any, path: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise errors.InvalidRequest(f"Invalid type for '{path}': expected an object.", code="invalid_type", param=path)
    kind = item_type(item, path)
    normal = {"type": kind, **{name: value for name, value in item.items() if name != "type"}}
    if not normal.get("id"):
        normal["id"] = new_id(_ID_PREFIXES.get(kind, "item_"))
    if kind == "message" and isinstance(normal.get("content"), str):
        part_type = "output_text" if normal.get("role") == "assistant" else "input_text"
        normal["content"] = [{"type": part_type, "text": normal["content"]}]
    return normal


def output_items(response_body: bytes) -> list[dict[str, Any]]:
    """Return the output items of a response; empty if the body is not a valid response."""
    try:
        output = _object.decode(response_body).get("output")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def with_history(body: bytes, items: list[dict[str, Any]]) -> bytes:
    """Return the request with earlier items before its input, and without `previous_response_id`.

    Reasoning with neither text nor token is left out, because no upstream can use it, and so are ids that refer to it.
    """
    document = decode_body(_object, body)
    document.pop("previous_response_id", None)
    current = document.get("input")
    if isinstance(current, str):
        current = [{"type": "message", "role": "user", "content": current}]
    document["input"] = [*_replay_items(items), *(current if isinstance(current, list) else [])]
    return msgspec.json.encode(document)


def without_background(body: bytes) -> bytes:
    """Return the request without `background`, because the gateway itself waits for the upstream's response."""
    document = decode_body(_object, body)
    document.pop("background", None)
    return msgspec.json.encode(document)


def _replay_items(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    replayed: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type")
        if kind == "reasoning" and not (item.get("encrypted_content") or item.get("content")):
            continue
        excluded = {"id", "status"} if kind in _TYPES_WITHOUT_ID else {"status"} if kind == "reasoning" else set()
        replayed.append({name: value for name, value in item.items() if name not in excluded and value is not None})
    return replayed


def final_response(stream: bytes) -> bytes | None:
    """Return the final response object of a client's stream (or of its tail); None if the stream was cut off."""
    for event in reversed(split_events(stream)):
        data = event_data(event)
        if data is None:
            continue
        try:
            terminator = _terminator.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(terminator.type, str) and terminator.type in _TERMINATORS:
            return bytes(terminator.response) or None
    return None
