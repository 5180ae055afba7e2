"""Google's request messages and their fields. Unknown fields are rejected by name, as Google's JSON parser does."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from intellirouter.testing.wires.gemini.reply import violations

_HUMP: Final = re.compile(r"(?<!^)(?=[A-Z])")
_PACKAGE: Final = "type.googleapis.com/google.ai.generativelanguage.v1beta."
MAX_DEPTH: Final = 64

# The type of a field: `*` (any), `str`, `num`, `bool` or the name of a message; `[]` is a list of it, `{}` a map.
_FIELDS: Final[Mapping[str, str]] = {
    "GenerateContentRequest": "model:str contents:[]Content system_instruction:Content tools:[]Tool "
    "tool_config:ToolConfig safety_settings:[]SafetySetting generation_config:GenerationConfig cached_content:str "
    "labels:* service_tier:str store:bool",
    "CountTokensRequest": "model:str contents:[]Content generate_content_request:GenerateContentRequest "
    "system_instruction:Content tools:[]Tool generation_config:GenerationConfig",
    "EmbedContentRequest": "model:str content:Content task_type:str title:str output_dimensionality:num "
    "auto_truncate:bool embed_content_config:*",
    "BatchEmbedContentsRequest": "model:str requests:[]EmbedContentRequest",
    "Content": "role:str parts:[]Part",
    "Part": "text:str thought:bool thought_signature:str inline_data:Blob file_data:FileData "
    "function_call:FunctionCall function_response:FunctionResponse executable_code:* code_execution_result:* "
    "video_metadata:* media_resolution:* tool_call:* tool_response:* part_metadata:*",
    "Blob": "mime_type:str data:str display_name:str",
    "FileData": "mime_type:str file_uri:str display_name:str",
    "FunctionCall": "id:str name:str args:* partial_args:* will_continue:bool",
    "FunctionResponse": "id:str name:str response:* parts:* will_continue:bool scheduling:str",
    "Tool": "function_declarations:[]FunctionDeclaration google_search:* google_search_retrieval:* code_execution:* "
    "url_context:* computer_use:* file_search:* google_maps:* enterprise_web_search:* retrieval:* mcp_servers:*",
    "FunctionDeclaration": "name:str description:str parameters:Schema parameters_json_schema:* response:Schema "
    "response_json_schema:* behavior:str",
    "ToolConfig": "function_calling_config:FunctionCallingConfig retrieval_config:* "
    "include_server_side_tool_invocations:bool",
    "FunctionCallingConfig": "mode:str allowed_function_names:[]str stream_function_call_arguments:bool",
    "SafetySetting": "category:str threshold:str method:str",
    "GenerationConfig": "stop_sequences:[]str response_mime_type:str response_schema:Schema response_json_schema:* "
    "_response_json_schema:* response_modalities:[]str candidate_count:num max_output_tokens:num temperature:num "
    "top_p:num top_k:num seed:num presence_penalty:num frequency_penalty:num response_logprobs:bool logprobs:num "
    "enable_enhanced_civic_answers:bool speech_config:* thinking_config:ThinkingConfig image_config:* "
    "media_resolution:str audio_timestamp:bool routing_config:* model_selection_config:*",
    "ThinkingConfig": "include_thoughts:bool thinking_budget:num thinking_level:str",
    "Schema": "type:str format:str title:str description:str nullable:bool enum:[]str max_items:num min_items:num "
    "properties:{}Schema required:[]str min_properties:num max_properties:num min_length:num max_length:num "
    "pattern:str example:* any_of:[]Schema property_ordering:[]str default:* items:Schema minimum:num maximum:num",
}
_MESSAGES: Final = {name: dict(field.split(":") for field in fields.split()) for name, fields in _FIELDS.items()}
_SCALARS: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "str": ((str,), "TYPE_STRING"),
    "num": ((int, float), "TYPE_INT32"),
    "bool": ((bool,), "TYPE_BOOL"),
}


def parse_message(document: dict[str, Any], message: str) -> dict[str, Any]:
    """Return the message with its field names in snake case and without null. Raises `GoogleError` (400)."""
    found: list[tuple[str, str]] = []
    read = _message(document, message, "", found)
    if found:
        raise violations(found)
    return read


def _message(document: dict[str, Any], message: str, where: str, found: list[tuple[str, str]]) -> dict[str, Any]:
    fields = _MESSAGES[message]
    read: dict[str, Any] = {}
    for name, value in document.items():
        known = name if name in fields else _HUMP.sub("_", name).lower()
        # Both spellings are valid: `generationConfig` and `generation_config`.
        if known not in fields or (name != known and "_" in name[1:]):
            found.append((where, _unknown(name, where, "Cannot find field.")))
        elif value is not None:
            read[known] = _value(value, fields[known], f"{where}.{known}" if where else known, found)
    return read


def _unknown(name: str, where: str, why: str) -> str:
    place = f" at '{where}'" if where else ""
    return f'Invalid JSON payload received. Unknown name "{name}"{place}: {why}'


def _value(value: Any, kind: str, where: str, found: list[tuple[str, str]]) -> Any:
    if kind == "*" or where.count(".") > MAX_DEPTH:
        return value
    if kind.startswith("[]"):
        if not isinstance(value, list):
            found.append((where, _wrong(where, kind[2:], value)))
            return []
        return [_value(item, kind[2:], f"{where}[{at}]", found) for at, item in enumerate(value)]
    if kind.startswith("{}"):
        return _map(value, kind[2:], where, found)
    if isinstance(value, list):
        parent, _, name = where.rpartition(".")
        found.append((parent, _unknown(name, parent, "Proto field is not repeating, cannot start list.")))
        return None
    if kind in _SCALARS:
        types, _ = _SCALARS[kind]
        is_valid = isinstance(value, types) and not (isinstance(value, bool) and kind == "num")
    else:
        is_valid = isinstance(value, dict)
        if is_valid:
            return _message(value, kind, where, found)
    if not is_valid:
        found.append((where, _wrong(where, kind, value)))
    return value


def _map(value: Any, kind: str, where: str, found: list[tuple[str, str]]) -> dict[str, Any]:
    if not isinstance(value, dict):
        found.append((where, _wrong(where, kind, value)))
        return {}
    return {name: _value(inner, kind, f"{where}[{at}].value", found) for at, (name, inner) in enumerate(value.items())}


def _wrong(where: str, kind: str, value: Any) -> str:
    expected = _SCALARS[kind][1] if kind in _SCALARS else _PACKAGE + kind
    shown = msgspec.json.encode(value).decode()
    return f"Invalid value at '{where}' ({expected}), {shown[:200]}"
