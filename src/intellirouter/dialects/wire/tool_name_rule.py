"""The rules of upstreams for the names of tools and of their properties."""

import re
from collections.abc import Iterable
from typing import Final


class NameRule:
    """The names that an upstream accepts: ASCII letters, digits and some punctuation, up to a length."""

    __slots__ = ("_are_valid", "_invalid", "_needs_letter", "is_valid", "max_chars")

    def __init__(self, max_chars: int, *, punctuation: str = "_-", needs_letter: bool = False) -> None:
        """`needs_letter`: the first character must be a letter or an underscore."""
        allowed = f"A-Za-z0-9{re.escape(punctuation)}"
        name = f"[A-Za-z_][{allowed}]{{0,{max_chars - 1}}}" if needs_letter else f"[{allowed}]{{1,{max_chars}}}"
        self.max_chars: Final = max_chars
        self.is_valid: Final = re.compile(name).fullmatch
        """Returns a match if the name is accepted, otherwise None."""
        self._are_valid: Final = re.compile(f"{name}(?:\n{name})*+").fullmatch
        self._invalid: Final = re.compile(f"[^{allowed}]")
        self._needs_letter: Final = needs_letter

    def are_valid(self, names: Iterable[str]) -> bool:
        """Return whether all names are accepted. Checks them at once, because a request can have hundreds."""
        listed = list(names)
        joined = "\n".join(listed)
        return not listed or (self._are_valid(joined) is not None and joined.count("\n") == len(listed) - 1)

    def replace_invalid(self, name: str) -> str:
        """Return the name with an underscore in place of each invalid character. It may be too long."""
        name = self._invalid.sub("_", name) or "_"
        return f"_{name}" if self._needs_letter and not (name[0].isalpha() or name[0] == "_") else name


CLAUDE_PROPERTIES: Final = NameRule(64, punctuation="_.-")
"""For Claude, through Anthropic's API and through Bedrock. Only the names at the top level are checked."""
OPENAI_NAMES: Final = NameRule(64)
"""For both of OpenAI's dialects. Other vendors of the chat dialect have this rule, or accept more."""
