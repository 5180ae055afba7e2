"""Writes messages and tools as the `input` and `tools` of a request."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.adapt.call_ids import shortened_id
from intellirouter.dialects.adapt.object_schema import object_schema, with_properties
from intellirouter.dialects.ir import (
    CacheMark,
    Conversation,
    CustomTool,
    Foreign,
    FunctionTool,
    Media,
    Message,
    Reasoning,
    Refusal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
    are_no_arguments,
    usable_token,
)
from intellirouter.dialects.openai.strict_schema import strictness
from intellirouter.dialects.openai_responses.client_content import MEDIA_TYPES
from intellirouter.dialects.openai_responses.fields import DIALECT

_MAX_ID_CHARS: Final = 64
_FILE_ID_DIALECTS: Final = frozenset({DIALECT, "openai_chat"})
"""The dialects of OpenAI's files. File ids of other vendors cannot be used."""
_SUFFIXES: Final = {media_type: suffix for suffix, media_type in MEDIA_TYPES.items()}


class InputWriter:
    """Writes the input of one attempt. Does not change the conversation."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._is_same_dialect = conversation.dialect == DIALECT
        self._has_file_ids = conversation.dialect in _FILE_ID_DIALECTS
        self._deployment = deployment
        self._losses = losses
        self._namespaces = namespaced_tools(conversation) if self._is_same_dialect else {}
        self._custom = {tool.name for tool in conversation.tools if isinstance(tool, CustomTool)}

    def write(self, messages: list[Message]) -> list[dict[str, Any]]:
        """Write messages as items. Raises `UnsupportedFeature`."""
        items: list[dict[str, Any]] = []
        for message in messages:
            if message.name:
                self._losses.dropped("messages[].name")
            if message.role == "assistant":
                items += self._write_assistant_message(message)
            elif message.role == "tool":
                items += self._write_tool_message(message)
            else:
                items += self._write_client_message(message)
        return items

    def _extras(self, value: Message | ToolCall | ToolResult | Text | Media | Refusal) -> dict[str, Any]:
        return value.extras if self._is_same_dialect else {}

    # messages of the roles user, system and developer

    def _write_client_message(self, message: Message) -> Iterator[dict[str, Any]]:
        role: str = message.role
        if role == "developer" and not self._deployment.quirks.has_developer_role:
            role = "system"
            self._losses.add("messages[].role", "converted", "system")
        content: list[dict[str, Any]] = []
        other_items: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, Foreign) and _is_item(part):
                other_items += self._write_foreign(part)
            elif isinstance(part, Foreign):
                content += self._write_foreign(part)
            elif isinstance(part, ToolResult):
                other_items.append(self._write_result(part))
            else:
                content += self._write_client_part(part)
        if content:
            yield {"type": "message", "role": role, "content": _simplify(content), **self._extras(message)}
        yield from other_items

    def _write_client_part(self, part: Text | Refusal | Media | Reasoning | ToolCall) -> Iterator[dict[str, Any]]:
        if isinstance(part, Text | Refusal):
            mark = part.cache if isinstance(part, Text) else None
            yield {"type": "input_text", "text": part.text, **self._write_cache_mark(mark), **self._extras(part)}
        elif isinstance(part, Media):
            yield self._write_media(part)
        else:
            self._losses.dropped("messages[].content[]")

    def _write_cache_mark(self, mark: CacheMark | None) -> dict[str, Any]:
        if mark is None or not self._is_same_dialect:
            return {}
        ttl = {"ttl": mark.ttl} if mark.ttl else {}
        return {"prompt_cache_breakpoint": {"mode": "explicit", **ttl}}

    def _write_media(self, media: Media) -> dict[str, Any]:
        source = media.source
        if media.kind == "audio" and self._is_same_dialect:
            audio_format = source.media_type.removeprefix("audio/")
            return {"type": "input_audio", "input_audio": {"data": source.data, "format": audio_format}, **media.extras}
        if media.kind in {"audio", "video"}:
            raise self._unsupported(f"does not support {media.kind} input")
        if source.file_id and not self._has_file_ids:
            raise self._unsupported("cannot read files uploaded to another vendor", "Send the content of the file.")
        if source.url and not source.url.startswith(("http://", "https://")):
            raise self._unsupported("fetches only http and https URLs", "Send the content, or an https URL.")
        if media.context:
            self._losses.dropped("messages[].content[].context")
        if media.has_citations:
            self._losses.dropped("messages[].content[].citations")
        part = self._write_image(media) if media.kind == "image" else self._write_document(media)
        return {**part, **self._write_cache_mark(media.cache), **self._extras(media)}

    def _unsupported(self, reason: str, hint: str | None = None) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} uses OpenAI's Responses API, which {reason}.",
            param=self._losses.name_of("messages"),
            hint=hint,
        )

    def _write_image(self, media: Media) -> dict[str, Any]:
        source, part = media.source, {"type": "input_image", "detail": media.detail or "auto"}
        if source.file_id:
            return {**part, "file_id": source.file_id}
        return {**part, "image_url": source.url or _data_url(source.media_type or "image/png", source.data or "")}

    def _write_document(self, media: Media) -> dict[str, Any]:
        source = media.source
        if source.text is not None:
            title = f"{media.name}\n\n" if media.name else ""
            self._losses.add("messages[].content[].document", "converted", "text")
            return {"type": "input_text", "text": title + source.text}
        part: dict[str, Any] = {"type": "input_file"}
        if media.detail:
            part["detail"] = media.detail
        if source.file_id:
            return {**part, "file_id": source.file_id}
        if source.url:
            return {**part, "file_url": source.url}
        media_type = source.media_type or "application/pdf"
        name = media.name or f"document{_SUFFIXES.get(media_type, '')}"
        return {**part, "filename": name, "file_data": _data_url(media_type, source.data or "")}

    # messages of the assistant

    def _write_assistant_message(self, message: Message) -> Iterator[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        extras = self._extras(message)
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                content.append(self._write_text(part))
                continue
            if isinstance(part, Foreign) and not _is_item(part):
                content += self._write_foreign(part)
                continue
            if content:
                yield _assistant_message(content, extras)
                content = []
            yield from self._write_assistant_part(part)
        if content:
            yield _assistant_message(content, extras)

    def _write_text(self, part: Text | Refusal) -> dict[str, Any]:
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        own = [citation.raw for citation in part.citations if citation.dialect == DIALECT]
        annotations = [raw for raw in own if isinstance(raw, dict)]
        if len(annotations) < len(part.citations):
            self._losses.dropped("messages[].content[].citations")
        return {"type": "output_text", "text": part.text, **({"annotations": annotations} if annotations else {})}

    def _write_assistant_part(
        self, part: Reasoning | ToolCall | Media | ToolResult | Foreign
    ) -> Iterator[dict[str, Any]]:
        if isinstance(part, ToolCall):
            yield self._write_call(part)
        elif isinstance(part, Reasoning):
            yield from self._write_reasoning(part)
        elif isinstance(part, ToolResult):
            yield self._write_result(part)
        elif isinstance(part, Foreign):
            yield from self._write_foreign(part)
        elif part.transcript:
            self._losses.add("messages[].content[]", "converted", "its transcript")
            yield _assistant_message([{"type": "output_text", "text": part.transcript}], {})
        else:
            self._losses.dropped(f"messages[].content[].{part.kind}")

    def _write_reasoning(self, part: Reasoning) -> Iterator[dict[str, Any]]:
        """Write reasoning if this upstream has signed it. It rejects all other reasoning."""
        token = usable_token(part.token, DIALECT, self._deployment)
        if token is None:
            self._losses.add("messages[].reasoning", "dropped", "not signed by this upstream")
            return
        yield {
            "type": "reasoning",
            "id": part.id if part.id.startswith("rs_") else _reasoning_id(token),
            "summary": [{"type": "summary_text", "text": text} for text in part.summary],
            "encrypted_content": token,
        }

    def _write_call(self, call: ToolCall) -> dict[str, Any]:
        namespace, name = self._namespaces.get(call.name, ("", call.name))
        item: dict[str, Any] = {"type": "function_call", "call_id": shortened_id(call.id, _MAX_ID_CHARS), "name": name}
        if namespace:
            item["namespace"] = namespace
        if call.kind == "custom":
            item |= {"type": "custom_tool_call", "input": call.arguments}
        else:
            item["arguments"] = "{}" if are_no_arguments(call.arguments) else call.arguments
        return {**item, **self._extras(call)}

    # tool results

    def _write_tool_message(self, message: Message) -> Iterator[dict[str, Any]]:
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield self._write_result(part)
            elif isinstance(part, Foreign):
                yield from self._write_foreign(part)
            else:
                self._losses.dropped("messages[].content[]")

    def _write_result(self, result: ToolResult) -> dict[str, Any]:
        if result.is_error:
            self._losses.add("messages[].content[].is_error", "converted", "text")
        kind = "function_call_output" if result.kind == "function" else "custom_tool_call_output"
        content = [written for part in result.parts for written in self._write_client_part(part)]
        if result.is_error:
            content = _marked_as_error(content)
        output = _simplify(content) if content else ""
        call_id = shortened_id(result.call_id, _MAX_ID_CHARS)
        return {"type": kind, "call_id": call_id, "output": output, **self._extras(result)}

    def _write_foreign(self, part: Foreign) -> Iterator[dict[str, Any]]:
        if self._is_same_dialect and part.dialect == DIALECT:
            yield part.raw
        else:
            self._losses.dropped(f"messages[].content[].{part.kind}")


def _marked_as_error(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the content of the result of a failed tool. The text says so, because the API has no member for it."""
    if content and content[0]["type"] == "input_text":
        text = content[0]["text"]
        return content if text[:5].lower() == "error" else [content[0] | {"text": f"Error: {text}"}, *content[1:]]
    return [{"type": "input_text", "text": "The tool failed."}, *content]


