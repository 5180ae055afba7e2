"""Validation of request bodies, with OpenAI's messages, `param` and `code` for msgspec's errors."""

import codecs
from typing import Final, Protocol, TypeVar

import msgspec

from intellirouter.core import errors, json_errors
from intellirouter.dialects.wire import json_reader as members
from intellirouter.dialects.wire.reserved_members import reserved_member

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_MAX_MODEL_CHARS: Final = 512
_SLICE_BYTES: Final = 1024 * 1024

_Utf8Decoder: Final = codecs.getincrementaldecoder("utf-8")


class BodyDecoder(Protocol[T_co]):
    """Decodes the body of a request, as `msgspec.json.Decoder` does."""

    def decode(self, body: bytes, /) -> T_co: ...


def decode_body(decoder: BodyDecoder[T], body: bytes) -> T:
    """Decode a request body. Raises `InvalidRequest`, which names the invalid member."""
    try:
        if not body.isascii():
            check_text(body)  # The decoder does not check the members that it skips.
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid_request(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid_json(error, body) from None
    except RecursionError:
        raise errors.InvalidRequest("The JSON body is nested too deeply.", code="limit_exceeded") from None


def check_text(body: bytes) -> None:
    """Raise `UnicodeDecodeError` if the body is not valid UTF-8. Large bodies are checked in slices."""
    if len(body) <= _SLICE_BYTES:
        body.decode()
        return
    decoder, view = _Utf8Decoder(), memoryview(body)
    for start in range(0, len(body), _SLICE_BYTES):
        decoder.decode(view[start : start + _SLICE_BYTES])
    decoder.decode(b"", final=True)


def _invalid_json(error: Exception, body: bytes) -> errors.InvalidRequest:
    hint = "The body must be one JSON object in UTF-8."
    if not body.strip():
        return errors.InvalidRequest("The request body is empty.", code="invalid_json", hint=hint)
    problem = json_errors.describe_json_error(error)
    return errors.InvalidRequest(
        f"We could not parse the JSON body of your request: {problem}.", code="invalid_json", hint=hint
    )


def _invalid_request(text: str) -> errors.InvalidRequest:
    problem, path = json_errors.split_validation_error(text)
    path = path.removeprefix(".")
    if (reserved := reserved_member(path)) is not None:
        return reserved
    if (missing := json_errors.missing_member(problem, path)) is not None:
        if missing == "model":
            return errors.InvalidRequest(
                "You must provide a model parameter.", code="missing_required_parameter", param="model"
            )
        return members.missing(missing)
    if not path:
        return errors.InvalidRequest("The body must be a JSON object.", code="invalid_type")
    if (types := json_errors.mismatched_types(problem)) is not None:
        expected, got = types
        return errors.InvalidRequest(
            f"Invalid type for '{path}': expected {expected}, but got {got} instead.",
            code="invalid_type",
            param=path,
        )
    problem = json_errors.lower_first(problem)
    return errors.InvalidRequest(f"Invalid value for '{path}': {problem}.", code="invalid_value", param=path)


def check_model(model: str) -> None:
    """Raise `InvalidRequest` if this cannot be the name of a model. Names are logged and returned in headers."""
    if not model:
        raise errors.InvalidRequest("You must provide a model parameter.", code="invalid_value", param="model")
    if len(model) > _MAX_MODEL_CHARS:
        raise errors.InvalidRequest(
            f"Invalid 'model': string too long. Expected a string with maximum length {_MAX_MODEL_CHARS}, "
            f"but got a string with length {len(model)} instead.",
            code="string_above_max_length",
            param="model",
        )
    if not model.isprintable():
        raise errors.InvalidRequest(
            "Invalid 'model': it contains unprintable characters.", code="invalid_value", param="model"
        )
