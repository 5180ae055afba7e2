"""Finds the reason of a failed `pip download` in its output. Pure."""

import re
from typing import Final

_MAX_CHARS: Final = 800
_CREDENTIALS: Final = re.compile(r"//[^/@\s]+@")
_NOT_FOUND: Final = re.compile(r"ERROR: (Could not find a version that satisfies|No matching distribution found)")
_BROKEN: Final = re.compile(r"after connection broken by '(.*)'(?::|\Z)")
_OBJECT: Final = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>(: )?")


def failure_reason(output: str, status: int) -> str:
    """Return the reason as a sentence, without credentials and with a limited length.

    pip reports an index that it cannot connect to as one without versions. Then the reason is in a warning.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    if all(_NOT_FOUND.match(line) for line in errors):
        broken = [found[1] for line in lines if (found := _BROKEN.search(line))]
        if broken:
            return _sentence(f"pip cannot connect to its package index: {_OBJECT.sub('', broken[-1])}")
        warnings = [line for line in lines if line.startswith("WARNING")]
        errors = [*warnings[-1:], *errors] if errors else lines[-3:]
    return _sentence(" ".join(errors[-3:]) or f"It exited with status {status} without output")


def _sentence(text: str) -> str:
    shown = _CREDENTIALS.sub("//***@", text)[:_MAX_CHARS]
    return shown if shown.endswith(".") else f"{shown}."
