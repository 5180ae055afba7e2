"""From msgspec's complaint to the words, `param` and `code` that OpenAI's API uses for the same mistake."""

import re
from typing import Final, TypeVar

import msgspec

from intellirouter.core import errors
from intellirouter.dialects.wire import json_reader as members

T = TypeVar("T")

_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
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
    """Decode a request body. Raises `InvalidRequest` with the place and kind of the mistake."""
    try:
        if not body.isascii():
            body.decode()  # strictly: members that the decoder passes over are not looked at by it
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.InvalidRequest(
            f"We could not parse the JSON body of your request: {error}.",
            code="invalid_json",
            hint="The body must be one JSON object in UTF-8.",
        ) from None
    except RecursionError:
        raise errors.InvalidRequest("The JSON body nests too deeply.", code="json_too_deep") from None


def split_validation_error(complaint: str) -> tuple[str, str]:
    """Split what msgspec says of a wrong value from its place, which is empty for the body itself."""
    match = _AT.match(complaint)
    return (match["what"], match["path"] or "") if match else (complaint, "")


def _explain(text: str) -> errors.InvalidRequest:
    what, path = split_validation_error(text)
    path = path.removeprefix(".")
    if missing := _MISSING.search(what):
        param = f"{path}.{missing['name']}" if path else missing["name"]
        if param == "model":
            return errors.InvalidRequest(
                "You must provide a model parameter.", code="missing_required_parameter", param="model"
            )
        return members.missing(param)
    if not path:
        return errors.InvalidRequest("The body must be a JSON object.", code="invalid_type")
    if types := _TYPES.search(what):
        return errors.InvalidRequest(
            f"Invalid type for '{path}': expected {_words(types['expected'])}, but got {_words(types['got'])} instead.",
            code="invalid_type",
            param=path,
        )
    return errors.InvalidRequest(f"Invalid value for '{path}': {what}.", code="invalid_value", param=path)


def _words(types: str) -> str:
    names = [_NAMES.get(part.strip(), part.strip()) for part in types.split("|")]
    return names[0] if len(names) == 1 else "one of " + ", ".join(names[:-1]) + " or " + names[-1]


def check_model(model: str) -> None:
    """Raise `InvalidRequest` for a name that no model can have: names are remembered, logged and shown in headers."""
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
            "Invalid 'model': it holds characters that cannot be printed.", code="invalid_value", param="model"
        )
