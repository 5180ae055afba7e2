"""Validate contents: roles, parts, calls and their responses, and the signatures that calls must return."""

from typing import Any, Final

import msgspec

from intellirouter.fake.tokens import count_tokens
from intellirouter.testing.wires.gemini.reply import GoogleError, invalid
from intellirouter.testing.wires.shared.opaque_tokens import decode_base64, is_issued

TOKENS_PER_ATTACHMENT: Final = 258
BYPASS: Final = frozenset({"context_engineering_is_the_way_to_go", "skip_thought_signature_validator"})
"""Values that Google documents for calls of other models."""
_METADATA: Final = frozenset({"thought", "thought_signature", "video_metadata", "media_resolution", "part_metadata"})
_SIGNATURES_PAGE: Final = "https://ai.google.dev/gemini-api/docs/thought-signatures"


def check_turns(contents: list[dict[str, Any]], endpoint: str | None) -> None:
    """Validate all turns. `endpoint` is the API that must have issued the signatures; None skips their validation."""
    for at, content in enumerate(contents):
        if content.get("role") not in (None, "user", "model", "function"):
            raise GoogleError(400, "Please use a valid role: user, model.")
        parts = content.get("parts") or []
        if not parts:
            raise invalid(f"contents[{at}].parts", "contents.parts must not be empty.")
        for place, part in enumerate(parts):
            if not part.keys() - _METADATA:
                raise invalid(
                    f"contents[{at}].parts[{place}].data", "required oneof field 'data' must have one initialized field"
                )
    turns = _merged(contents)
    _check_pairs(turns)
    if endpoint is not None:
        _check_signatures(contents, endpoint)


def _merged(contents: list[dict[str, Any]]) -> list[tuple[bool, list[dict[str, Any]]]]:
    """Return (is the model's, parts) of each turn; consecutive contents of one side are one turn."""
    turns: list[tuple[bool, list[dict[str, Any]]]] = []
    for content in contents:
        is_model = content.get("role") == "model"
        if turns and turns[-1][0] == is_model:
            turns[-1][1].extend(content["parts"])
        else:
            turns.append((is_model, list(content["parts"])))
    return turns


def _named(parts: list[dict[str, Any]], member: str) -> list[dict[str, Any]]:
    return [part[member] for part in parts if part.get(member) is not None]


def _check_pairs(turns: list[tuple[bool, list[dict[str, Any]]]]) -> None:
    calls: list[dict[str, Any]] = []
    for at, (is_model, parts) in enumerate(turns):
        responses = _named(parts, "function_response")
        if is_model:
            calls = _named(parts, "function_call")
            if calls and at == 0:
                raise GoogleError(
                    400,
                    "Please ensure that function call turn comes immediately after a user turn or after a function "
                    "response turn.",
                )
            continue
        if responses and not calls:
            raise GoogleError(
                400, "Please ensure that function response turn comes immediately after a function call turn."
            )
        if len(responses) != len(calls):
            raise GoogleError(
                400,
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn.",
            )
        _check_responses(responses)
        calls = []


def _check_responses(responses: list[dict[str, Any]]) -> None:
    for response in responses:
        if not response.get("name"):
            raise invalid("contents.parts.function_response.name", "Name cannot be empty.")
        if not isinstance(response.get("response"), dict):
            raise GoogleError(
                400,
                "Invalid value at 'contents.parts.function_response.response' (type.googleapis.com/"
                "google.protobuf.Struct), a JSON object is expected",
            )


def _check_signatures(contents: list[dict[str, Any]], endpoint: str) -> None:
    """Check that all signatures are valid and that the first call of each step since the last user text has one."""
    for content in contents:
        for part in content["parts"]:
            signature = part.get("thought_signature")
            if signature and not _is_bypass(signature) and not is_issued(signature, endpoint):
                raise GoogleError(400, "Corrupted thought signature.")
    last_user_text = max(
        (at for at, content in enumerate(contents) if content.get("role") != "model" and _has_user_content(content)),
        default=-1,
    )
    for at, content in enumerate(contents):
        if at <= last_user_text or content.get("role") != "model":
            continue
        first = next((part for part in content["parts"] if part.get("function_call") is not None), None)
        if first is not None and not first.get("thought_signature"):
            name = first["function_call"].get("name")
            raise GoogleError(
                400,
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{name}` , position {at + 1}. Please refer to {_SIGNATURES_PAGE} "
                "for more details.",
            )


def _is_bypass(signature: str) -> bool:
    """Return whether the signature is one of the documented values, plain or in base64."""
    return signature in BYPASS or decode_base64(signature).decode("ascii", "replace") in BYPASS


def _has_user_content(content: dict[str, Any]) -> bool:
    return any(part.get("function_response") is None for part in content["parts"])


def last_input(contents: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the text that the model answers, and the role of the last turn."""
    is_model, parts = _merged(contents)[-1]
    text = _text(parts)
    responses = _named(parts, "function_response")
    if responses and not text:
        return "".join(_result(response["response"]) for response in responses), "tool"
    if not is_model:
        return text, "user"
    turns = [parts for is_models, parts in _merged(contents) if not is_models]
    return _text(turns[-1]) if turns else text, "model"


def _text(parts: list[dict[str, Any]]) -> str:
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought"))


def _result(response: dict[str, Any]) -> str:
    """Return the text of a result, or the whole result as JSON if it has no text."""
    for name in ("output", "result", "error"):
        if isinstance(response.get(name), str):
            return str(response[name])
    return msgspec.json.encode(response).decode()


def tokens_in(contents: list[dict[str, Any]], tools: list[dict[str, Any]]) -> int:
    total = sum(count_tokens(str(tool)) for tool in tools)
    for part in (part for content in contents for part in content.get("parts") or []):
        if isinstance(part.get("text"), str):
            total += count_tokens(part["text"])
        elif part.get("inline_data") is not None or part.get("file_data") is not None:
            total += TOKENS_PER_ATTACHMENT
        else:
            total += count_tokens(str(part.get("function_call") or part.get("function_response") or ""))
    return total
