"""The models that a client's event names: the session's, which is fixed, and those that transcribe.

The gateway has authorized one model when the session was opened. An event must not bring in another one.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from intellirouter.core import errors

_KEY: Final = ('"model"', b'"model"')
_ESCAPE: Final = ("\\u006", b"\\u006")
"""The beginning of the escape sequences of all letters in `model`."""
_BACKSLASH: Final = ("\\", b"\\")
_CONTENT: Final = frozenset({"item", "metadata", "prompt"})
"""Members whose content belongs to the conversation. A `model` in them, as in the schema of a tool, names no model."""
_SESSION_MEMBERS: Final = frozenset({"", "session", "response"})
"""The objects whose member `model` is the model of the session. That of any other object transcribes."""


class SessionModels(Struct, frozen=True, kw_only=True):
    """Which models the events of a session may name."""

    requested: str
    """The session's model, as the client names it."""
    upstream: str
    """The session's model, as the upstream names it."""
    provider: str = ""
    may_use: Callable[[str], bool] = lambda _: True
    """Whether the client's key may use a model."""


def may_name_model(message: str | bytes) -> bool:
    """Return whether an event may have a member `model`. Most events are audio, so this only searches."""
    if isinstance(message, str):
        return _KEY[0] in message or (_BACKSLASH[0] in message and _ESCAPE[0] in message)
    return _KEY[1] in message or (_BACKSLASH[1] in message and _ESCAPE[1] in message)


def replace_models(event: dict[str, Any], models: SessionModels, reported: str | None) -> None:
    """Replace the client's name of the session's model by the upstream's.

    `reported` is the name with which the upstream has described the session. Raises `InvalidRequest` for another model
    of the session, and `ModelNotFound` for another model that the key may not use.
    """
    own = {models.requested, models.upstream, reported}
    for path, parent in _objects_with_model(event, ""):
        name = parent["model"]
        param = f"{path}.model" if path else "model"
        if name is None:
            continue
        if not isinstance(name, str):
            raise errors.InvalidRequest(
                f"Invalid type for '{param}': expected a string.", code="invalid_type", param=param
            )
        if name == models.requested:
            parent["model"] = models.upstream
        elif name in own:
            continue
        elif path in _SESSION_MEMBERS:
            raise errors.InvalidRequest(
                f"The model of a session cannot be changed. This session uses '{models.requested}'.",
                code="invalid_value",
                param=param,
                hint="Open another session for another model.",
            )
        elif not (models.may_use(name) or models.may_use(f"{models.provider}/{name}")):
            raise errors.ModelNotFound(
                f"The model '{name[:100]}' does not exist or this key may not use it.", param=param
            )


def _objects_with_model(parent: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all objects of an event that have a member `model`, with their paths, except those in content."""
    if "model" in parent:
        yield path, parent
    for name, value in parent.items():
        if isinstance(value, dict) and name not in _CONTENT:
            yield from _objects_with_model(value, f"{path}.{name}" if path else name)
