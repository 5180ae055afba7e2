"""A request to generate, checked as Google does: first its form, then what may stand together."""

from typing import Any, Final

from intellirouter.fake.completion import CompletionRequest
from intellirouter.testing.wires.gemini.proto import parsed
from intellirouter.testing.wires.gemini.reply import GoogleError, invalid
from intellirouter.testing.wires.gemini.tools import choose_tools, plain_schema
from intellirouter.testing.wires.gemini.turns import check_turns, heard_in, tokens_in

MAX_STOPS: Final = 5
MAX_CANDIDATES: Final = 8
JSON_MIME: Final = "application/json"
_MIMES: Final = frozenset({"text/plain", JSON_MIME, "text/x.enum"})


class GeminiRequest(CompletionRequest, kw_only=True):
    """What a client wants of `:generateContent`."""

    is_vertex: bool = False
    signs: bool = False
    """The model signs its calls, and wants the signatures back."""
    shows_thought: bool = False
    has_logprobs: bool = False

    @property
    def endpoint(self) -> str:
        """Signatures are valid only where they were minted."""
        return "vertex" if self.is_vertex else "studio"


def parse_generate(model: str, document: dict[str, Any], *, is_vertex: bool) -> GeminiRequest:
    """Check the request. Raises `GoogleError`."""
    request = parsed(document, "GenerateContentRequest")
    contents = request.get("contents") or []
    if not contents:
        raise invalid("contents", "contents is not specified")
    ask = GeminiRequest(
        model=model,
        input_text="",
        is_vertex=is_vertex,
        signs=model.startswith("gemini-3"),
        prompt_tokens=prompt_tokens(request),
    )
    check_turns(contents, ask.endpoint if ask.signs else None)
    ask.input_text, ask.last_role = heard_in(contents)
    _configure(ask, request.get("generation_config") or {})
    choose_tools(ask, request)
    if ask.tools and ask.format != "text" and not ask.signs:
        raise GoogleError(400, "Function calling with a response mime type: 'application/json' is unsupported")
    return ask


def prompt_tokens(request: dict[str, Any]) -> int:
    contents = [*(request.get("contents") or []), request.get("system_instruction") or {}]
    return tokens_in(contents, request.get("tools") or [])


def _configure(ask: GeminiRequest, config: dict[str, Any]) -> None:
    where = "generation_config"
    temperature = config.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        raise invalid(f"{where}.temperature", "temperature must be in the range [0.0, 2.0].")
    top_p = config.get("top_p")
    if top_p is not None and not 0 <= top_p <= 1:
        raise invalid(f"{where}.top_p", "top_p must be in the range [0.0, 1.0].")
    ask.max_tokens = config.get("max_output_tokens")
    if ask.max_tokens is not None and ask.max_tokens < 1:
        raise invalid(f"{where}.max_output_tokens", "max_output_tokens must be positive.")
    ask.choice_count = config.get("candidate_count") or 1
    if not 1 <= ask.choice_count <= MAX_CANDIDATES:
        raise invalid(f"{where}.candidate_count", f"candidate_count must be in the range [1, {MAX_CANDIDATES}].")
    ask.stops = [stop for stop in config.get("stop_sequences") or [] if stop]
    if len(ask.stops) > MAX_STOPS:
        raise invalid(f"{where}.stop_sequences", f"The number of stop_sequences must not exceed {MAX_STOPS}.")
    ask.has_logprobs = bool(config.get("response_logprobs"))
    if config.get("logprobs") is not None and not ask.has_logprobs:
        raise invalid(f"{where}.logprobs", "logprobs is only allowed when response_logprobs is true.")
    _form(ask, config, where)
    _think(ask, config.get("thinking_config") or {})


def _form(ask: GeminiRequest, config: dict[str, Any], where: str) -> None:
    mime = config.get("response_mime_type") or "text/plain"
    if mime not in _MIMES:
        raise invalid(f"{where}.response_mime_type", f"allowed mimetypes are {', '.join(sorted(_MIMES))}.")
    as_schema = config.get("response_schema")
    as_json = config.get("response_json_schema", config.get("_response_json_schema"))
    if as_schema is not None and as_json is not None:
        raise invalid(f"{where}.response_json_schema", "response_schema must be omitted when this is set.")
    if as_schema is None and as_json is None:
        ask.format = "json_object" if mime == JSON_MIME else "text"
        return
    if mime == "text/plain":
        raise invalid(f"{where}.response_schema", "only allowed when response_mime_type is application/json.")
    ask.format, ask.schema = "json_schema", plain_schema(as_schema) if as_schema is not None else as_json


def _think(ask: GeminiRequest, config: dict[str, Any]) -> None:
    budget, level = config.get("thinking_budget"), config.get("thinking_level")
    if budget is not None and level is not None:
        raise GoogleError(400, "You can only set only one of thinking budget and thinking level.")
    if level is not None and level.upper() not in {"MINIMAL", "LOW", "MEDIUM", "HIGH", "THINKING_LEVEL_UNSPECIFIED"}:
        raise GoogleError(
            400,
            "Invalid value at 'generation_config.thinking_config.thinking_level' (type.googleapis.com/"
            f'google.ai.generativelanguage.v1beta.ThinkingConfig.ThinkingLevel), "{level}"',
        )
    ask.shows_thought = bool(config.get("include_thoughts"))
    # A budget of 0 turns thinking off, -1 leaves it to the model.
    ask.wants_reasoning = budget != 0 and (ask.shows_thought or ask.signs or budget is not None or level is not None)
