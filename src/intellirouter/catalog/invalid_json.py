"""Words for JSON that cannot be decoded, in place of those of the decoder."""

import re
from typing import Final

import msgspec

_PLACE: Final = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_TYPES: Final = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_NAMES: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def describe_invalid_json(error: msgspec.DecodeError, root: str = "") -> str:
    """Return a clause that names the place, what is wrong and what would be right.

    `root` is the path of the decoded value in its file.
    """
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        at = _BYTE.search(text)
        return f"it is not valid JSON at byte {at[1]}" if at else "it is not valid JSON, because its end is missing"
    found = _PLACE.search(text)
    place = (root + (found["path"] if found else "")).lstrip(".") or "the document"
    if missing := _MISSING.search(text):
        return f"{place} has no field `{missing['name']}`, which is required"
    if types := _TYPES.search(text):
        return f"{place} must be {_type_names(types['expected'])}, not {_type_names(types['got'])}"
    return f"{place} has an invalid value"


def _type_names(types: str) -> str:
    return " or ".join(_NAMES.get(part.strip(), f"a {part.strip()}") for part in types.split("|"))
