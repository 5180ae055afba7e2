"""Write docs/reference/errors.md from the error tree. With `--check`, fail if the page is out of date instead."""

import importlib
import inspect
import logging
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import intellirouter
from intellirouter.core import errors
from scripts.error_codes import MEANINGS, specific_codes
from scripts.generated_files import write_or_check

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "errors.md"
BLAME = {
    "client": "the request",
    "policy": "the gateway's configuration",
    "upstream": "the provider",
    "host": "a local model",
    "gateway": "the gateway itself",
}
HEAD = """# Errors

<!-- Written by scripts/gen_errors.py from the error tree; do not edit. -->

OpenAI clients receive every error in OpenAI's envelope:

```json
{"error": {"message": "…", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}}
```

Clients of the other APIs receive the envelope of their API. `code` is stable: it is one of the codes below, or a
provider's. `message` says what is wrong and how to fix it. Anthropic's clients receive the statuses of its API where
they differ: 402 for `insufficient_quota`, and 529 instead of 503 for `overloaded`, `model_loading` and
`upstream_unavailable`.

Each class of error determines whether the same deployment is tried again (*retry*) and whether another deployment is
tried (*fallback*). Both happen before anything is sent to the client. If a provider rejects a request as invalid
(`upstream_rejected`), its message is passed on unchanged.
"""


def tree(base: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    """Yield `base` and its subclasses, in the order of their definition."""
    yield base
    for child in base.__subclasses__():
        yield from tree(child)


def documented() -> list[type[errors.GatewayError]]:
    """Return the classes with a code of their own or without subclasses, including those that other rooms define."""
    for room in pkgutil.iter_modules(intellirouter.__path__):
        importlib.import_module(f"intellirouter.{room.name}")
    ours = [cls for cls in tree(errors.GatewayError) if cls.__module__.startswith("intellirouter.")]
    return [
        cls
        for cls in ours
        if not any(child in ours for child in cls.__subclasses__())
        or ("code" in cls.__dict__ and cls is not errors.GatewayError)
    ]


def own_docstring(cls: type[errors.GatewayError]) -> str:
    return inspect.cleandoc(cls.__doc__) if "__doc__" in cls.__dict__ and cls.__doc__ else ""


def statuses(cls: type[errors.GatewayError]) -> str:
    """Return the statuses that errors of the class have."""
    first, *others = sorted({cls.status, *cls.other_statuses})
    listed = f"{', '.join(map(str, [first, *others[:-1]]))} or {others[-1]}" if others else str(first)
    return f"{listed} {cls.status_note}".rstrip()


def facts(cls: type[errors.GatewayError]) -> str:
    lines = [
        f"`{cls.__name__}`",
        f"HTTP {statuses(cls)}",
        f"type `{cls.type}`",
        f"retry: {'yes' if cls.retryable else 'no'}",
        f"fallback: {'yes' if cls.fallback else 'no'}",
        f"cause: {BLAME[cls.blame]}",
        f"logged as {logging.getLevelName(cls.log_level).lower()}",
    ]
    parts = [" · ".join(lines), own_docstring(cls), f"What to do: {cls.hint}" if cls.hint else ""]
    return "\n\n".join(part for part in parts if part)


SPECIFIC = """
## More specific codes

Some errors have a more specific code than their class.

| code | HTTP status | meaning |
|---|---|---|
"""


def specific(codes: set[str]) -> str:
    """Return the table of the codes that are not those of a class."""
    by_class = {cls.__name__: str(cls.status) for cls in tree(errors.GatewayError)}
    found = specific_codes(by_class, codes)
    rows = [f"| `{code}` | {status} | {MEANINGS[code]} |\n" for code, status in found.items()]
    return SPECIFIC + "".join(rows)


def page() -> str:
    """Return the page: one heading for each code, and below it every class with this code, then the other codes."""
    classes = documented()
    codes = sorted({cls.code for cls in classes})
    entries = {code: "\n\n".join(facts(cls) for cls in classes if cls.code == code) for code in codes}
    return HEAD + "".join(f"\n## {code}\n\n{text}\n" for code, text in entries.items()) + specific(set(codes))


def main() -> int:
    return write_or_check({PAGE: page()}, __doc__)


if __name__ == "__main__":
    sys.exit(main())
