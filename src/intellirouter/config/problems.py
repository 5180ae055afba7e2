"""Problems of a configuration, as values: one per mistake, all of them reported together."""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

_MAX_LISTED: Final = 16
_MAX_QUOTED: Final = 100
_FILE_LINE: Final = re.compile(r"file .*:(\d+)\Z", re.DOTALL)


class ConfigProblem(Struct, frozen=True):
    """One mistake. It never contains the value of a secret."""

    path: str
    """The setting, for example `providers.openai.credential`; empty when the problem concerns the whole file."""
    message: str
    """One sentence: what is wrong."""
    hint: str = ""
    """One sentence or more: how to fix it. May be empty."""
    origin: str = ""
    """Where the value came from: `file config.yaml:12`, `env INTELLIR_SERVER__PORT`, `flag --port`, or empty."""

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        if self.hint:
            text += f" {self.hint}"
        return f"{text} [{self.origin}]" if self.origin else text


class ConfigError(Exception):
    """A configuration that cannot be used. `problems` holds every mistake that was found.

    Those that have a line come first, in the order of the file.
    """

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        self.problems = sorted(problems, key=_line)
        count = len(self.problems)
        head = "The configuration has a problem" if count == 1 else f"The configuration has {count} problems"
        super().__init__("\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)]))


def _line(problem: ConfigProblem) -> float:
    """Return the line of a problem in the configuration file. For one without a line, it is beyond every line."""
    found = _FILE_LINE.match(problem.origin)
    return int(found[1]) if found else math.inf


def quoted(text: str) -> str:
    """Return text from a configuration in backticks, on one line and not too long."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[:_MAX_QUOTED])
    return f"`{shown}{'…' if len(text) > _MAX_QUOTED else ''}`"


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that is most similar to `word`, or None when none is similar."""
    by_folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return "Did you mean `X`?" for the most similar name, or an empty string when none is similar."""
    found = nearest(word, names)
    return f"Did you mean {quoted(found)}?" if found else ""


def suggestion(word: str, names: Iterable[str], kind: str) -> str:
    """Return `did_you_mean`, or else a sentence that lists the names. `kind` is a plural: "vendors"."""
    names = list(names)
    if hint := did_you_mean(word, names):
        return hint
    return known_names(names, kind) if names else ""


class Suggestions:
    """Makes suggestions for the unknown names of one configuration.

    Finding a similar name takes long if there are many names, so only the first mistakes get a suggestion.
    """

    def __init__(self, limit: int = 100) -> None:
        self._left = limit

    def suggestion(self, word: str, names: Iterable[str], kind: str) -> str:
        """Return `suggestion`, or an empty string for mistakes beyond the limit."""
        if self._left <= 0:
            return ""
        self._left -= 1
        return suggestion(word, names, kind)


def known_names(names: Sequence[str], kind: str) -> str:
    """Return a sentence that lists names. `kind` is a plural: "vendors"."""
    return f"Known {kind} are {listed(names)}." if len(names) > 1 else f"The only one is {listed(names)}."


def listed(names: Sequence[str]) -> str:
    """Return the first names as a list for a sentence, and how many are left out."""
    shown = ", ".join(quoted(name) for name in names[:_MAX_LISTED])
    return f"{shown} and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else shown
