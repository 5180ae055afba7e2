"""From merged layers to a checked `Config`: every mistake becomes a problem in plain words, with its origin."""

from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from intellirouter.config.problems import Problem, did_you_mean
from intellirouter.config.schema import Config
from intellirouter.config.tree import Layers, Path, format_path, shape_at

_MISNAMED: Final = {
    "api_key": "credential",
    "api_keys": "credentials",
    "token": "credential",
    "type": "vendor",
    "kind": "vendor",
    "url": "base_url",
    "endpoint": "base_url",
}
_QUOTE_HINT: Final = "put it in quotes"
_EXPECTED: Final = {
    "missing": ("is required", ""),
    "string_type": ("must be text", _QUOTE_HINT),
    "int_type": ("must be a whole number", ""),
    "int_from_float": ("must be a whole number", ""),
    "float_type": ("must be a number", ""),
    "decimal_type": ("must be a number", ""),
    "decimal_parsing": ("must be a number", ""),
    "finite_number": ("must be a finite number", ""),
    "bool_type": ("must be true or false", ""),
    "dict_type": ("must be a mapping of names to settings", ""),
    "model_type": ("must be a mapping of settings", ""),
    "model_attributes_type": ("must be a mapping of settings", ""),
    "list_type": ("must be a list", "write it as [a, b]"),
    "secret": ("", "write env:NAME for an environment variable, file:PATH for a file, store:NAME for a stored one"),
}


def validate(layers: Layers) -> tuple[Config | None, list[Problem]]:
    """Return the configuration, or None and what is wrong with it."""
    try:
        return Config.model_validate(layers.values), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True, include_input=True)
        return None, [_problem(detail, layers) for detail in details]


def _problem(detail: ErrorDetails, layers: Layers) -> Problem:
    path: Path = tuple(detail["loc"])
    if path and path[-1] == "[key]":
        return _bad_name(path[:-1], layers)
    message, hint = _words(detail, path)
    return Problem(format_path(path), message, hint, layers.origin_near(path))


def _bad_name(path: Path, layers: Layers) -> Problem:
    allowed = "letters, digits, '.', '_' and '-', beginning with a letter or digit"
    if path[0] in {"deployments", "models"}:
        allowed += "; '/', ':', '@' and '+' inside"
    return Problem(format_path(path), "is not a possible name", f"use {allowed}", layers.origin_near(path))


def _words(detail: ErrorDetails, path: Path) -> tuple[str, str]:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "literal_error":
        return _not_an_option(detail)
    if kind == "missing" and len(path) == 3 and path[0] == "keys":
        return "is required", "write key: env:NAME"
    message, hint = _EXPECTED.get(kind, ("", ""))
    if not message:
        message = _sentence(detail["msg"])
    if kind == "list_type" and isinstance(detail.get("input"), str):
        hint = "put it in brackets: [ … ]"
    return message, hint


def _sentence(text: str) -> str:
    for prefix in ("Input should be ", "Value should ", "String should ", "List should ", "Dictionary should "):
        if text.startswith(prefix):
            verb = "must be " if prefix == "Input should be " else "must "
            return verb + text.removeprefix(prefix)
    return text.removeprefix("Value error, ")


def _unknown_key(path: Path) -> tuple[str, str]:
    shape = shape_at(path[:-1])
    known = list(shape.section.model_fields) if shape is not None and shape.section is not None else []
    word = str(path[-1])
    other = _MISNAMED.get(word.lower())
    if other in known:
        hint = f"did you mean {other}?"
    else:
        hint = did_you_mean(word, known) or f"known here: {', '.join(known)}"
    return "is not a setting", hint


def _not_an_option(detail: ErrorDetails) -> tuple[str, str]:
    expected = str((detail.get("ctx") or {}).get("expected", ""))
    options = [option.strip().strip("'") for option in expected.replace(" or ", ", ").split(",")]
    given: Any = detail.get("input")
    hint = did_you_mean(given, options) if isinstance(given, str) else ""
    return f"must be {expected}" if len(options) == 1 else f"must be one of {', '.join(options)}", hint
