"""Function declarations, their schemas, and the tool choice."""

import re
from typing import Any, Final

from intellirouter.fake.completion import CompletionRequest, Tool
from intellirouter.testing.wires.gemini.reply import GoogleError, invalid

_NAME: Final = re.compile(r"[a-zA-Z_][\w.:-]{0,63}", re.ASCII)
_TYPES: Final = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_MODES: Final = {"AUTO": "auto", "MODE_UNSPECIFIED": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}
_ENUMS: Final = "type.googleapis.com/google.ai.generativelanguage.v1beta."
MAX_DEPTH: Final = 32


def choose_tools(parsed: CompletionRequest, request: dict[str, Any]) -> None:
    """Set the tools and the tool choice of the parsed request. Raises `GoogleError`."""
    for at, tool in enumerate(request.get("tools") or []):
        for place, declaration in enumerate(tool.get("function_declarations") or []):
            parsed.tools.append(_read_declaration(declaration, f"tools[{at}].function_declarations[{place}]"))
    names = [tool.name for tool in parsed.tools]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise GoogleError(400, f"Duplicate function declaration found: {duplicate}")
    config = (request.get("tool_config") or {}).get("function_calling_config") or {}
    _read_choice(parsed, config)


def _read_choice(parsed: CompletionRequest, config: dict[str, Any]) -> None:
    where = "tool_config.function_calling_config"
    mode = config.get("mode") or "AUTO"
    if mode.upper() not in _MODES:
        raise GoogleError(400, f"Invalid value at '{where}.mode' ({_ENUMS}FunctionCallingConfig.Mode), \"{mode}\"")
    parsed.tool_choice = _MODES[mode.upper()]
    allowed = config.get("allowed_function_names") or []
    if not allowed:
        return
    if mode.upper() not in {"ANY", "VALIDATED"}:
        raise invalid(
            f"{where}.allowed_function_names",
            "allowed_function_names should only be set when the function calling mode is ANY or VALIDATED.",
        )
    for name in allowed:
        if all(tool.name != name for tool in parsed.tools):
            raise invalid(f"{where}.allowed_function_names", f"function {name} is not declaration.")
    parsed.tools = [tool for tool in parsed.tools if tool.name in allowed]


def _read_declaration(declaration: dict[str, Any], where: str) -> Tool:
    name = declaration.get("name") or ""
    if not _NAME.fullmatch(name):
        raise invalid(
            f"{where}.name",
            "[FIELD_INVALID] Invalid function name. Must start with a letter or an underscore. Must be alphameric "
            "(a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.",
        )
    schema, plain = declaration.get("parameters"), declaration.get("parameters_json_schema")
    if schema is not None and plain is not None:
        raise invalid(f"{where}.parameters_json_schema", "parameters must be omitted when this is set.")
    if schema is not None:
        check_schema(schema, f"{where}.parameters")
        plain = plain_schema(schema)
    return Tool(name, plain if isinstance(plain, dict) else {})


def check_schema(schema: dict[str, Any], where: str, depth: int = 0) -> None:
    """Validate a schema beyond the names of its fields. Raises `GoogleError`."""
    kind = str(schema.get("type") or "").upper()
    if schema.get("type") is not None and kind not in _TYPES:
        raise GoogleError(400, f"Invalid value at '{where}.type' ({_ENUMS}Type), \"{schema['type']}\"")
    if kind == "OBJECT" and not schema.get("properties") and depth == 0:
        raise invalid(f"{where}.properties", "should be non-empty for OBJECT type")
    if kind == "ARRAY" and schema.get("items") is None:
        raise invalid(f"{where}.items", "missing field.")
    if schema.get("enum") and kind != "STRING":
        raise invalid(f"{where}.enum", "only allowed for STRING type")
    if kind == "STRING" and schema.get("format") not in (None, "", "enum", "date-time"):
        raise invalid(f"{where}.format", "only 'enum' and 'date-time' are supported for STRING type")
    properties = schema.get("properties") or {}
    for name in schema.get("required") or []:
        if name not in properties:
            raise invalid(f"{where}.required[0]", f"property is not defined: {name}")
    if depth > MAX_DEPTH:
        raise GoogleError(400, "The schema is nested too deeply.")
    below = [(f"properties[{name}]", inner) for name, inner in properties.items()]
    below += [(f"any_of[{at}]", inner) for at, inner in enumerate(schema.get("any_of") or [])]
    for name, inner in [*below, ("items", schema.get("items"))]:
        if isinstance(inner, dict):
            check_schema(inner, f"{where}.{name}", depth + 1)


def plain_schema(schema: Any) -> Any:
    """Convert Google's schema to JSON Schema, as far as instances depend on it."""
    if not isinstance(schema, dict):
        return schema
    plain = {
        {"min_items": "minItems", "max_items": "maxItems", "min_length": "minLength", "max_length": "maxLength"}.get(
            name, name
        ): value
        for name, value in schema.items()
    }
    if isinstance(plain.get("type"), str):
        plain["type"] = plain["type"].lower()
    if isinstance(plain.get("properties"), dict):
        plain["properties"] = {name: plain_schema(inner) for name, inner in plain["properties"].items()}
    if "items" in plain:
        plain["items"] = plain_schema(plain["items"])
    if "any_of" in plain:
        plain["anyOf"] = [plain_schema(inner) for inner in plain.pop("any_of")]
    return plain