def _is_item(part: Foreign) -> bool:
    """Return whether it is an input item. The types of content parts start with `input_` or `output_`."""
    return not part.kind.startswith(("input_", "output_"))


def _assistant_message(content: list[dict[str, Any]], extras: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": _simplify(content), **extras}


def _simplify(content: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return content that is one plain text as a string, which all compatible upstreams accept."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        text: str = content[0]["text"]
        return text
    return content


def _reasoning_id(token: str) -> str:
    """Return an id for an item without one. It depends on the token only, so that prompt caching works."""
    return "rs_" + hashlib.sha256(token.encode()).hexdigest()[:32]


def _data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def namespaced_tools(conversation: Conversation) -> dict[str, tuple[str, str]]:
    """Return (namespace, name) by flat name, for the tools whose flat name is their own name."""
    result: dict[str, tuple[str, str]] = {}
    for tool in conversation.tools:
        group = None if isinstance(tool, ServerTool) else tool.extras.get("namespace")
        if group is not None and not isinstance(tool, ServerTool) and group["function"] == tool.name:
            result[tool.name] = (group["name"], tool.name)
    return result


def write_tools(conversation: Conversation, losses: LossReport) -> list[dict[str, Any]]:
    """Write the tools. A client of the same dialect gets its namespaces back, except for renamed functions."""
    is_same_dialect = conversation.dialect == DIALECT
    namespaces = namespaced_tools(conversation) if is_same_dialect else {}
    written: list[dict[str, Any]] = []
    groups: dict[str, dict[str, Any]] = {}
    for tool in conversation.tools:
        if isinstance(tool, ServerTool):
            if is_same_dialect and tool.dialect == DIALECT:
                written.append(tool.raw)
            else:
                losses.dropped(f"tools[].{tool.kind}")
            continue
        definition = _write_tool(tool, losses, conversation.dialect)
        if tool.name not in namespaces:
            if is_same_dialect and "namespace" in tool.extras:
                losses.add("tools[].namespace", "converted", "namespace added to the name")
            written.append(definition)
            continue
        group = tool.extras["namespace"]
        if group["name"] not in groups:
            groups[group["name"]] = {
                "type": "namespace",
                "name": group["name"],
                "description": group["description"],
                "tools": [],
            }
            written.append(groups[group["name"]])
        groups[group["name"]]["tools"].append(definition)
    return written


def _write_tool(tool: FunctionTool | CustomTool, losses: LossReport, dialect: str) -> dict[str, Any]:
    extras = {name: value for name, value in tool.extras.items() if name != "namespace"}
    is_same_dialect = dialect == DIALECT
    definition: dict[str, Any]
    if isinstance(tool, FunctionTool):
        parameters = tool.parameters
        if parameters is None or not is_same_dialect:
            parameters = with_properties(object_schema(parameters, losses))
        definition = {"type": "function", "name": tool.name, "parameters": parameters}
        # If `strict` is missing, it is true in this dialect and false in the others.
        if tool.is_strict is not None or not is_same_dialect:
            definition["strict"] = bool(strictness(tool, parameters, dialect, losses))
    else:
        definition = {"type": "custom", "name": tool.name}
        if tool.format is not None:
            definition["format"] = tool.format
    if tool.description:
        definition["description"] = tool.description
    return {**definition, **extras} if is_same_dialect else definition
