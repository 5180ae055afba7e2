"""The response object around the output: what was asked, said again, with every member that clients require.

Source: OpenAI API reference, "The response object".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Call, Usage, errors
from intellirouter.dialects.ir import Stop, StopReason
from intellirouter.dialects.openai_responses.client_request import ResponsesRequest, source_of
from intellirouter.dialects.openai_responses.client_tools import ToolNames, names_of

_INCOMPLETE: Final[dict[StopReason, str]] = {
    "length": "max_output_tokens",
    "context_length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
"""A refusal that the model put into words is a completed answer; without words, it was cut."""
_FAILED: Final[dict[StopReason, str]] = {
    "malformed_tool_call": "The model's tool call could not be read.",
    "cancelled": "The answer was cancelled.",
    "error": "The model failed while answering.",
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
"""What the vendor may say is wrong with the request."""
ERROR_CODES: Final = REJECTED_CODES | {
    "invalid_prompt",
    "misalignment_policy_violation",
    "rate_limit_exceeded",
    "server_error",
    "vector_store_timeout",
}
"""All that a response's `error` may have for `code`."""

_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
"""Clients check the tier against OpenAI's words; other vendors have words of their own."""


class Outcome(Struct, frozen=True):
    """How an answer ended, in this dialect's words."""

    status: str = "completed"
    incomplete_reason: str = ""
    error: dict[str, Any] | None = None

    @property
    def item_status(self) -> str:
        """The status of the item that was being written when the answer ended."""
        return "completed" if self.status == "completed" else "incomplete"


def outcome_of(stop: Stop | None, *, has_refusal: bool) -> Outcome:
    """Say a stop reason. None: the upstream said none, and the answer is whole."""
    reason: StopReason = stop.reason if stop is not None else "stop"
    if reason == "refusal" and has_refusal:
        return Outcome()
    if cut := _INCOMPLETE.get(reason):
        return Outcome("incomplete", cut)
    if failure := _FAILED.get(reason):
        said = stop.message if stop is not None else ""
        return Outcome("failed", error={"code": "server_error", "message": said or failure})
    return Outcome()


def error_of(error: errors.GatewayError) -> dict[str, Any]:
    """Say an error as the `error` of a failed response, whose codes are a closed list."""
    if error.code in ERROR_CODES:
        code = error.code
    elif isinstance(error, errors.UpstreamRateLimited):
        code = "rate_limit_exceeded"
    elif error.blame == "client":
        code = "invalid_prompt"
    else:
        code = "server_error"
    return {"code": code, "message": error.message}


class _Asked(Struct):
    tools: list[Any] | None = None


_asked: Final = msgspec.json.Decoder(_Asked)


class Frame:
    """One response object, apart from its output. Made once an answer."""

    def __init__(self, call: Call, response_id: str) -> None:
        self.request: ResponsesRequest = source_of(call)
        self.id = response_id
        self._model = call.model
        self._previous = call.context.previous_response_id or None
        tools = _asked.decode(call.body).tools or [] if self.request.tools else []
        self.names: ToolNames = names_of(tools)
        self._tools = [_echo_of(tool) for tool in tools]
        self.created_s = 0
        self.completed_s = 0
        self.service_tier = ""

    def response(self, outcome: Outcome, output: list[Any], usage: dict[str, Any] | None) -> dict[str, Any]:
        """Return the whole object."""
        asked = self.request
        has_ended = outcome.status == "completed"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_s,
            "status": outcome.status,
            "background": bool(asked.background),
            "completed_at": self.completed_s if has_ended else None,
            "conversation": _conversation(asked.conversation),
            "error": outcome.error,
            "incomplete_details": {"reason": outcome.incomplete_reason} if outcome.incomplete_reason else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "max_tool_calls": asked.max_tool_calls,
            "model": self._model,
            "output": output,
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id or self._previous,
            "prompt": asked.prompt,
            "prompt_cache_key": asked.prompt_cache_key,
            "reasoning": self._reasoning(),
            "safety_identifier": asked.safety_identifier,
            "service_tier": self.service_tier if self.service_tier in _TIERS else "default",
            "store": asked.store is not False,
            "temperature": 1.0 if asked.temperature is None else asked.temperature,
            "text": self._text(),
            "tool_choice": asked.tool_choice or "auto",
            "tools": self._tools,
            "top_logprobs": asked.top_logprobs or 0,
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "truncation": asked.truncation or "disabled",
            "usage": usage,
            "user": asked.user,
            "metadata": asked.metadata or {},
        }

    def _reasoning(self) -> dict[str, Any]:
        asked = self.request.reasoning
        if asked is None:
            return {"effort": None, "summary": None}
        return {"effort": asked.effort, "summary": asked.summary or asked.generate_summary}

    def _text(self) -> dict[str, Any]:
        asked = self.request.text
        form = (asked.format if asked is not None else None) or {"type": "text"}
        verbosity = asked.verbosity if asked is not None else None
        return {"format": form, "verbosity": verbosity or "medium"}


def _conversation(asked: str | dict[str, Any] | None) -> dict[str, Any] | None:
    return {"id": asked} if isinstance(asked, str) else asked


def _echo_of(tool: Any) -> Any:
    """Return a tool as a response shows it: with the members that a request may leave out."""
    if not isinstance(tool, dict):
        return tool
    if tool.get("type") == "function":
        return {"description": None, "parameters": None, "strict": None, **tool}
    if tool.get("type") == "namespace":
        return {"description": "", **tool}
    return tool


def usage_of(usage: Usage | None) -> dict[str, Any]:
    """Say token counts. Details are never null; counts that nobody reported are 0, for clients that add them up."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.total_input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.total_output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
