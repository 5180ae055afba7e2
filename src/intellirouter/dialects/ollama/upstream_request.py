"""Requests for an Ollama upstream: the intermediate form as the body of `POST /api/chat`.

Sources: Ollama's `docs/api.md`, `api/types.go`. It has no `tool_choice` and takes media as base64 only.
"""

from typing import Any, Final

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT, custom_tool_schema
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

_NO_SCHEMA: Final = {"type": "object", "properties": {}}
_LEVELS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
_MEDIA: Final = "messages[].content[]"
_ONLY_GENERATE: Final = frozenset({"template", "raw", "suffix", "context"})


class RequestWriter:
    """Writes one request. Read-only on the conversation."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._conversation = conversation
        self._deployment = deployment
        self._losses = losses
        self._names = conversation.tool_names()
        self._is_own = conversation.dialect == DIALECT

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
        self._note_unsaid(conversation)
        if self._is_own:
            self._send_extras(body)
        return body

    def _check(self) -> None:
        """Refuse what the client relies on and Ollama cannot do."""
        conversation, losses = self._conversation, self._losses
        if conversation.sampling.n > 1:
            raise self._cannot("give several choices for one request", "n")
        for modality in conversation.modalities:
            if modality != "text":
                raise self._cannot(f"answer in {modality}", losses.name_of("modalities"))
        choice = conversation.tool_choice
        if choice is None:
            return
        if choice.mode in {"required", "named"} or choice.raw is not None:
            raise self._cannot("be forced to call a tool", losses.name_of("tool_choice"))
        if choice.mode == "none" and conversation.tools:
            losses.add("tool_choice", "emulated", "tools left out")
        if choice.allowed is not None and choice.mode != "none":
            losses.add("tool_choice", "converted", "only the allowed tools are sent")
        if choice.is_parallel is False:
            losses.dropped("is_parallel")

    def _cannot(self, what: str, field: str) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} (Ollama) cannot {what}.", param=self._losses.name_of(field)
        )

    def _note_unsaid(self, conversation: Conversation) -> None:
        sampling, losses = conversation.sampling, self._losses
        if conversation.output is not None and conversation.output.description:
            losses.dropped("output.description")  # the format binds the answer, the model never reads it
        if sampling.logit_bias:
            losses.dropped("logit_bias")
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
            elif name in _ONLY_GENERATE:
                self._losses.dropped(name)
            else:
                body[name] = value

    def _options(self, sampling: Sampling) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name, knob in (*INTEGERS.items(), *NUMBERS.items()):
            value = getattr(sampling, knob)
            if value is not None:
                options[name] = value
        if sampling.stop:
            options["stop"] = sampling.stop
        return options

    def _think(self, ask: ReasoningConfig) -> bool | str | None:
        if ask.budget_tokens:
            self._losses.add("reasoning.budget_tokens", "converted", "thinking is on or off")
        if ask.summary or ask.is_visible is False:
            self._losses.dropped("reasoning.summary")
        if ask.is_enabled is False or ask.effort == "none" or ask.budget_tokens == 0:
            return False
        if ask.effort:
            level = _LEVELS.get(ask.effort)
            if level != ask.effort:
                self._losses.add("reasoning.effort", "clamped", level or "on")
            return level or True
        return True if ask.is_enabled or ask.is_adaptive or ask.budget_tokens else None

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
                        tools.append(self._free_text(tool))
                case ServerTool():
                    self._losses.add(f"tools[].{tool.kind}", "dropped", "only its vendor runs it")
        return tools

    def _free_text(self, tool: CustomTool) -> dict[str, Any]:
        self._losses.add("tools", "emulated", f"free text is the argument {INPUT_ARGUMENT}")
        function = {"name": tool.name, "description": tool.description, "parameters": custom_tool_schema(tool)}
        return {"type": "function", "function": function}

    def _function(self, tool: FunctionTool) -> dict[str, Any]:
        if tool.is_strict:
            self._losses.dropped("tools[].strict")
        if tool.cache is not None:
            self._losses.dropped("cache")
        function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters or _NO_SCHEMA}
        if tool.description:
            function["description"] = tool.description
        if self._is_own:
            function.update(tool.extras)
        return {"type": "function", "function": function}

    def _messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        seen: list[str] = []
        """Pictures of tool results: told by the user, once all results of the turn have been."""
        for message in self._conversation.messages:
            if message.role == "tool":
                messages += [self._result(part, seen) for part in message.parts if isinstance(part, ToolResult)]
                self._note_foreign(message)
                continue
            self._tell_seen(seen, messages)
            messages.append(self._message(message))
        self._tell_seen(seen, messages)
        return messages

    def _tell_seen(self, seen: list[str], messages: list[dict[str, Any]]) -> None:
        if seen:
            messages.append({"role": "user", "content": "What the tools returned:", "images": list(seen)})
            seen.clear()

    def _result(self, result: ToolResult, seen: list[str]) -> dict[str, Any]:
        said: list[str] = []
        for part in result.parts:
            if isinstance(part, Text):
                said.append(part.text)
            else:
                self._losses.add("messages[].content[].tool_result", "converted", "media in a user message")
                self._take_media(part, said, seen)
        text = "\n".join(said)
        if result.is_error:
            self._losses.add("messages[].content[].is_error", "converted", "in words")
            text = text if text[:5].lower() == "error" else f"Error: {text}"
        if result.cache is not None:
            self._losses.dropped("cache")
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
                    thinking.append(self._thought(part))
                case Media():
                    self._take_media(part, text, images)
                case ToolCall():
                    calls.append(self._call(part, len(calls)))
                case _:
                    pass  # tool results stand in tool messages
        self._note_foreign(message)
        self._note_marks(message)
        glue = "" if message.role == "assistant" else "\n"
        role = "system" if message.role == "developer" else message.role
        said: dict[str, Any] = {"role": role, "content": glue.join(text)}
        if thought := "".join(thinking):
            said["thinking"] = thought
        if images:
            said["images"] = images
        if calls:
            said["tool_calls"] = calls
        if self._is_own:
            said.update(message.extras)
        return said

    def _thought(self, part: Reasoning) -> str:
        thought = part.text or "\n\n".join(part.summary)
        if not thought:
            self._losses.add("messages[].reasoning", "dropped", "without words it means something to its vendor only")
        return thought

    def _note_foreign(self, message: Message) -> None:
        for part in message.parts:
            if isinstance(part, Foreign):
                self._losses.add(f"{_MEDIA}.{part.kind}", "dropped", "only its vendor knows it")

    def _note_marks(self, message: Message) -> None:
        if message.name:
            self._losses.dropped("messages[].name")
        if any(getattr(part, "cache", None) is not None for part in message.parts):
            self._losses.dropped("cache")
        if any(getattr(part, "citations", None) for part in message.parts):
            self._losses.dropped(f"{_MEDIA}.citations")

    def _take_media(self, part: Media, text: list[str], images: list[str]) -> None:
        if part.source.text is not None:
            self._losses.add(f"{_MEDIA}.{part.kind}", "converted", "text")
            text.append(part.source.text)
        else:
            images.append(self._data(part))

    def _data(self, part: Media) -> str:
        """Return the base64 of a picture or recording: the one kind of media that Ollama takes."""
        if part.kind not in {"image", "audio"}:
            raise self._cannot(f"read a {part.kind}", f"{_MEDIA}.{part.kind}")
        if part.source.data is None:
            raise self._cannot(f"fetch an {part.kind} by its address or file id", f"{_MEDIA}.{part.kind}")
        if part.detail and part.detail != "auto":
            self._losses.dropped(f"{_MEDIA}.detail")
        return part.source.data

    def _call(self, call: ToolCall, index: int) -> dict[str, Any]:
        found = {INPUT_ARGUMENT: call.arguments} if call.kind == "custom" else call.arguments_object()
        if found is None:
            self._losses.add("messages[].tool_calls[].arguments", "converted", "they are no JSON object")
            found = {RAW: call.arguments}
        written: dict[str, Any] = {"function": {"index": index, "name": call.name, "arguments": found}}
        if call.id:
            written["id"] = call.id
        if self._is_own:
            written.update(call.extras)
        return written


def _format(output: OutputFormat | None) -> Any:
    if output is None or output.kind == "text":
        return None
    return output.schema if output.kind == "json_schema" and output.schema is not None else "json"
