"""Bounds on JSON before anything decodes it."""

import re
from typing import Final

from intellirouter.core import errors

# Possessive, and content with a string that never ends: nothing here is validated yet, and backtracking over a body of
# escaped quotes would take quadratic time.
_STRUCTURE: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


def check_depth(body: bytes, max_depth: int) -> None:
    """Raise `InvalidRequest` when arrays and objects nest deeper than `max_depth`.

    A body with few brackets cannot nest deeply, so the exact walk is only for bodies with many.
    """
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    depth = 0
    for token in _STRUCTURE.finditer(body):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            if depth > max_depth:
                raise errors.InvalidRequest(
                    f"The JSON body nests deeper than {max_depth} levels.", code="json_too_deep"
                )
        elif first in b"]}":
            depth -= 1
