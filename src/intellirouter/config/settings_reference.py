"""Every setting with its type, default and description, derived from the schema, for the reference page."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from intellirouter.config.feature_support import reference_note
from intellirouter.config.schema import config_schema

_KINDS: Final = {
    "boolean": "boolean",
    "integer": "integer",
    "number": "number",
    "string": "string",
    "array": "list",
    "object": "mapping",
}


class SettingDoc(Struct, frozen=True):
    """One setting, or one section of settings."""

    path: str
    """`server.port`, `providers.NAME.vendor`, `keys[N].key`."""
    description: str
    is_section: bool
    kind: str = ""
    """The type in words, for example `integer from 0 to 65535`; empty for a section."""
    default: str = ""
    """As written in YAML, or `required`; empty when there is no default value."""
    note: str = ""
    """A sentence about a setting that has no effect yet; empty for others."""


def setting_docs() -> list[SettingDoc]:
    """Return all settings in the order of the schema. Each section precedes its settings."""
    schema = config_schema()
    return list(_walk(schema, "", schema["$defs"]))


def _walk(section: Mapping[str, Any], path: str, definitions: Mapping[str, Any]) -> Iterator[SettingDoc]:
    required = section.get("required", ())
    for name, node in section["properties"].items():
        here = f"{path}.{name}" if path else name
        inner, suffix = _section_of(node, definitions)
        if inner is None:
            default = "required" if name in required else _default(node)
            text = node.get("description", "")
            yield SettingDoc(here, text, False, _kind(node), default, _note(here, text))
        else:
            text = " ".join(inner.get("description", node.get("description", "")).split())
            yield SettingDoc(here + suffix, text, is_section=True, note=_note(here, text))
            yield from _walk(inner, here + suffix, definitions)


def _note(path: str, description: str) -> str:
    """Return the note about a setting, unless its description contains it."""
    return "" if "in this version" in description else reference_note(path)


def _section_of(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """Return the section in `node` and the suffix of its path, or None for a plain setting."""
    for option in node.get("anyOf", [node]):
        entries = [option.get("additionalProperties"), *option.get("patternProperties", {}).values()]
        for target, suffix in ((option, ""), *((entry, ".NAME") for entry in entries), (option.get("items"), "[N]")):
            if isinstance(target, Mapping) and "$ref" in target:
                return definitions[target["$ref"].rpartition("/")[2]], suffix
    return None, ""


def _default(node: Mapping[str, Any]) -> str:
    default = node.get("default")
    return "" if default is None else json.dumps(default)


def _kind(node: Mapping[str, Any]) -> str:
    options = [option for option in node.get("anyOf", [node]) if option.get("type") != "null"]
    # A price may be a number or a string; the number describes it.
    return _kind_of(options[0])


def _kind_of(node: Mapping[str, Any]) -> str:
    if "const" in node:
        return json.dumps(node["const"])
    if "enum" in node:
        return "one of " + ", ".join(str(option) for option in node["enum"])
    if node.get("type") == "array":
        items = _kind_of(node["items"])
        return f"list of {items}s" if items in _KINDS.values() else f"list of {items}"
    if node.get("format") == "date-time":
        return "date and time"
    kind = _KINDS.get(str(node.get("type")), "any")
    return kind + _range_of(node) if kind in {"integer", "number"} else kind


def _range_of(node: Mapping[str, Any]) -> str:
    lowest, above, highest = node.get("minimum"), node.get("exclusiveMinimum"), node.get("maximum")
    if lowest is not None and highest is not None:
        return f" from {lowest:.15g} to {highest:.15g}"
    limits = (("at least", lowest), ("greater than", above), ("at most", highest))
    return "".join(f", {words} {limit:.15g}" for words, limit in limits if limit is not None)
