"""Decoding of complete chat completions, and of the members that chunks have in common with them.

Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Deployment, Usage, errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.ir import Event, Response, StreamStarted, UsageUpdate, collect
from intellirouter.dialects.openai.upstream_errors import decode_error_in_200, error_without_answer
from intellirouter.dialects.openai.usage import NOT_REPORTED, read_usage
from intellirouter.dialects.openai_chat.reasoning import DIALECT
from intellirouter.dialects.openai_chat.upstream_deltas import ChoiceReader, malformed
from intellirouter.dialects.wire import large_json
from intellirouter.dialects.wire.sse import check_utf8

_MAX_CHOICES: Final = 128
_MAX_CREATED_S: Final = 2**53


class _Completion(Struct):
    """A chat completion or a chunk of one. The types of its members are checked later, because vendors deviate."""

    id: Any = None
    model: Any = None
    created: Any = None
    choices: Any = None
    usage: msgspec.Raw = NOT_REPORTED
    service_tier: Any = None
    system_fingerprint: Any = None
    error: Any = None
    object: Any = None
    x_groq: Any = None


_decode: Final = msgspec.json.Decoder(_Completion).decode


def read_completion(data: bytes) -> _Completion:
    try:
        return _decode(data) if len(data) <= large_json.LARGE_BYTES else _read_large(large_json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(
            f"The upstream returned an invalid chat completion: {describe_json_error(error)}."
        ) from None


def _read_large(document: Any) -> _Completion:
    if not isinstance(document, dict):
        raise malformed("it is not an object")
    members = {name: document[name] for name in _Completion.__struct_fields__ if name in document}
    if "usage" in members:
        members["usage"] = msgspec.Raw(msgspec.json.encode(members["usage"]))
    return _Completion(**members)


def choices_of(completion: _Completion) -> list[dict[str, Any]]:
    choices = completion.choices or []
    if not isinstance(choices, list):
        raise malformed("`choices` is not a list of objects")
    if len(choices) > _MAX_CHOICES:
        raise malformed(f"it has more than {_MAX_CHOICES} choices")
    for choice in choices:
        if not isinstance(choice, dict):
            raise malformed("`choices` is not a list of objects")
    return choices


def choice_index(choice: dict[str, Any], fallback: int) -> int:
    index = choice.get("index")
    if index.__class__ is not int:  # a boolean is not, either
        return fallback
    if not 0 <= index < _MAX_CHOICES:
        raise malformed(f"the index {index} of a choice is out of range")
    return index


def raise_choice_error(choices: list[dict[str, Any]]) -> None:
    """Raise the error that OpenRouter reports in a choice."""
    for choice in choices:
        if choice.get("error"):
            raise decode_error_in_200(msgspec.json.encode({"error": choice["error"]}))


def stream_start(completion: _Completion) -> StreamStarted:
    created = completion.created
    is_time = isinstance(created, int | float) and not isinstance(created, bool) and 0 < created < _MAX_CREATED_S
    return StreamStarted(
        id=_text(completion.id),
        model=_text(completion.model),
        created_s=int(created) if is_time else 0,
        service_tier=_text(completion.service_tier),
        system_fingerprint=_text(completion.system_fingerprint),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def usage_of(completion: _Completion, choices: list[dict[str, Any]]) -> Usage | None:
    """Return the usage, which some vendors put into `x_groq` or into a choice."""
    usage = None if completion.usage is NOT_REPORTED else read_usage(completion.usage)
    if usage is None and isinstance(completion.x_groq, dict) and completion.x_groq.get("usage"):
        usage = read_usage(msgspec.Raw(msgspec.json.encode(completion.x_groq["usage"])))
    if usage is None:
        for choice in choices:
            if choice_usage := choice.get("usage"):
                return read_usage(msgspec.Raw(msgspec.json.encode(choice_usage)))
    return usage


def decode_response(body: bytes, deployment: Deployment) -> Response:
    """Decode the body of a 200 response. Raises `UpstreamMalformed`, or the error that the body reports."""
    check_utf8(body)
    completion = read_completion(body)
    if completion.error or completion.object == "error":
        raise decode_error_in_200(body)
    choices = choices_of(completion)
    if not choices:
        error = error_without_answer(body) if completion.choices is None else None
        raise error or errors.UpstreamMalformed("The upstream returned a chat completion without `choices`.")
    raise_choice_error(choices)
    events: list[Event] = [stream_start(completion)]
    readers: dict[int, ChoiceReader] = {}
    for position, choice in enumerate(choices):
        index = choice_index(choice, position)
        if index in readers:
            index = max(readers) + 1
        reader = readers[index] = ChoiceReader(index, deployment)
        events += reader.read(choice)
        events += reader.end_events()
    if (usage := usage_of(completion, choices)) is not None:
        events.append(UsageUpdate(usage=usage))
    return collect(events, DIALECT)
