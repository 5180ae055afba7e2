"""Validation of request bodies, with OpenAI's messages, `param` and `code` for msgspec's errors."""

import re
from typing import Final, TypeVar

import msgspec

from intellirouter.core import errors
from intellirouter.dialects.wire import json_reader as members

T = TypeVar("T")

_MESSAGE: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_TYPES: Final = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_MAX_MODEL_CHARS: Final = 512
_NAMES: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "null": "null",
    "array": "an array",
    "object": "an object",
}


def decode_body(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode a request body. Raises `InvalidRequest`, which names the invalid member."""
    try:
        if not body.isascii():
            body.decode()  # The decoder does not check the members that it skips.
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid_request(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.InvalidRequest(
            f"We could not parse the JSON body of your request: {error}.",
            code="invalid_json",
            hint="The body must be one JSON object in UTF-8.",
        ) from None
    except RecursionError:
        raise errors.InvalidRequest("The JSON body is nested too deeply.", code="json_too_deep") from None


def split_validation_error(text: str) -> tuple[str, str]:
    """Split an error message of msgspec into the problem and the path, which is empty for the body itself."""
    match = _MESSAGE.match(text)
    return (match["problem"], match["path"] or "") if match else (text, "")


def _invalid_request(text: str) -> errors.InvalidRequest:
    problem, path = split_validation_error(text)
    path = path.removeprefix(".")
    if missing := _MISSING.search(problem):
        param = f"{path}.{missing['name']}" if path else missing["name"]
        if param == "model":
            return errors.InvalidRequest(
                "You must provide a model parameter.", code="missing_required_parameter", param="model"
            )
        return members.missing(param)
    if not path:
        return errors.InvalidRequest("The body must be a JSON object.", code="invalid_type")
    if types := _TYPES.search(problem):
        expected, got = _type_names(types["expected"]), _type_names(types["got"])
        return errors.InvalidRequest(
            f"Invalid type for '{path}': expected {expected}, but got {got} instead.",
            code="invalid_type",
            param=path,
        )
    return errors.InvalidRequest(f"Invalid value for '{path}': {problem}.", code="invalid_value", param=path)


def _type_names(types: str) -> str:
    names = [_NAMES.get(part.strip(), part.strip()) for part in types.split("|")]
    return names[0] if len(names) == 1 else "one of " + ", ".join(names[:-1]) + " or " + names[-1]


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
