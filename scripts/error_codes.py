"""The specific error codes that single calls set, found in the source, and what each means, for the error reference."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).resolve().parent.parent / "src" / "intellirouter"
_IMITATIONS: Final = {"fake", "testing"}
"""Rooms that answer as vendors do."""
_CALLS_WITH_STATUS: Final = {"BadRequest": "InvalidRequest"}
"""Exceptions that become an error of the tree."""
_DEFAULT_CODES: Final = {"BadRequest": ast.Constant("invalid_http")}
_BATCH_LINE: Final = "LineError"
"""An error in the result of a batch; it has no HTTP status."""

_INDIRECT: Final = {"upstream_connect_timeout": "504"}
"""Statuses of codes that the source sets by the name of a constant. Others have 400."""

MEANINGS: Final = {
    "batch_not_found": "There is no batch with this ID, or it belongs to another tenant.",
    "content_policy_violation": "The provider refuses the content. A deployment of another provider may serve it.",
    "context_length_exceeded": "The request is longer than the context window of the model.",
    "creator_not_available": "Only the credential that created what the request refers to can read it, and the model "
    "has it no longer.",
    "decimal_above_max_value": "A number is greater than the largest value of its parameter.",
    "decimal_below_min_value": "A number is less than the smallest value of its parameter.",
    "duplicate_id": "A frame on a WebSocket has the `id` of a request that is in progress.",
    "duplicate_parameter": "A JSON object or form contains the same name more than once.",
    "empty_array": "A list that must have elements is empty.",
    "empty_file": "The input file of a batch has no lines.",
    "expired_api_key": "The API key has expired.",
    "file_not_found": "There is no file with this ID, or it belongs to another tenant.",
    "headers_too_large": "The headers of the request are too large, or there are too many of them.",
    "idempotency_key_in_use": "A request with this `Idempotency-Key` is in progress, and its answer cannot be shared.",
    "idempotency_key_reused": "The `Idempotency-Key` was used for another request in the last 24 hours.",
    "integer_above_max_value": "An integer is greater than the largest value of its parameter.",
    "integer_below_min_value": "An integer is less than the smallest value of its parameter.",
    "invalid_base64": "The data of an image, an audio file or a document is empty or not valid base64.",
    "invalid_form": "The body is not a valid multipart form.",
    "invalid_frame": "A frame on a WebSocket is not valid.",
    "invalid_handshake": "The request for a WebSocket is not a valid handshake.",
    "invalid_http": "The request violates HTTP/1.1, so its end is uncertain. The connection is closed.",
    "invalid_json": "The body is not valid JSON.",
    "invalid_status": "The object is in a state in which this is not possible, such as canceling a completed batch.",
    "invalid_type": "A value has another type than its parameter.",
    "invalid_url": "The URL of a media file cannot be used.",
    "invalid_value": "A value is not one that its parameter accepts.",
    "limit_exceeded": "The body exceeds a limit of the gateway, such as `server.max_json_depth`.",
    "media_too_large": "A media file that the gateway has to download is too large.",
    "missing_api_key": "The request has no API key.",
    "missing_required_parameter": "A required parameter is missing.",
    "object_above_max_properties": "An object has more properties than its parameter accepts.",
    "pip_missing": "The bundled model cannot be downloaded, because Python's pip is not installed.",
    "previous_response_not_found": "There is no response with this `previous_response_id`, or it has expired.",
    "request_not_found": "There is no record of this request, or this key may not read it.",
    "request_too_large": "The request is larger than the rate limit of the provider allows in a minute, or than its "
    "account can pay for. Send less, or a smaller `max_tokens`.",
    "response_not_found": "There is no response with this ID, or it belongs to another tenant.",
    "run_dir_unusable": "The directory of the sockets of local models cannot be used.",
    "server_error": "The batch failed in the gateway. See its log for details.",
    "session_expired": "The WebSocket was idle, or open, for too long.",
    "storage_limit_exceeded": "The files of the tenant exceed `files.max_tenant_bytes` or `files.max_tenant_files`.",
    "store_unavailable": "The database of the gateway cannot be used now.",
    "string_above_max_length": "A string is too long.",
    "string_below_min_length": "A string is too short.",
    "target_too_long": "The path and the query of the URL are too long.",
    "too_many_tasks": "The input file of a batch has too many lines.",
    "too_many_urls": "The request contains too many URLs of media files.",
    "unknown_frame_type": "A frame on a WebSocket has an unknown `type`.",
    "unknown_header": "A request header that begins with `x-intellirouter-` is unknown.",
    "unknown_id": "A frame on a WebSocket has an `id` that belongs to no request in progress.",
    "unknown_method": "The HTTP method is unknown.",
    "unknown_parameter": "The control API does not know this query parameter.",
    "unsupported_parameter": "The gateway does not support this parameter in this version.",
    "unsupported_value": "The gateway does not support this value.",
    "upstream_connect_timeout": "The connection to the provider was not established in time.",
    "websocket_not_supported": "This path does not serve WebSockets.",
    "websocket_required": "This path serves WebSockets only.",
}


def specific_codes(statuses: dict[str, str], class_codes: set[str]) -> dict[str, str]:
    """Return the statuses of every code that is not one of `class_codes`. `statuses` has those of the classes, by name.

    Raises ValueError for a code without a meaning, and for a meaning without a code.
    """
    found: dict[str, set[str]] = {}
    texts = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] in _IMITATIONS:
            continue
        text = path.read_text(encoding="utf-8")
        texts.append(text)
        for code, status in _codes_in(ast.parse(text), statuses):
            if code not in class_codes:
                found.setdefault(code, set()).add(status)
    if unknown := sorted(found.keys() - MEANINGS.keys()):
        raise ValueError(f"scripts/error_codes.py has no meaning for these codes: {', '.join(unknown)}.")
    everything = "\n".join(texts)
    parts = {code: code.split("_")[0] for code in MEANINGS}
    if unused := [code for code in MEANINGS if code not in everything and parts[code] not in everything]:
        raise ValueError(f"scripts/error_codes.py has a meaning for codes that do not exist: {', '.join(unused)}.")
    return {code: ", ".join(sorted(found.get(code, {_INDIRECT.get(code, "400")}))) for code in sorted(MEANINGS)}


def _codes_in(tree: ast.AST, statuses: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the code and the status of every call that creates an error with a code of its own."""
    numbers = {
        node.target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        values = {each.arg: each.value for each in node.keywords}
        code = values.get("code", _DEFAULT_CODES.get(name))
        if not isinstance(code, ast.Constant) or not isinstance(code.value, str):
            continue
        status = values.get("status")
        if name == _BATCH_LINE:
            yield code.value, "in a batch"
        elif (known := statuses.get(_CALLS_WITH_STATUS.get(name, name))) is not None:
            number = status.value if isinstance(status, ast.Constant) else numbers.get(getattr(status, "id", ""), known)
            yield code.value, str(number)
