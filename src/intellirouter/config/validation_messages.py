"""Words for validation errors: each error type of pydantic becomes a sentence, and where possible a hint, of ours."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import ErrorDetails

from intellirouter.config.problems import did_you_mean, nearest, quoted, suggestion
from intellirouter.config.tree import Path, shape_at
from intellirouter.config.value_types import INVALID_VALUE, NAME_PATTERN, REGION_PATTERN

_RENAMED: Final = {
    "api_key": "credential",
    "api_keys": "credentials",
    "token": "credential",
    "type": "vendor",
    "kind": "vendor",
    "url": "base_url",
    "endpoint": "base_url",
}
"""Names that other programs use for our settings."""
_REQUIRED: Final = {
    "vendor": "Set it to a kind of upstream, for example `vendor: openai`.",
    "provider": "Set it to the name of an entry under `providers`.",
    "deployments": "List at least one deployment, for example `deployments: [mini]`.",
    "key": "Set it to a reference, for example `key: env:NAME`.",
}
_INVALID: Final = ("The value is not valid.", "")
_QUOTE: Final = "Put the value in quotes."
_DATE_FORMAT: Final = "Write it in ISO 8601 format, for example `2030-01-31T12:00:00Z`."
_FIXED: Final = {
    "string_too_short": ("The value must not be empty.", ""),
    "int_parsing_size": ("The number is too large.", ""),
    "finite_number": ("The value must be a finite number.", ""),
    "dict_type": ("The value must be a mapping.", "Write it as `{name: value}`."),
    "model_type": ("The value must be a mapping of settings.", "Write it as `{name: value}`."),
    "model_attributes_type": ("The value must be a mapping of settings.", "Write it as `{name: value}`."),
    "list_type": ("The value must be a list.", "Write it as `[a, b]`."),
    "invalid_key": ("A name must be a string.", _QUOTE),
}
_PATTERNS: Final = {
    NAME_PATTERN: (
        "The name is not valid.",
        "Use letters, digits, `.`, `_` and `-`, at most 100, and start with a letter or a digit.",
    ),
    REGION_PATTERN: (
        "The region is not valid.",
        "Use lower-case letters, digits and `-`, at most 63, and start with a letter.",
    ),
}
_PUBLIC_NAME: Final = (
    "The name is not valid.",
    "Use letters, digits and any of `._-/:@+`, at most 200, start with a letter or a digit, and do not end with `/`.",
)

Text = tuple[str, str]
"""Message and hint. Both are whole sentences; the hint may be empty."""
Context = Mapping[str, Any]
Describe = Callable[[Path, Context, Any], Text]
"""Takes the path of the error, its context and the value that was given."""


def describe(detail: ErrorDetails) -> Text:
    """Return message and hint for one error of pydantic. Neither contains a value that may be a secret."""
    path: Path = tuple(detail["loc"])
    if path and path[-1] == "[key]":
        return _invalid_name(path[:-1])
    kind, context = detail["type"], detail.get("ctx") or {}
    if (describe_kind := _BY_KIND.get(kind)) is not None:
        return describe_kind(path, context, detail.get("input"))
    if kind.startswith(("datetime_", "date_")):
        return "The value must be a date and time.", _DATE_FORMAT
    return _FIXED.get(kind, _INVALID)


def _invalid_name(path: Path) -> Text:
    return _PUBLIC_NAME if path[0] in {"deployments", "models"} else _PATTERNS[NAME_PATTERN]


def intended_setting(path: Path) -> str | None:
    """Return the setting that is probably meant by an unknown one; None if none is similar."""
    known, name = _settings_next_to(path), str(path[-1])
    ours = _RENAMED.get(name.lower())
    return ours if ours in known else nearest(name, known)


def _settings_next_to(path: Path) -> list[str]:
    shape = shape_at(path[:-1])
    return list(shape.section.model_fields) if shape is not None and shape.section is not None else []


def _unknown_setting(path: Path, _context: Context, _given: Any) -> Text:
    name, intended = str(path[-1]), intended_setting(path)
    hint = f"Did you mean `{intended}`?" if intended else suggestion(name, _settings_next_to(path), "settings")
    return f"Unknown setting {quoted(name)}.", hint


def _required(path: Path, _context: Context, _given: Any) -> Text:
    return "This setting is required.", _REQUIRED.get(str(path[-1]), "")


def _not_an_option(path: Path, context: Context, given: Any) -> Text:
    options = re.findall(r"'([^']*)'", context["expected"])
    message = f"The value must be {'one of ' if len(options) > 1 else ''}{_alternatives(options)}"
    # The value of `auth` may be a credential in the wrong place.
    given_words = "" if path[-1] == "auth" else _not_given(given)
    return f"{message}{given_words}.", did_you_mean(given, options) if isinstance(given, str) else ""


def _not_given(given: Any) -> str:
    """Return `, not VALUE` for a short value that cannot be a secret, or else an empty string."""
    if isinstance(given, bool):
        return f", not `{str(given).lower()}`"
    if isinstance(given, int | float) and math.isfinite(given):
        return f", not {_number(given)}"
    if isinstance(given, str) and re.fullmatch(
        r"[A-Za-z_ -]{1,32}|[-+]?[0-9.,_]{1,15}(e[-+]?[0-9]+|[A-Za-z%]{0,4})", given
    ):
        return f", not `{given}`"
    return ""


def _out_of_range(words: str, name: str) -> Describe:
    def describe_limit(_path: Path, context: Context, given: Any) -> Text:
        return f"The value must be {words} {_number(context[name])}{_not_given(given)}.", ""

    return describe_limit


def _number(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _no_match(_path: Path, context: Context, _given: Any) -> Text:
    return _PATTERNS.get(context["pattern"], _INVALID)


def _not_a_string(_path: Path, _context: Context, given: Any) -> Text:
    return "The value must be a string.", "" if isinstance(given, (dict, list)) else _QUOTE


def _not_a_number(words: str) -> Describe:
    def describe_type(_path: Path, _context: Context, given: Any) -> Text:
        hint = "Write it as a plain number, without quotes or an exponent." if _is_numeric(given) else ""
        return f"The value must be {words}{_not_given(given)}.", hint

    return describe_type


def _not_a_boolean(_path: Path, _context: Context, given: Any) -> Text:
    hint = "Write it without quotes." if isinstance(given, str) and given.lower() in {"true", "false"} else ""
    return f"The value must be `true` or `false`{_not_given(given)}.", hint


def _alternatives(options: Sequence[str]) -> str:
    """Return a list that ends with "or": a, b or c."""
    shown = [quoted(option) for option in options]
    return " or ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def _is_numeric(given: Any) -> bool:
    return isinstance(given, str) and re.fullmatch(r"[-+]?[0-9_.]+([eE][-+]?[0-9]+)?", given.strip()) is not None


def _too_long(_path: Path, context: Context, _given: Any) -> Text:
    return f"The value must not be longer than {context['max_length']} characters.", ""


def _too_few(path: Path, _context: Context, _given: Any) -> Text:
    return "At least one entry is required.", _REQUIRED.get(str(path[-1]), "")


def _too_many(_path: Path, context: Context, _given: Any) -> Text:
    return f"The list must not have more than {context['max_length']} entries.", ""


_BY_KIND: Final[dict[str, Describe]] = {
    INVALID_VALUE: lambda _path, context, _given: (context["message"], context["hint"]),
    "extra_forbidden": _unknown_setting,
    "missing": _required,
    "literal_error": _not_an_option,
    "greater_than": _out_of_range("greater than", "gt"),
    "greater_than_equal": _out_of_range("at least", "ge"),
    "less_than": _out_of_range("less than", "lt"),
    "less_than_equal": _out_of_range("at most", "le"),
    "string_type": _not_a_string,
    "int_type": _not_a_number("an integer"),
    "int_from_float": _not_a_number("an integer"),
    "decimal_type": _not_a_number("a number"),
    "decimal_parsing": _not_a_number("a number"),
    "bool_type": _not_a_boolean,
    "float_type": _not_a_number("a number"),
    "string_pattern_mismatch": _no_match,
    "string_too_long": _too_long,
    "too_short": _too_few,
    "too_long": _too_many,
}
