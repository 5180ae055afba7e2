"""Writes the response object around the output. It repeats the settings of the request and has all required members.

Source: OpenAI API reference, "The response object".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Call, Usage, errors
from intellirouter.dialects.ir import Stop, StopReason
from intellirouter.dialects.openai_responses.client_request import ResponsesRequest, source_of
from intellirouter.dialects.openai_responses.client_tools import ToolNames, flatten_names

_INCOMPLETE: Final[dict[StopReason, str]] = {
    "length": "max_output_tokens",
    "context_length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
"""A refusal with text completes the response. Without text, the response is incomplete."""
_FAILED: Final[dict[StopReason, str]] = {
    "malformed_tool_call": "The model returned an invalid tool call.",
    "cancelled": "The response was canceled.",
    "error": "The model failed to complete the response.",
}
REJECTED_CODES: Final = frozenset(
    {
        "bio_policy",
        "data_residency_mismatch",
        "empty_image_file",
        "failed_to_download_image",
        "image_content_policy_violation",
        "image_file_not_found",
        "image_file_too_large",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "invalid_base64_image",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_mode",
        "invalid_image_url",
        "unsupported_image_media_type",
    }
)
"""Error codes for problems with the request."""
ERROR_CODES: Final = REJECTED_CODES | {
    "invalid_prompt",
    "misalignment_policy_violation",
    "rate_limit_exceeded",
    "server_error",
    "vector_store_timeout",
}
"""All values of `error.code` that OpenAI's schema of a response allows."""

_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
"""OpenAI's values. Clients validate the tier, so the values of other vendors are not passed on."""


class Outcome(Struct, frozen=True):
    """How a response ended, with this dialect's values."""

    status: str = "completed"
    incomplete_reason: str = ""
    error: dict[str, Any] | None = None

    @property
    def item_status(self) -> str:
        """The status of the item that was open when the response ended."""
        return "completed" if self.status == "completed" else "incomplete"


def outcome_of(stop: Stop | None, *, has_refusal: bool) -> Outcome:
    """Return the outcome for a stop reason. If there is none, the response is complete."""
    reason: StopReason = stop.reason if stop is not None else "stop"
    if reason == "refusal" and has_refusal:
        return Outcome()
    if incomplete_reason := _INCOMPLETE.get(reason):
        return Outcome("incomplete", incomplete_reason)
    if default_message := _FAILED.get(reason):
        message = stop.message if stop is not None else ""
        return Outcome("failed", error={"code": "server_error", "message": message or default_message})
    return Outcome()


def write_error(error: errors.GatewayError) -> dict[str, Any]:
    """Return the `error` of a failed response. Its `code` is one of `ERROR_CODES`."""
    if error.code in ERROR_CODES:
        code = error.code
    elif isinstance(error, errors.UpstreamRateLimited):
        code = "rate_limit_exceeded"
    elif error.blame == "client":
        code = "invalid_prompt"
    else:
        code = "server_error"
    return {"code": code, "message": error.message}


class _ToolsOfRequest(Struct):
    tools: list[Any] | None = None


_tools_decoder: Final = msgspec.json.Decoder(_ToolsOfRequest)


class ResponseEnvelope:
    """The members of one response object except its output."""

    def __init__(self, call: Call, response_id: str) -> None:
        self.request: ResponsesRequest = source_of(call)
        self.id = response_id
        self.model = call.model
        self._previous = call.context.previous_response_id or None
        tools = _tools_decoder.decode(call.body).tools or [] if self.request.tools else []
        self.names: ToolNames = flatten_names(tools)
        self._tools = [_write_tool(tool) for tool in tools]
        self.created_s = 0
        self.completed_s = 0
        self.service_tier = ""

    def write(self, outcome: Outcome, output: list[Any], usage: dict[str, Any] | None) -> dict[str, Any]:
        """Return the complete object."""
        request = self.request
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_s,
            "status": outcome.status,
            "background": bool(request.background),
            "completed_at": self.completed_s if outcome.status == "completed" else None,
            "conversation": _write_conversation(request.conversation),
            "error": outcome.error,
            "incomplete_details": {"reason": outcome.incomplete_reason} if outcome.incomplete_reason else None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "max_tool_calls": request.max_tool_calls,
            "model": self.model,
            "output": output,
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id or self._previous,
            "prompt": request.prompt,
            "prompt_cache_key": request.prompt_cache_key,
            "reasoning": self._write_reasoning(),
            "safety_identifier": request.safety_identifier,
            "service_tier": self.service_tier if self.service_tier in _TIERS else "default",
            "store": request.store is not False,
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "text": self._write_text_config(),
            "tool_choice": request.tool_choice or "auto",
            "tools": self._tools,
            "top_logprobs": request.top_logprobs or 0,
            "top_p": 1.0 if request.top_p is None else request.top_p,
            "truncation": request.truncation or "disabled",
            "usage": usage,
            "user": request.user,
            "metadata": request.metadata or {},
        }

    def _write_reasoning(self) -> dict[str, Any]:
        reasoning = self.request.reasoning
        if reasoning is None:
            return {"effort": None, "summary": None}
        return {"effort": reasoning.effort, "summary": reasoning.summary or reasoning.generate_summary}

    def _write_text_config(self) -> dict[str, Any]:
        text = self.request.text
        text_format = (text.format if text is not None else None) or {"type": "text"}
        verbosity = text.verbosity if text is not None else None
        return {"format": text_format, "verbosity": verbosity or "medium"}


def _write_conversation(conversation: str | dict[str, Any] | None) -> dict[str, Any] | None:
    return {"id": conversation} if isinstance(conversation, str) else conversation


def _write_tool(tool: Any) -> Any:
    """Return a tool with the members that are optional in a request and required in a response."""
    if not isinstance(tool, dict):
        return tool
    if tool.get("type") == "function":
        return {"description": None, "parameters": None, "strict": None, **tool}
    if tool.get("type") == "namespace":
        return {"description": "", **tool}
    return tool


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the token counts. Details are never null, and unknown counts are 0, because clients add them up."""
    return {
        "input_tokens": usage.total_input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.total_cache_write_tokens,
        },
        "output_tokens": usage.total_output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
