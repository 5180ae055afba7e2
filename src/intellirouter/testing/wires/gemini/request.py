"""Validate a request to generate and read what the planner needs: first the format, then the combinations."""

from typing import Any, Final

from intellirouter.fake.completion import CompletionRequest
from intellirouter.testing.wires.gemini.proto import parse_message
from intellirouter.testing.wires.gemini.reply import GoogleError, invalid
from intellirouter.testing.wires.gemini.tools import choose_tools, plain_schema
from intellirouter.testing.wires.gemini.turns import check_turns, last_input, tokens_in

MAX_STOPS: Final = 5
MAX_CANDIDATES: Final = 8
JSON_MIME: Final = "application/json"
_MIMES: Final = frozenset({"text/plain", JSON_MIME, "text/x.enum"})


class GeminiRequest(CompletionRequest, kw_only=True):
    """A request to `:generateContent` or `:streamGenerateContent`."""

    is_vertex: bool = False
    has_signatures: bool = False
    """The model signs its calls and requires the signatures in later requests."""
    shows_reasoning: bool = False
    has_logprobs: bool = False

    @property
    def endpoint(self) -> str:
        """The API to which signatures belong; another API rejects them."""
        return "vertex" if self.is_vertex else "studio"


def parse_generate(model: str, document: dict[str, Any], *, is_vertex: bool) -> GeminiRequest:
    """Validate the request. Raises `GoogleError`."""
    request = parse_message(document, "GenerateContentRequest")
    contents = request.get("contents") or []
    if not contents:
        raise invalid("contents", "contents is not specified")
    parsed = GeminiRequest(
        model=model,
        input_text="",
        is_vertex=is_vertex,
        has_signatures=model.startswith("gemini-3"),
        prompt_tokens=prompt_tokens(request),
    )
    check_turns(contents, parsed.endpoint if parsed.has_signatures else None)
    parsed.input_text, parsed.last_role = last_input(contents)
    _configure(parsed, request.get("generation_config") or {})
    choose_tools(parsed, request)
    if parsed.tools and parsed.format != "text" and not parsed.has_signatures:
        raise GoogleError(400, "Function calling with a response mime type: 'application/json' is unsupported")
    return parsed


def prompt_tokens(request: dict[str, Any]) -> int:
    contents = [*(request.get("contents") or []), request.get("system_instruction") or {}]
    return tokens_in(contents, request.get("tools") or [])


def _configure(parsed: GeminiRequest, config: dict[str, Any]) -> None:
    where = "generation_config"
    temperature = config.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        raise invalid(f"{where}.temperature", "temperature must be in the range [0.0, 2.0].")
    top_p = config.get("top_p")
    if top_p is not None and not 0 <= top_p <= 1:
        raise invalid(f"{where}.top_p", "top_p must be in the range [0.0, 1.0].")
    parsed.max_tokens = config.get("max_output_tokens")
    if parsed.max_tokens is not None and parsed.max_tokens < 1:
        raise invalid(f"{where}.max_output_tokens", "max_output_tokens must be positive.")
    parsed.choice_count = config.get("candidate_count") or 1
    if not 1 <= parsed.choice_count <= MAX_CANDIDATES:
        raise invalid(f"{where}.candidate_count", f"candidate_count must be in the range [1, {MAX_CANDIDATES}].")
    parsed.stops = [stop for stop in config.get("stop_sequences") or [] if stop]
    if len(parsed.stops) > MAX_STOPS:
        raise invalid(f"{where}.stop_sequences", f"The number of stop_sequences must not exceed {MAX_STOPS}.")
    parsed.has_logprobs = bool(config.get("response_logprobs"))
    if config.get("logprobs") is not None and not parsed.has_logprobs:
        raise invalid(f"{where}.logprobs", "logprobs is only allowed when response_logprobs is true.")
    _read_format(parsed, config, where)
    _read_reasoning(parsed, config.get("thinking_config") or {})


def _read_format(parsed: GeminiRequest, config: dict[str, Any], where: str) -> None:
    mime = config.get("response_mime_type") or "text/plain"
    if mime not in _MIMES:
        raise invalid(f"{where}.response_mime_type", f"allowed mimetypes are {', '.join(sorted(_MIMES))}.")
    as_schema = config.get("response_schema")
    as_json = config.get("response_json_schema", config.get("_response_json_schema"))
    if as_schema is not None and as_json is not None:
        raise invalid(f"{where}.response_json_schema", "response_schema must be omitted when this is set.")
    if as_schema is None and as_json is None:
        parsed.format = "json_object" if mime == JSON_MIME else "text"
        return
    if mime == "text/plain":
        raise invalid(f"{where}.response_schema", "only allowed when response_mime_type is application/json.")
    parsed.format, parsed.schema = "json_schema", plain_schema(as_schema) if as_schema is not None else as_json


def _read_reasoning(parsed: GeminiRequest, config: dict[str, Any]) -> None:
    budget, level = config.get("thinking_budget"), config.get("thinking_level")
    if budget is not None and level is not None:
        raise GoogleError(400, "You can only set only one of thinking budget and thinking level.")
    if level is not None and level.upper() not in {"MINIMAL", "LOW", "MEDIUM", "HIGH", "THINKING_LEVEL_UNSPECIFIED"}:
        raise GoogleError(
            400,
            "Invalid value at 'generation_config.thinking_config.thinking_level' (type.googleapis.com/"
            f'google.ai.generativelanguage.v1beta.ThinkingConfig.ThinkingLevel), "{level}"',
        )
    parsed.shows_reasoning = bool(config.get("include_thoughts"))
    # A budget of 0 disables reasoning; -1 leaves it to the model.
    is_requested = budget is not None or level is not None or parsed.shows_reasoning
    parsed.wants_reasoning = budget != 0 and (is_requested or parsed.has_signatures)
