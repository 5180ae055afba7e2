"""Detects when a JSON value that arrives in pieces is complete, without decoding it repeatedly.

Used by encoders that must not start the next block before the arguments of a tool call are complete.
"""

import re
from typing import Final

_DELIMITER: Final = re.compile(r'["\\{}\[\]]')


class JsonProgress:
    """Tracks strings and brackets. Each piece is scanned once, when `is_complete` is read.

    A number, `true`, `false` or `null` at the top level never counts as complete, because more characters may follow.
    """

    __slots__ = ("_depth", "_has_started", "_in_string", "_pending", "_skips_one")

    def __init__(self) -> None:
        self._pending: list[str] = []
        self._depth = 0
        self._in_string = False
        self._has_started = False
        self._skips_one = False
        """Whether the last piece ended with a backslash, so that the next character is escaped."""

    def add(self, text: str) -> None:
        self._pending.append(text)

    @property
    def is_complete(self) -> bool:
        if self._pending:
            pieces, self._pending = "".join(self._pending), []
            self._scan(pieces)
        return self._has_started and self._depth <= 0 and not self._in_string

    def _scan(self, text: str) -> None:
        next_at = 1 if self._skips_one else 0
        for match in _DELIMITER.finditer(text):
            at = match.start()
            if at < next_at:
                continue
            char = text[at]
            if self._in_string:
                if char == "\\":
                    next_at = at + 2
                elif char == '"':
                    self._in_string = False
            elif char == '"':
                self._in_string = self._has_started = True
            elif char in "{[":
                self._depth += 1
                self._has_started = True
            elif char in "}]":
                self._depth -= 1
        self._skips_one = next_at > len(text)
