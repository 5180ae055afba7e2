"""Messages and tools as input items and tools of the responses dialect."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from intellirouter.core import Deployment, LossReport, errors
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
    Tool,
    ToolCall,
    ToolResult,
    usable_token,
)
from intellirouter.dialects.openai_responses.client_content import MEDIA_TYPES
from intellirouter.dialects.openai_responses.fields import DIALECT

_MAX_ID_CHARS: Final = 64
_FILE_IDS_OF: Final = frozenset({DIALECT, "openai_chat"})
"""File ids mean something to the vendor that gave them: these dialects are one vendor's."""
_SUFFIXES: Final = {media_type: suffix for suffix, media_type in MEDIA_TYPES.items()}


class InputWriter:
    """Writes the items of one attempt. Read-only on the conversation."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._is_own = conversation.dialect == DIALECT
        self._has_file_ids = conversation.dialect in _FILE_IDS_OF
        self._deployment = deployment
        self._losses = losses
        self._namespaces = namespaces_of(conversation) if self._is_own else {}
        self._custom = {tool.name for tool in conversation.tools if isinstance(tool, CustomTool)}

    def items(self, messages: list[Message]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for message in messages:
            if message.name:
                self._losses.dropped("messages[].name")
            if message.role == "assistant":
                found += self._of_assistant(message)
            elif message.role == "tool":
                found += self._of_tools(message)
            else:
                found += self._of_client(message)
        return found

    def _extras(self, value: Message | ToolCall | ToolResult | Text | Media | Refusal) -> dict[str, Any]:
        return value.extras if self._is_own else {}

    # the client's turns

    def _of_client(self, message: Message) -> Iterator[dict[str, Any]]:
        role: str = message.role
        if role == "developer" and not self._deployment.quirks.has_developer_role:
            role = "system"
            self._losses.add("messages[].role", "converted", "system")
        content: list[dict[str, Any]] = []
        whole: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, Foreign) and _is_item(part):
                whole += self._foreign(part)
            elif isinstance(part, Foreign):
                content += self._foreign(part)
            elif isinstance(part, ToolResult):
                whole.append(self._result(part))
            else:
                content += self._client_part(part)
        if content:
            yield {"type": "message", "role": role, "content": _shortest(content), **self._extras(message)}
        yield from whole

    def _client_part(self, part: Text | Refusal | Media | Reasoning | ToolCall) -> Iterator[dict[str, Any]]:
        if isinstance(part, Text | Refusal):
            mark = part.cache if isinstance(part, Text) else None
            yield {"type": "input_text", "text": part.text, **self._mark(mark), **self._extras(part)}
        elif isinstance(part, Media):
            yield self._media(part)
        else:
            self._losses.dropped("messages[].content[]")

    def _mark(self, mark: CacheMark | None) -> dict[str, Any]:
        if mark is None:
            return {}
        if not self._is_own:
            self._losses.add("cache", "converted", "automatic caching")
            return {}
        ttl = {"ttl": mark.ttl} if mark.ttl else {}
        return {"prompt_cache_breakpoint": {"mode": "explicit", **ttl}}

    def _media(self, media: Media) -> dict[str, Any]:
        source = media.source
        if media.kind == "audio" and self._is_own:
            audio_format = source.media_type.removeprefix("audio/")
            return {"type": "input_audio", "input_audio": {"data": source.data, "format": audio_format}, **media.extras}
        if media.kind in {"audio", "video"}:
            raise errors.UnsupportedFeature(
                f"{self._deployment.name} takes no {media.kind} in the responses dialect.",
                param=self._losses.name_of("messages"),
            )
        if source.file_id and not self._has_file_ids:
            raise errors.UnsupportedFeature(
                f"{self._deployment.name} cannot see a file that was uploaded elsewhere; send its content instead.",
                param=self._losses.name_of("messages"),
            )
        if source.url and not source.url.startswith(("http://", "https://")):
            raise errors.UnsupportedFeature(
                f"{self._deployment.name} cannot fetch from such a URL; send the content, or an https URL.",
                param=self._losses.name_of("messages"),
            )
        if media.context:
            self._losses.dropped("messages[].content[].context")
        if media.has_citations:
            self._losses.dropped("messages[].content[].citations")
        form = self._image(media) if media.kind == "image" else self._document(media)
        return {**form, **self._mark(media.cache), **self._extras(media)}

    def _image(self, media: Media) -> dict[str, Any]:
        source, part = media.source, {"type": "input_image", "detail": media.detail or "auto"}
        if source.file_id:
            return {**part, "file_id": source.file_id}
        return {**part, "image_url": source.url or _data_url(source.media_type or "image/png", source.data or "")}

    def _document(self, media: Media) -> dict[str, Any]:
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

    # the assistant's turns

    def _of_assistant(self, message: Message) -> Iterator[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        extras = self._extras(message)
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                content.append(self._spoken(part))
                continue
            if isinstance(part, Foreign) and not _is_item(part):
                content += self._foreign(part)
                continue
            if content:
                yield _assistant_message(content, extras)
                content = []
            yield from self._assistant_item(part)
        if content:
            yield _assistant_message(content, extras)

    def _spoken(self, part: Text | Refusal) -> dict[str, Any]:
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        annotations = [one.raw for one in part.citations if one.dialect == DIALECT and isinstance(one.raw, dict)]
        if len(annotations) < len(part.citations):
            self._losses.dropped("messages[].content[].citations")
        return {"type": "output_text", "text": part.text, **({"annotations": annotations} if annotations else {})}

    def _assistant_item(self, part: Reasoning | ToolCall | Media | ToolResult | Foreign) -> Iterator[dict[str, Any]]:
        if isinstance(part, ToolCall):
            yield self._call(part)
        elif isinstance(part, Reasoning):
            yield from self._thought(part)
        elif isinstance(part, ToolResult):
            yield self._result(part)
        elif isinstance(part, Foreign):
            yield from self._foreign(part)
        elif part.transcript:
            self._losses.add("messages[].content[]", "converted", "its transcript")
            yield _assistant_message([{"type": "output_text", "text": part.transcript}], {})
        else:
            self._losses.dropped(f"messages[].content[].{part.kind}")

    def _thought(self, part: Reasoning) -> Iterator[dict[str, Any]]:
        """Send a thought back to who signed it. Others refuse it: an unsigned one is unknown to them."""
        token = usable_token(part.token, DIALECT, self._deployment)
        if token is None:
            self._losses.add("messages[].reasoning", "dropped", "signed by somebody else")
            return
        yield {
            "type": "reasoning",
            "id": part.id if part.id.startswith("rs_") else _reasoning_id(token),
            "summary": [{"type": "summary_text", "text": text} for text in part.summary],
            "encrypted_content": token,
        }

    def _call(self, call: ToolCall) -> dict[str, Any]:
        namespace, name = self._namespaces.get(call.name, ("", call.name))
        item: dict[str, Any] = {"type": "function_call", "call_id": call_id(call.id), "name": name}
        if namespace:
            item["namespace"] = namespace
        if call.kind == "custom":
            item |= {"type": "custom_tool_call", "input": call.arguments}
        else:
            item["arguments"] = call.arguments or "{}"
        return {**item, **self._extras(call)}

    # the tools' turns

    def _of_tools(self, message: Message) -> Iterator[dict[str, Any]]:
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield self._result(part)
            elif isinstance(part, Foreign):
                yield from self._foreign(part)
            else:
                self._losses.dropped("messages[].content[]")

    def _result(self, result: ToolResult) -> dict[str, Any]:
        if result.cache is not None:
            self._losses.add("cache", "converted", "automatic caching")
        if result.is_error:
            self._losses.add("messages[].content[].is_error", "converted", "text")
        kind = "function_call_output" if result.kind == "function" else "custom_tool_call_output"
        content = [found for part in result.parts for found in self._client_part(part)]
        if result.is_error and not content:
            content = [{"type": "input_text", "text": "The tool failed."}]
        output = _shortest(content) if content else ""
        return {"type": kind, "call_id": call_id(result.call_id), "output": output, **self._extras(result)}

    def _foreign(self, part: Foreign) -> Iterator[dict[str, Any]]:
        if self._is_own and part.dialect == DIALECT:
            yield part.raw
        else:
            self._losses.dropped(f"messages[].content[].{part.kind}")


def _is_item(part: Foreign) -> bool:
    """Tell an item of the input from a part of a message's content, which are called `input_…` and `output_…`."""
    return not part.kind.startswith(("input_", "output_"))


