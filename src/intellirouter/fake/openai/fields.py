"""Read the fields of a request as OpenAI does: null means absent, a wrong type is a 400 that names the field."""

from typing import Any, TypeVar

from intellirouter.fake.openai.replies import OpenAiError, model_not_found
from intellirouter.fake.reply import json_object

T = TypeVar("T")

_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
}


def optional(request: dict[str, Any], name: str, kind: type[T]) -> T | None:
    """Return the field, or None if it is absent or null. Raises `OpenAiError` if it is not of `kind`."""
    value = request.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise wrong_type(name, _NAMES[kind], value)
    return value


def wrong_type(name: str, expected: str, value: Any) -> OpenAiError:
    got = "null" if value is None else _NAMES.get(type(value), "something else")
    return OpenAiError(
        400,
        f"Invalid type for '{name}': expected {expected}, but got {got} instead.",
        param=name,
        code="invalid_type",
    )


def decode_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object in the body. Raises `OpenAiError` (400)."""
    document = json_object(body)
    if document is None:
        raise OpenAiError(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
            "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )
    return document


def read_model(document: dict[str, Any]) -> str:
    """Return the model. Raises `OpenAiError` if it is missing, or if it does not exist (`no-such-…`)."""
    model = document.get("model")
    if not isinstance(model, str) or not model:
        raise OpenAiError(400, "you must provide a model parameter")
    if model.startswith("no-such-"):
        raise model_not_found(model)
    return model
