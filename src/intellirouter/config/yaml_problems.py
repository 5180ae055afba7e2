"""Words for syntax errors in YAML files, in place of those of the parser."""

import re
from collections.abc import Sequence
from typing import Final

import yaml

Text = tuple[str, str]
"""Message and hint. Both are whole sentences; the hint may be empty."""

_QUOTE: Final = "Put the value in quotes."
_INDENT: Final = "Indent all settings of a section equally, with spaces."
_NESTED: Final = "Put the value in quotes if it contains `: `, or start a new line and indent it."
_SENTENCES: Final[Sequence[tuple[str, str, str]]] = (
    (
        r"expected ',' or '\]'",
        "A list that starts with `[`{start} is not complete.",
        "Separate its items by `,`, and end it with `]`.",
    ),
    (
        r"expected ',' or '\}'",
        "A mapping that starts with `{`{start} is not complete.",
        "Separate its entries by `,`, and end it with `}`.",
    ),
    (r"found '[\]}]'|expected the node content", "A value is missing.", "Close every bracket, and close none twice."),
    (r"mapping values are not allowed", "A second `: ` on the line is not allowed here.", _NESTED),
    (r"character '\\t'", "A tab is not allowed here.", _INDENT),
    (r"character '(?P<char>[^\\'])' that cannot start", "A value must not start with `{char}`.", _QUOTE),
    (r"unexpected end of stream", "A quotation mark{start} is not closed.", "Add it at the end of the value."),
    (r"expected <block end>|could not find expected ':'", "The indentation does not match the lines above.", _INDENT),
    (
        r"undefined alias",
        "The alias refers to an anchor that does not exist.",
        "Put the value in quotes if it starts with `*`.",
    ),
    (
        r"unknown escape character",
        "A backslash in double quotes starts an unknown escape.",
        "Use single quotes instead.",
    ),
    (r"another document", "The file contains more than one document.", "Remove the line `---`."),
    (
        r"tag|directive|incompatible YAML",
        "Tags and directives are not allowed.",
        "Put the value in quotes if it starts with `!` or `%`.",
    ),
    (
        r"anchor|alias|alphabetic or numeric",
        "The name of an anchor or an alias is not valid.",
        "Put the value in quotes if it starts with `&` or `*`.",
    ),
)
"""What the parser reports, as a pattern, and our message and hint. The first match counts."""


def describe_yaml_error(error: yaml.MarkedYAMLError) -> Text:
    """Return message and hint for a syntax error. Neither contains a value from the file."""
    mark = error.problem_mark or error.context_mark
    place = "" if mark is None else f" at column {mark.column + 1}"
    start = "" if error.context_mark is None else f" in line {error.context_mark.line + 1}"
    reported = f"{error.context or ''} {error.problem or ''}"
    for pattern, message, hint in _SENTENCES:
        if (found := re.search(pattern, error.problem or "")) or (found := re.search(pattern, reported)):
            character = found.groupdict().get("char") or ""
            sentence = message.replace("{char}", character).replace("{start}", start)
            return f"The file is not valid YAML{place}. {sentence}", hint
    return f"The file is not valid YAML{place}.", "Check the syntax of this line and of the line above."
