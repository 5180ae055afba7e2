"""The limit on the depth of JSON, checked before the JSON is decoded. `json_limits` checks large bodies."""

from typing import Final

from intellirouter.core import count_containers, errors, outline_of

_OPENING: Final = frozenset(b"[{")


def check_depth(body: bytes, max_depth: int) -> None:
    """Raise `InvalidRequest` if arrays and objects are nested deeper than `max_depth`. `body` must not be large.

    A body with few brackets cannot be nested deeply, so only bodies with many brackets are scanned.
    """
    if count_containers(body, max_depth) > max_depth:
        _check_outline(outline_of(body), max_depth)


def _check_outline(outline: bytes, max_depth: int) -> None:
    depth = 0
    for bracket in outline.replace(b",", b""):
        if bracket in _OPENING:
            depth += 1
            if depth > max_depth:
                raise too_deep(max_depth)
        else:
            depth -= 1


def too_deep(max_depth: int) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"The JSON body is nested deeper than {max_depth} levels.",
        code="limit_exceeded",
        hint="Nest it less deeply, or raise server.max_json_depth.",
    )