def _assistant_message(content: list[dict[str, Any]], extras: dict[str, Any]) -> dict[str, Any]:
    is_plain = len(content) == 1 and content[0].keys() == {"type", "text"}
    return {
        "type": "message",
        "role": "assistant",
        "content": content[0]["text"] if is_plain else content,
        **extras,
    }


def _shortest(content: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return one plain text as a string, which every backend understands."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        text: str = content[0]["text"]
        return text
    return content


def _reasoning_id(token: str) -> str:
    """Return an id for an item that has none: the same for the same token, so that a prompt cache can find it."""
    return "rs_" + hashlib.sha256(token.encode()).hexdigest()[:32]


def _data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def call_id(given: str) -> str:
    """Return a call's id, at most 64 characters long: a longer one is hashed, alike in calls and results."""
    if len(given) <= _MAX_ID_CHARS:
        return given
    return "call_" + hashlib.sha256(given.encode()).hexdigest()[:32]


def namespaces_of(conversation: Conversation) -> dict[str, tuple[str, str]]:
    """Return (namespace, name) by told name, of the tools that keep their own name in their namespace."""
    found: dict[str, tuple[str, str]] = {}
    for tool in conversation.tools:
        group = None if isinstance(tool, ServerTool) else tool.extras.get("namespace")
        if group is not None and not isinstance(tool, ServerTool) and group["function"] == tool.name:
            found[tool.name] = (group["name"], tool.name)
    return found


def encode_tools(conversation: Conversation, losses: LossReport) -> list[dict[str, Any]]:
    """Write the tools. Functions of a namespace go back into it, unless another tool has their name."""
    is_own = conversation.dialect == DIALECT
    namespaces = namespaces_of(conversation) if is_own else {}
    found: list[dict[str, Any]] = []
    groups: dict[str, dict[str, Any]] = {}
    for tool in conversation.tools:
        if isinstance(tool, ServerTool):
            if is_own and tool.dialect == DIALECT:
                found.append(tool.raw)
            else:
                losses.dropped(f"tools[].{tool.kind}")
            continue
        form = _tool(tool, is_own=is_own)
        if tool.cache is not None:
            losses.add("cache", "converted", "automatic caching")
        if tool.name not in namespaces:
            if is_own and "namespace" in tool.extras:
                losses.add("tools[].namespace", "converted", "a longer name")
            found.append(form)
            continue
        group = tool.extras["namespace"]
        if group["name"] not in groups:
            groups[group["name"]] = {
                "type": "namespace",
                "name": group["name"],
                "description": group["description"],
                "tools": [],
            }
            found.append(groups[group["name"]])
        groups[group["name"]]["tools"].append(form)
    return found


def _tool(tool: Tool, *, is_own: bool) -> dict[str, Any]:
    extras = {name: value for name, value in getattr(tool, "extras", {}).items() if name != "namespace"}
    form: dict[str, Any]
    if isinstance(tool, FunctionTool):
        parameters = tool.parameters if tool.parameters is not None else {"type": "object", "properties": {}}
        form = {"type": "function", "name": tool.name, "parameters": parameters}
        # Unsaid, this dialect means strict; the others mean not.
        if tool.is_strict is not None or not is_own:
            form["strict"] = bool(tool.is_strict)
    else:
        assert isinstance(tool, CustomTool)  # noqa: S101 - the only other kind
        form = {"type": "custom", "name": tool.name}
        if tool.format is not None:
            form["format"] = tool.format
    if tool.description:
        form["description"] = tool.description
    return {**form, **extras} if is_own else form
