"""Encoding of conversations for an Ollama upstream, as the body of `POST /api/chat`.

Sources: Ollama's `docs/api.md`, `api/types.go`. It has no `tool_choice`, and takes media as base64 only.
"""

from typing import Any, Final

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.adapt.cache_marks import has_marks
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT, custom_tool_schema
from intellirouter.dialects.adapt.object_schema import object_schema
from intellirouter.dialects.adapt.stop_sequences import usable_stops
from intellirouter.dialects.ir import (
    Conversation,
    CustomTool,
    Foreign,
    FunctionTool,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Sampling,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
)
from intellirouter.dialects.ollama.wire import DIALECT, INTEGERS, NUMBERS, OPTION_PREFIX, RAW
from intellirouter.dialects.wire.media_types import decoded_text, is_textual

_NO_PARAMETERS: Final = {"type": "object", "properties": {}}
_LEVELS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
_MEDIA: Final = "messages[].content[]"
_GENERATE_ONLY: Final = frozenset({"template", "raw", "suffix", "context"})


class RequestWriter:
    """Encodes one request. Does not change the conversation."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._conversation = conversation
        self._deployment = deployment
        self._losses = losses
        self._names = conversation.tool_names()
        self._is_same_dialect = conversation.dialect == DIALECT

    def body(self) -> dict[str, Any]:
        conversation = self._conversation
        self._check()
        body: dict[str, Any] = {
            "model": self._deployment.upstream_model,
            "messages": self._messages(),
            "stream": conversation.is_stream,
        }
        if tools := self._tools():
            body["tools"] = tools
        if options := self._options(conversation.sampling):
            body["options"] = options
        if (format_ := _format(conversation.output)) is not None:
            body["format"] = format_
        if conversation.reasoning is not None and (think := self._think(conversation.reasoning)) is not None:
            body["think"] = think
        if conversation.sampling.logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = min(conversation.sampling.top_logprobs or 0, 20)
        self._report_unsupported(conversation)
        if self._is_same_dialect:
            self._send_extras(body)
        return body

    def _check(self) -> None:
        """Raise `UnsupportedFeature` for features that the client relies on and Ollama does not have."""
        conversation, losses = self._conversation, self._losses
        if conversation.sampling.n > 1:
            raise self._unsupported("return several choices for one request", "n")
        for modality in conversation.modalities:
            if modality != "text":
                raise self._unsupported(f"return {modality}", losses.name_of("modalities"))
        choice = conversation.tool_choice
        if choice is None:
            return
        if choice.mode in {"required", "named"} or choice.raw is not None:
            raise self._forced_choice()
        if choice.mode == "none" and conversation.tools:
            losses.add("tool_choice", "emulated", "tools left out")
        if choice.allowed is not None and choice.mode != "none":
            losses.add("tool_choice", "converted", "only the allowed tools are sent")
        if choice.is_parallel is False:
            losses.dropped("is_parallel")

    def _unsupported(self, action: str, field: str) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} (Ollama) cannot {action}.", param=self._losses.name_of(field)
        )

    def _forced_choice(self) -> errors.UnsupportedFeature:
        """Return the error for a forced tool call that `adapt.forced_choice` cannot emulate."""
        if self._conversation.output is not None and self._conversation.output.kind != "text":
            error = self._unsupported("be forced to call a tool and to answer in a format", "tool_choice")
            error.hint = "Remove one of the two, or use a model that supports both."
        else:
            error = self._unsupported("be forced to call any tool but a function in `tools`", "tool_choice")
            error.hint = "Name the function in tool_choice, let the model decide (`auto`), or use another model."
        return error

    def _report_unsupported(self, conversation: Conversation) -> None:
        sampling, losses = conversation.sampling, self._losses
        if conversation.output is not None and conversation.output.description:
            losses.dropped("output.description")  # Ollama enforces the format, but does not show it to the model.
        if sampling.logit_bias:
            losses.dropped("logit_bias")
        if has_marks(conversation):
            losses.dropped("cache")
        for field, value in (
            ("verbosity", sampling.verbosity),
            ("user", conversation.user),
            ("metadata", conversation.metadata),
            ("service_tier", conversation.service_tier),
            ("cache_key", conversation.cache_key),
        ):
            if value:
                losses.dropped(field)

    def _send_extras(self, body: dict[str, Any]) -> None:
        for name, value in self._conversation.extras.items():
            if name.startswith(OPTION_PREFIX):
                body.setdefault("options", {})[name.removeprefix(OPTION_PREFIX)] = value
            elif name in _GENERATE_ONLY:
                self._losses.dropped(name)
            else:
                body[name] = value

    def _options(self, sampling: Sampling) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name, field in (*INTEGERS.items(), *NUMBERS.items()):
            value = getattr(sampling, field)
            if value is not None:
                options[name] = value
        if stop := usable_stops(sampling.stop, self._losses):
            options["stop"] = stop
        return options

    def _think(self, config: ReasoningConfig) -> bool | str | None:
        if config.budget_tokens:
            self._losses.add("reasoning.budget_tokens", "converted", "reasoning can only be on or off")
        if config.summary or config.is_visible is False:
            self._losses.dropped("reasoning.summary")
        if config.is_enabled is False or config.effort == "none" or config.budget_tokens == 0:
            return False
        if config.effort:
            level = _LEVELS.get(config.effort)
            if level != config.effort:
                self._losses.add("reasoning.effort", "clamped", level or "on")
            return level or True
        return True if config.is_enabled or config.is_adaptive or config.budget_tokens else None

    def _tools(self) -> list[dict[str, Any]]:
        choice = self._conversation.tool_choice
        if choice is not None and choice.mode == "none":
            return []
        allowed = None if choice is None else choice.allowed
        tools: list[dict[str, Any]] = []
        for tool in self._conversation.tools:
            match tool:
                case FunctionTool():
                    if allowed is None or tool.name in allowed:
                        tools.append(self._function(tool))
                case CustomTool():
                    if allowed is None or tool.name in allowed:
                        tools.append(self._custom(tool))
                case ServerTool():
                    self._losses.add(f"tools[].{tool.kind}", "dropped", "only its vendor runs it")
        return tools

    def _custom(self, tool: CustomTool) -> dict[str, Any]:
        self._losses.add("tools", "emulated", f"free text sent as argument {INPUT_ARGUMENT}")
        function = {"name": tool.name, "description": tool.description, "parameters": custom_tool_schema(tool)}
        return {"type": "function", "function": function}

    def _function(self, tool: FunctionTool) -> dict[str, Any]:
        if tool.is_strict:
            self._losses.dropped("tools[].strict")
        parameters = tool.parameters or _NO_PARAMETERS
        if not self._is_same_dialect:
            parameters = object_schema(parameters, self._losses)
        function: dict[str, Any] = {"name": tool.name, "parameters": parameters}
        if tool.description:
            function["description"] = tool.description
        if self._is_same_dialect:
            function.update(tool.extras)
        return {"type": "function", "function": function}

    def _messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        images: list[str] = []
        """Images of tool results. They become a user message after all results of the turn."""
        for message in self._conversation.messages:
            if message.role == "tool":
                messages += [self._result(part, images) for part in message.parts if isinstance(part, ToolResult)]
                self._report_foreign(message)
                continue
            self._add_result_images(images, messages)
            messages.append(self._message(message))
        self._add_result_images(images, messages)
        return messages

    def _add_result_images(self, images: list[str], messages: list[dict[str, Any]]) -> None:
        if images:
            messages.append({"role": "user", "content": "What the tools returned:", "images": list(images)})
            images.clear()

    def _result(self, result: ToolResult, images: list[str]) -> dict[str, Any]:
        texts: list[str] = []
        for part in result.parts:
            if isinstance(part, Text):
                texts.append(part.text)
            else:
                self._losses.add("messages[].content[].tool_result", "converted", "media of a tool result sent as user")
                self._add_media(part, texts, images)
        text = "\n".join(texts)
        if result.is_error:
            self._losses.add("messages[].content[].is_error", "converted", "part of the text")
            text = text if text[:5].lower() == "error" else f"Error: {text}"
        message = {"role": "tool", "content": text, "tool_call_id": result.call_id}
        if name := result.name or self._names.get(result.call_id, ""):
            message["tool_name"] = name
        return message

    def _message(self, message: Message) -> dict[str, Any]:
        text: list[str] = []
        thinking: list[str] = []
        images: list[str] = []
        calls: list[dict[str, Any]] = []
        for part in message.parts:
            match part:
                case Text() | Refusal():
                    text.append(part.text)
                case Reasoning():
                    thinking.append(self._reasoning_text(part))
                case Media():
                    self._add_media(part, text, images)
                case ToolCall():
                    calls.append(self._call(part, len(calls)))
                case _:
                    pass  # Tool results are only in tool messages.
        self._report_foreign(message)
        self._report_members(message)
        separator = "" if message.role == "assistant" else "\n"
        role = "system" if message.role == "developer" else message.role
        encoded: dict[str, Any] = {"role": role, "content": separator.join(text)}
        if reasoning := "".join(thinking):
            encoded["thinking"] = reasoning
        if images:
            encoded["images"] = images
        if calls:
            encoded["tool_calls"] = calls
        if self._is_same_dialect:
            encoded.update(message.extras)
        return encoded

    def _reasoning_text(self, part: Reasoning) -> str:
        text = part.text or "\n\n".join(part.summary)
        if not text:
            self._losses.add("messages[].reasoning", "dropped", "reasoning without text")
        return text

    def _report_foreign(self, message: Message) -> None:
        for part in message.parts:
            if isinstance(part, Foreign):
                self._losses.add(f"{_MEDIA}.{part.kind}", "dropped", "only its vendor supports it")

    def _report_members(self, message: Message) -> None:
        if message.name:
            self._losses.dropped("messages[].name")
        if any(getattr(part, "citations", None) for part in message.parts):
            self._losses.dropped(f"{_MEDIA}.citations")

    def _add_media(self, part: Media, text: list[str], images: list[str]) -> None:
        document = _document_text(part)
        if document is not None:
            self._losses.add(f"{_MEDIA}.{part.kind}", "converted", "text")
            text.append(f"{part.name}\n\n{document}" if part.name else document)
        else:
            images.append(self._data(part))

    def _data(self, part: Media) -> str:
        """Return the base64 of an image or of audio. Ollama does not support other media."""
        if part.kind not in {"image", "audio"}:
            raise self._unsupported(f"read {part.kind} input", f"{_MEDIA}.{part.kind}")
        if part.source.data is None:
            raise self._unsupported(f"fetch {part.kind} input by URL or file id", f"{_MEDIA}.{part.kind}")
        if part.detail and part.detail != "auto":
            self._losses.dropped(f"{_MEDIA}.detail")
        return part.source.data

    def _call(self, call: ToolCall, index: int) -> dict[str, Any]:
        arguments = {INPUT_ARGUMENT: call.arguments} if call.kind == "custom" else call.arguments_object()
        if arguments is None:
            self._losses.add("messages[].tool_calls[].arguments", "converted", f"invalid JSON object in {RAW}")
            arguments = {RAW: call.arguments}
        encoded: dict[str, Any] = {"function": {"index": index, "name": call.name, "arguments": arguments}}
        if call.id:
            encoded["id"] = call.id
        if self._is_same_dialect:
            encoded.update(call.extras)
        return encoded


def _document_text(part: Media) -> str | None:
    """Return the text of a text document; None for other media."""
    source = part.source
    if source.text is not None or part.kind != "document" or source.data is None or not is_textual(source.media_type):
        return source.text
    return decoded_text(source.data)


def _format(output: OutputFormat | None) -> Any:
    if output is None or output.kind == "text":
        return None
    return output.schema if output.kind == "json_schema" and output.schema is not None else "json"
