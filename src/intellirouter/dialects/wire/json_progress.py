"""Tells when a JSON value that comes in pieces is complete, without decoding it again and again.

For encoders that must not begin the next block while the arguments of a tool call are still under way.
"""

import re
from typing import Final

_SIGN: Final = re.compile(r'["\\{}\[\]]')


class JsonProgress:
    """Follows strings and brackets. Each piece is looked at once, and only when somebody asks.

    A number or a word alone is never complete: only the end of the pieces can tell.
    """

    __slots__ = ("_depth", "_has_begun", "_in_string", "_pending", "_skips_one")

    def __init__(self) -> None:
        self._pending: list[str] = []
        self._depth = 0
        self._in_string = False
        self._has_begun = False
        self._skips_one = False
        """The last piece ended with a backslash: the next character is no sign."""

    def add(self, text: str) -> None:
        self._pending.append(text)

    @property
    def is_complete(self) -> bool:
        if self._pending:
            pieces, self._pending = "".join(self._pending), []
            self._scan(pieces)
        return self._has_begun and self._depth <= 0 and not self._in_string

    def _scan(self, text: str) -> None:
        next_at = 1 if self._skips_one else 0
        for sign in _SIGN.finditer(text):
            at = sign.start()
            if at < next_at:
                continue
            char = text[at]
            if self._in_string:
                if char == "\\":
                    next_at = at + 2
                elif char == '"':
                    self._in_string = False
            elif char == '"':
                self._in_string = self._has_begun = True
            elif char in "{[":
                self._depth += 1
                self._has_begun = True
            elif char in "}]":
                self._depth -= 1
        self._skips_one = next_at > len(text)
