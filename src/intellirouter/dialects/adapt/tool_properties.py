"""Names of tools' arguments, fitted to what an upstream accepts, and restored in its answer.

Claude rejects the whole request if one tool has a property with a name such as `filter[id]` at the top level of its
schema. Refusing such a request would make a model unusable for a client with one such tool among hundreds, so the
properties are renamed. Only the calls of these tools are rewritten; in a stream, their arguments are held back until
they are complete.
"""

from typing import Any

import msgspec
from msgspec import structs

from intellirouter.core import AnswerLimits, LossReport
from intellirouter.dialects.adapt.answer_limits import too_many_chars
from intellirouter.dialects.adapt.object_schema import object_schema
from intellirouter.dialects.adapt.tool_names import fitted_name
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    Conversation,
    Event,
    FunctionTool,
    Message,
    Part,
    PartEnded,
    Response,
    StreamFailed,
    Tool,
    ToolCall,
    ToolCallStarted,
)
from intellirouter.dialects.protocols import StreamDecoder
from intellirouter.dialects.wire.tool_name_rule import NameRule

Names = dict[str, str]
FittedProperties = dict[str, Names]
"""By tool: the upstream's name of each property whose name does not fit, by the client's name."""


def fitted_properties(conversation: Conversation, rule: NameRule | None) -> FittedProperties | None:
    """Return the fitted names of the properties of tools; None if all names fit."""
    if rule is None:
        return None
    found: FittedProperties = {}
    ignored = LossReport()
    for tool in conversation.tools:
        if isinstance(tool, FunctionTool) and tool.parameters:
            properties = object_schema(tool.parameters, ignored).get("properties")
            if isinstance(properties, dict) and not rule.are_valid(properties):
                found[tool.name] = _fitted(properties, rule)
    return found or None


def _fitted(properties: dict[str, Any], rule: NameRule) -> Names:
    invalid = [name for name in properties if not rule.is_valid(name)]
    taken = properties.keys() - invalid
    names: Names = {}
    for name in invalid:
        names[name] = fitted = fitted_name(name, rule, taken)
        taken.add(fitted)
    return names


def with_fitted_properties(
    conversation: Conversation, properties: FittedProperties, losses: LossReport
) -> Conversation:
    """Return the conversation with the fitted names in the schemas and in the calls of the history."""
    losses.add("tools[].parameters.properties", "converted", "fitted to the names that the upstream accepts")
    return structs.replace(
        conversation,
        tools=[_with_fitted_schema(tool, properties, losses) for tool in conversation.tools],
        messages=[_renamed_message(message, properties) for message in conversation.messages],
    )


def _with_fitted_schema(tool: Tool, properties: FittedProperties, losses: LossReport) -> Tool:
    if not isinstance(tool, FunctionTool) or tool.name not in properties:
        return tool
    names, schema = properties[tool.name], dict(object_schema(tool.parameters, losses))
    schema["properties"] = {names.get(name, name): value for name, value in schema["properties"].items()}
    if isinstance(required := schema.get("required"), list):
        schema["required"] = [names.get(name, name) if isinstance(name, str) else name for name in required]
    return structs.replace(tool, parameters=schema)


def _renamed_message(message: Message, properties: FittedProperties) -> Message:
    parts = [_renamed_part(part, properties) for part in message.parts]
    return structs.replace(message, parts=parts) if parts != message.parts else message


def _renamed_part(part: Part, properties: FittedProperties) -> Part:
    if not isinstance(part, ToolCall) or part.name not in properties:
        return part
    return structs.replace(part, arguments=_renamed(part.arguments, properties[part.name]))


def _renamed(arguments: str, names: Names) -> str:
    """Return the arguments with other names; unchanged if they are not a JSON object."""
    found = ToolCall(id="", name="", arguments=arguments).arguments_object()
    if found is None or names.keys().isdisjoint(found):
        return arguments
    return msgspec.json.encode({names.get(name, name): value for name, value in found.items()}).decode()


def _reversed(properties: FittedProperties) -> FittedProperties:
    return {tool: {fitted: name for name, fitted in names.items()} for tool, names in properties.items()}


def with_client_properties(response: Response, properties: FittedProperties) -> Response:
    """Return the response with the client's names in the arguments of its tool calls."""
    client_names = _reversed(properties)
    choices = [
        structs.replace(choice, parts=[_renamed_part(part, client_names) for part in choice.parts])
        for choice in response.choices
    ]
    return structs.replace(response, choices=choices)


class ClientPropertiesDecoder:
    """Implements `protocols.StreamDecoder`: the stream of another decoder with the client's names in arguments."""

    def __init__(self, decoder: StreamDecoder, properties: FittedProperties, limits: AnswerLimits) -> None:
        self._decoder = decoder
        self._properties = _reversed(properties)
        self._limits = limits
        self._calls: dict[tuple[int, int], tuple[Names, list[str]]] = {}
        """By choice and part: the names of a call, and its arguments so far."""
        self._held_chars = 0

    @property
    def buffered_bytes(self) -> int:
        return self._decoder.buffered_bytes + self._held_chars

    def feed(self, data: bytes) -> list[Event]:
        return self._restored(self._decoder.feed(data))

    def end(self) -> list[Event]:
        return self._restored(self._decoder.end())

    def _restored(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case ToolCallStarted() if event.name in self._properties:
                    self._calls[event.choice, event.part] = (self._properties[event.name], [])
                case ArgumentsDelta() if (event.choice, event.part) in self._calls:
                    self._hold(event)
                    if self._held_chars > self._limits.chars:
                        return [*out, StreamFailed(error=too_many_chars(self._limits))]
                    continue
                case PartEnded():
                    out += self._released([(event.choice, event.part)])
                case ChoiceFinished():
                    out += self._released([key for key in self._calls if key[0] == event.choice])
                case _:
                    pass
            out.append(event)
        return out

    def _hold(self, event: ArgumentsDelta) -> None:
        self._calls[event.choice, event.part][1].append(event.text)
        self._held_chars += len(event.text)

    def _released(self, keys: list[tuple[int, int]]) -> list[Event]:
        released: list[Event] = []
        for choice, part in keys:
            names, pieces = self._calls.pop((choice, part), ({}, []))
            if text := "".join(pieces):
                self._held_chars -= len(text)
                released.append(ArgumentsDelta(text=_renamed(text, names), choice=choice, part=part))
        return released
