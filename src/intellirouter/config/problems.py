"""What can be wrong with a configuration, as values: one problem per mistake, all of them at once."""

import difflib
from collections.abc import Iterable, Sequence

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One mistake. Never carries the value of a secret."""

    path: str
    """The setting, as `providers.openai.credential`; empty when it is about the whole file."""
    message: str
    hint: str = ""
    """How to fix it; may be empty."""
    origin: str = ""
    """Where the value came from: `file config.yaml:12`, `env INTELLIR_SERVER__PORT`, `flag --port`, or empty."""

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        if self.hint:
            text += f" ({self.hint})"
        return f"{text} [{self.origin}]" if self.origin else text


class ConfigError(Exception):
    """A configuration that cannot be used. `problems` holds every mistake that was found, in the file's order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        head = "the configuration has a problem" if count == 1 else f"the configuration has {count} problems"
        super().__init__("\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)]))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?` for the nearest known word, or an empty string when none is near."""
    by_folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return f"did you mean {by_folded[near[0]]}?" if near else ""


def suggest(word: str, known: Iterable[str]) -> str:
    """Like `did_you_mean`, but falls back to listing what is known (at most twelve names)."""
    names = list(known)
    if hint := did_you_mean(word, names):
        return hint
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"known: {shown}" if names else ""
