"""Reads the tools of a request and `tool_choice`.

Namespaces (`{"type": "namespace", "name", "tools"}`) group functions. Other dialects do not have them, so each function
gets a flat name, which is its own name if that is unique. Calls are mapped back for the client.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from intellirouter.dialects.adapt.tool_names import fitted_name
from intellirouter.dialects.ir import CustomTool, FunctionTool, ServerTool, Tool, ToolChoice
from intellirouter.dialects.openai_responses.fields import DIALECT, as_object, invalid_value, required_string
from intellirouter.dialects.wire.json_reader import READER, missing, unknown_members
from intellirouter.dialects.wire.tool_name_rule import OPENAI_NAMES

_FUNCTION: Final = frozenset({"type", "name", "description", "parameters", "strict"})
_CUSTOM: Final = frozenset({"type", "name", "description", "format"})


class ToolNames(Struct):
    """The names that other dialects get for the client's tools."""

    flat: dict[tuple[str, str], str] = field(default_factory=dict)
    """The flat name for (namespace, name)."""
    namespaced: dict[str, tuple[str, str]] = field(default_factory=dict)
    """(namespace, name) for the flat name."""
    custom: frozenset[str] = frozenset()
    """The flat names of tools that take free text."""

    def flat_name(self, namespace: str, name: str) -> str:
        return self.flat.get((namespace, name), name) if namespace else name

    def client_name(self, flat_name: str) -> tuple[str, str]:
        """Return (namespace, name). The namespace is empty for a tool that is not in one."""
        return self.namespaced.get(flat_name, ("", flat_name))


NO_NAMES: Final = ToolNames()


def flatten_names(tools: list[Any]) -> ToolNames:
    """Assign a unique flat name to each tool in a namespace. Invalid tools are ignored."""
    if not tools:
        return NO_NAMES
    top_level = _objects_in(tools)
    taken = {str(tool.get("name")) for tool in top_level if _is_client_tool(tool)}
    names = ToolNames()
    for tool in top_level:
        namespace = tool.get("name")
        if tool.get("type") != "namespace" or not isinstance(namespace, str):
            continue
        for member in _objects_in(tool.get("tools")):
            name = member.get("name")
            if not isinstance(name, str) or (namespace, name) in names.flat:
                continue
            flat_name = _flat_name(namespace, name, taken)
            taken.add(flat_name)
            names.flat[namespace, name] = flat_name
            names.namespaced[flat_name] = (namespace, name)
    names.custom = frozenset(_custom_names(top_level, names))
    return names


def _custom_names(tools: list[Mapping[str, Any]], names: ToolNames) -> Iterator[str]:
    for tool in tools:
        if tool.get("type") == "custom":
            yield str(tool.get("name"))
        elif tool.get("type") == "namespace":
            for member in _objects_in(tool.get("tools")):
                if member.get("type") == "custom":
                    yield names.flat_name(str(tool.get("name")), str(member.get("name")))


def _objects_in(values: Any) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _is_client_tool(tool: Mapping[str, Any]) -> bool:
    """Return whether the client runs the tool, which then has a name."""
    return tool.get("type") == "function" or tool.get("type") == "custom"


def _flat_name(namespace: str, name: str, taken: set[str]) -> str:
    """Return a name that is not taken."""
    if name not in taken:
        return name
    return fitted_name(f"{namespace}__{name}", OPENAI_NAMES, taken, key=f"{namespace}\0{name}")


def read_tools(tools: list[Any], names: ToolNames) -> list[Tool]:
    """Read the request's tools. Tools of unknown types are server tools. Raises `InvalidRequest`."""
    result: list[Tool] = []
    for index, value in enumerate(tools):
        path = f"tools[{index}]"
        tool = as_object(value, path)
        kind = required_string(tool, "type", path)
        if kind == "namespace":
            result += _read_namespace(tool, path, names)
        elif kind in {"function", "custom"}:
            result.append(_read_client_tool(tool, path))
        else:
            result.append(ServerTool(dialect=DIALECT, kind=kind, raw=tool))
    return result


def _read_client_tool(tool: dict[str, Any], path: str) -> FunctionTool | CustomTool:
    name, description = required_string(tool, "name", path), READER.text(tool, "description", path)
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


def _read_namespace(tool: dict[str, Any], path: str, names: ToolNames) -> Iterator[Tool]:
    namespace = required_string(tool, "name", path)
    group = {"name": namespace, "description": READER.text(tool, "description", path)}
    server_tools: list[Any] = []
    for index, value in enumerate(READER.array(tool, "tools", path)):
        place = f"{path}.tools[{index}]"
        member = as_object(value, place)
        if not _is_client_tool(member):
            server_tools.append(member)
            if len(server_tools) == 1:  # one tool for all of them, which gets the others later
                yield ServerTool(dialect=DIALECT, kind="namespace", raw={**tool, "tools": server_tools})
            continue
        client_tool = _read_client_tool(member, place)
        client_tool.extras["namespace"] = {**group, "function": client_tool.name}
        client_tool.name = names.flat_name(namespace, client_tool.name)
        yield client_tool


def read_tool_choice(body: Mapping[str, Any], names: ToolNames) -> ToolChoice | None:
    """Read `tool_choice` and `parallel_tool_calls`. Raises `InvalidRequest`."""
    is_parallel = READER.flag(body, "parallel_tool_calls", "")
    value = body.get("tool_choice")
    if value is None:
        return None if is_parallel is None else ToolChoice(is_parallel=is_parallel)
    if isinstance(value, str):
        if value not in {"none", "auto", "required"}:
            raise invalid_value("tool_choice", value, "'none', 'auto' and 'required'")
        return ToolChoice(mode=value, is_parallel=is_parallel)  # type: ignore[arg-type]  # one of the three
    choice = as_object(value, "tool_choice")
    kind = required_string(choice, "type", "tool_choice")
    if kind in {"function", "custom"}:
        name = required_string(choice, "name", "tool_choice")
        flat_name = names.flat_name(READER.text(choice, "namespace", "tool_choice"), name)
        return ToolChoice(mode="named", name=flat_name, is_parallel=is_parallel)
    if kind == "allowed_tools":
        return _read_allowed_tools(choice, names, is_parallel)
    return ToolChoice(mode="named", name=kind, is_parallel=is_parallel, raw=choice)


def _read_allowed_tools(choice: dict[str, Any], names: ToolNames, is_parallel: bool | None) -> ToolChoice:  # noqa: FBT001
    mode = READER.text(choice, "mode", "tool_choice") or "auto"
    if mode not in {"auto", "required"}:
        raise invalid_value("tool_choice.mode", mode, "'auto' and 'required'")
    if choice.get("tools") is None:
        raise missing("tool_choice.tools")
    allowed: list[str] = []
    has_only_client_tools = True
    for index, value in enumerate(READER.array(choice, "tools", "tool_choice")):
        path = f"tool_choice.tools[{index}]"
        tool = as_object(value, path)
        if _is_client_tool(tool):
            name = required_string(tool, "name", path)
            allowed.append(names.flat_name(READER.text(tool, "namespace", path), name))
        else:
            has_only_client_tools = False
    return ToolChoice(
        mode=mode,  # type: ignore[arg-type]  # one of the two
        allowed=allowed,
        is_parallel=is_parallel,
        raw=None if has_only_client_tools else choice,
    )
