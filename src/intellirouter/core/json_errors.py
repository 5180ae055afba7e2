"""Descriptions of errors of msgspec in plain English, for error messages."""

import re
from typing import Final

import msgspec

_MESSAGE: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_TYPES: Final = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_MALFORMED: Final = re.compile(r"JSON is malformed: (?P<problem>.*) \(byte (?P<offset>\d+)\)")
_NAMES: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "null": "null",
    "array": "an array",
    "object": "an object",
}


def split_validation_error(text: str) -> tuple[str, str]:
    """Split an error message of msgspec into the problem and the path, which is empty for the whole document."""
    match = _MESSAGE.match(text)
    return (match["problem"], match["path"] or "") if match else (text, "")


def missing_member(problem: str, path: str) -> str | None:
    """Return the path of the missing member; None if the problem is another one."""
    match = _MISSING.search(problem)
    if match is None:
        return None
    return f"{path}.{match['name']}" if path else match["name"]


def mismatched_types(problem: str) -> tuple[str, str] | None:
    """Return the names of the expected and of the actual type; None if the problem is another one."""
    match = _TYPES.search(problem)
    return None if match is None else (_type_names(match["expected"]), _type_names(match["got"]))


def _type_names(types: str) -> str:
    """Return the names of alternative types. If there are several besides null, they follow "one of", as at OpenAI."""
    names = [_NAMES.get(part.strip(), part.strip()) for part in types.split("|")]
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names[:-1]) + " or " + names[-1]
    return listed if len(names) == 2 and "null" in names else f"one of {listed}"


def describe_json_error(error: Exception, root: str = "") -> str:
    """Return what is wrong with a JSON document that msgspec refused, as a clause that follows a colon.

    `root` is the path of the decoded value in its document.
    """
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not valid UTF-8"
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return _describe_syntax_error(text)
    problem, path = split_validation_error(text)
    path = f"{root}{path}".removeprefix(".")
    if (missing := missing_member(problem, path)) is not None:
        return f"`{missing}` is missing"
    subject = f"`{path}`" if path else "it"
    if (types := mismatched_types(problem)) is not None:
        return f"{subject} must be {types[0]}, not {types[1]}"
    return f"{subject} is not valid ({lower_first(problem)})"


def _describe_syntax_error(text: str) -> str:
    if text == "Input data was truncated":
        return "the JSON is cut off"
    if match := _MALFORMED.fullmatch(text):
        return f"it is not valid JSON ({match['problem']} at byte {match['offset']})"
    return f"it is not valid JSON ({lower_first(text)})"


def lower_first(text: str) -> str:
    """Return the text for use inside a sentence."""
    return text[:1].lower() + text[1:].rstrip(".")
