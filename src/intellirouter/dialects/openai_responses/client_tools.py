"""Tools of a request, and the choice between them.

Namespaces (`{"type": "namespace", "name", "tools"}`) group functions. Other dialects have none, so their functions
are told one by one, by their own names where these are unique, and calls are mapped back for the client.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from intellirouter.dialects.ir import CustomTool, FunctionTool, ServerTool, Tool, ToolChoice
from intellirouter.dialects.openai_responses.fields import DIALECT, as_object, bad_value, required_name
from intellirouter.dialects.wire.json_reader import READER, missing, unknown_members

_FUNCTION: Final = frozenset({"type", "name", "description", "parameters", "strict"})
_CUSTOM: Final = frozenset({"type", "name", "description", "format"})
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")
_MAX_NAME_CHARS: Final = 64


class ToolNames(Struct):
    """How the client's tools are called on their way to other dialects."""

    flat: dict[tuple[str, str], str] = field(default_factory=dict)
    """From (namespace, name) to the name that is told."""
    origin: dict[str, tuple[str, str]] = field(default_factory=dict)
    """From the name that is told to (namespace, name)."""
    custom: frozenset[str] = frozenset()
    """Told names of tools that take free text."""

    def told(self, namespace: str, name: str) -> str:
        return self.flat.get((namespace, name), name) if namespace else name

    def client(self, told: str) -> tuple[str, str]:
        """Return (namespace, name); the namespace is empty for a tool of none."""
        return self.origin.get(told, ("", told))


NO_NAMES: Final = ToolNames()


def names_of(tools: list[Any]) -> ToolNames:
    """Give every tool in a namespace a name of its own. `tools` is the request's list, read leniently."""
    if not tools:
        return NO_NAMES
    top = _objects(tools)
    taken = {str(tool.get("name")) for tool in top if _is_plain(tool)}
    names = ToolNames()
    for tool in top:
        namespace = tool.get("name")
        if tool.get("type") != "namespace" or not isinstance(namespace, str):
            continue
        for member in _objects(tool.get("tools")):
            name = member.get("name")
            if not isinstance(name, str) or (namespace, name) in names.flat:
                continue
            told = _unique(namespace, name, taken)
            taken.add(told)
            names.flat[namespace, name] = told
            names.origin[told] = (namespace, name)
    names.custom = frozenset(_custom_names(top, names))
    return names


def _custom_names(tools: list[Mapping[str, Any]], names: ToolNames) -> Iterator[str]:
    for tool in tools:
        if tool.get("type") == "custom":
            yield str(tool.get("name"))
        elif tool.get("type") == "namespace":
            for member in _objects(tool.get("tools")):
                if member.get("type") == "custom":
                    yield names.told(str(tool.get("name")), str(member.get("name")))


def _objects(values: Any) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _is_plain(tool: Mapping[str, Any]) -> bool:
    """Tell a tool that the client runs and that has a name."""
    return tool.get("type") == "function" or tool.get("type") == "custom"


def _unique(namespace: str, name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    stem = _NOT_IN_NAMES.sub("_", f"{namespace}__{name}")[-_MAX_NAME_CHARS:]
    told, number = stem, 2
    while told in taken:
        told = f"{stem[: _MAX_NAME_CHARS - 4]}_{number}"
        number += 1
    return told


def decode_tools(tools: list[Any], names: ToolNames) -> list[Tool]:
    """Read the request's tools. Types that we do not know are the vendor's own. Raises `InvalidRequest`."""
    found: list[Tool] = []
    for index, value in enumerate(tools):
        path = f"tools[{index}]"
        tool = as_object(value, path)
        kind = required_name(tool, "type", path)
        if kind == "namespace":
            found += _of_namespace(tool, path, names)
        elif kind in {"function", "custom"}:
            found.append(_plain(tool, path))
        else:
            found.append(ServerTool(dialect=DIALECT, kind=kind, raw=tool))
    return found


def _plain(tool: dict[str, Any], path: str) -> FunctionTool | CustomTool:
    name, description = required_name(tool, "name", path), READER.text(tool, "description", path)
    if tool["type"] == "custom":
        return CustomTool(
            name=name,
            description=description,
            format=READER.object(tool, "format", path),
            extras=unknown_members(tool, _CUSTOM),
        )
    return FunctionTool(
        name=name,
        description=description,
        parameters=READER.object(tool, "parameters", path),
        is_strict=READER.flag(tool, "strict", path),
        extras=unknown_members(tool, _FUNCTION),
    )


def _of_namespace(tool: dict[str, Any], path: str, names: ToolNames) -> Iterator[Tool]:
    namespace = required_name(tool, "name", path)
    group = {"name": namespace, "description": READER.text(tool, "description", path)}
    for index, value in enumerate(READER.array(tool, "tools", path)):
        place = f"{path}.tools[{index}]"
        member = as_object(value, place)
        if not _is_plain(member):
            yield ServerTool(dialect=DIALECT, kind="namespace", raw={**tool, "tools": [member]})
            continue
        found = _plain(member, place)
        found.extras["namespace"] = {**group, "function": found.name}
        found.name = names.told(namespace, found.name)
        yield found


def decode_choice(body: Mapping[str, Any], names: ToolNames) -> ToolChoice | None:
    """Read `tool_choice` and `parallel_tool_calls`. Modes are strings, everything else is an object."""
    is_parallel = READER.flag(body, "parallel_tool_calls", "")
    value = body.get("tool_choice")
    if value is None:
        return None if is_parallel is None else ToolChoice(is_parallel=is_parallel)
    if isinstance(value, str):
        if value not in {"none", "auto", "required"}:
            raise bad_value("tool_choice", value, "'none', 'auto' and 'required'")
        return ToolChoice(mode=value, is_parallel=is_parallel)  # type: ignore[arg-type]  # one of the three
    choice = as_object(value, "tool_choice")
    kind = required_name(choice, "type", "tool_choice")
    if kind in {"function", "custom"}:
        name = required_name(choice, "name", "tool_choice")
        told = names.told(READER.text(choice, "namespace", "tool_choice"), name)
        return ToolChoice(mode="named", name=told, is_parallel=is_parallel)
    if kind == "allowed_tools":
        return _allowed(choice, names, is_parallel)
    return ToolChoice(mode="named", name=kind, is_parallel=is_parallel, raw=choice)


def _allowed(choice: dict[str, Any], names: ToolNames, is_parallel: bool | None) -> ToolChoice:  # noqa: FBT001
    mode = READER.text(choice, "mode", "tool_choice") or "auto"
    if mode not in {"auto", "required"}:
        raise bad_value("tool_choice.mode", mode, "'auto' and 'required'")
    if choice.get("tools") is None:
        raise missing("tool_choice.tools")
    allowed: list[str] = []
    is_plain = True
    for index, value in enumerate(READER.array(choice, "tools", "tool_choice")):
        path = f"tool_choice.tools[{index}]"
        tool = as_object(value, path)
        if _is_plain(tool):
            name = required_name(tool, "name", path)
            allowed.append(names.told(READER.text(tool, "namespace", path), name))
        else:
            is_plain = False
    return ToolChoice(
        mode=mode,  # type: ignore[arg-type]  # one of the two
        allowed=allowed,
        is_parallel=is_parallel,
        raw=None if is_plain else choice,
    )
