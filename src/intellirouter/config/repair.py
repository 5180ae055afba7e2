"""Replaces the invalid settings of a configuration, so that all its other problems can be found in the same pass.

An invalid setting is removed. If it is required, a placeholder replaces it, so that the names of invalid entries remain
known. `Config.is_invalid` returns which settings were replaced: their problems have been reported.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from intellirouter.config.schema import Config, invalid_settings_of
from intellirouter.config.tree import Path, value_at
from intellirouter.config.validation_messages import intended_setting

_UNKNOWN: Final = "?"
"""A name that no entry has."""
_PLACEHOLDERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "providers": {"vendor": _UNKNOWN},
    "deployments": {"provider": _UNKNOWN},
    "models": {"deployments": [_UNKNOWN]},
    "tenants": {},
    "keys": {"key": f"sha256:{'0' * 64}"},
}
"""The required settings of each kind of entry."""
_MAX_ROUNDS: Final = 5
"""Removing a setting can leave its section incomplete, which is then removed as well."""


def repair(values: Mapping[str, Any], details: Sequence[ErrorDetails]) -> Config | None:
    """Return the configuration without the settings that `details` reports; None if it cannot be made valid."""
    return _Repair(values).run(details)


class _Repair:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = _copy(values)
        self._invalid: set[Path] = set()
        self._names: dict[Path, Path] = {}
        """Entry with a valid name -> the same with the invalid name that it has in the configuration."""

        self._removed: set[Path] = set()
        """What has been removed in this round."""

    def run(self, details: Sequence[ErrorDetails]) -> Config | None:
        for _ in range(_MAX_ROUNDS):
            self._removed.clear()
            for detail in sorted(details, key=_is_about_name):
                self._remove(detail)
            try:
                config = Config.model_validate(self._values)
            except ValidationError as error:
                details = error.errors(include_url=False, include_input=False)
                continue
            self._restore_names(config)
            invalid_settings_of(config).update(self._invalid)
            return config
        return None

    def _remove(self, detail: ErrorDetails) -> None:
        path: Path = tuple(detail["loc"])
        if _is_about_name(detail):
            self._rename(path[:-1])
            return
        given = self._given(path)
        is_repeated = given in self._invalid
        self._invalid.add(given)
        if detail["type"] == "extra_forbidden" and (intended := intended_setting(given)) is not None:
            self._invalid.add((*given[:-1], intended))
        if any(path[:length] in self._removed for length in range(1, len(path) + 1)):
            return  # with the section that contains it
        existing = self._existing_part(path)
        placeholders = _PLACEHOLDERS.get(str(path[0]))
        if len(existing) == 2 and placeholders is not None:
            entry = value_at(self._values, existing)
            if len(path) > 2 and isinstance(entry, dict) and path[2] in placeholders:
                entry[path[2]] = _copy(placeholders[str(path[2])])
            else:
                value_at(self._values, existing[:1])[existing[1]] = _copy(placeholders)
        elif not is_repeated and isinstance(existing[-1], int):
            value_at(self._values, existing[:-1])[existing[-1]] = _UNKNOWN
        else:
            self._delete(existing)

    def _given(self, path: Path) -> Path:
        """Return the path with the name that the entry has in the configuration."""
        return (*self._names.get(path[:2], path[:2]), *path[2:])

    def _existing_part(self, path: Path) -> Path:
        """Return the part of `path` that exists: the last step may be a missing setting or the name of a type."""
        for length in range(len(path), 1, -1):
            parent, step = value_at(self._values, path[: length - 1]), path[length - 1]
            is_item = isinstance(parent, list) and isinstance(step, int) and step < len(parent)
            if is_item or (isinstance(parent, dict) and step in parent):
                return path[:length]
        return path[:1]

    def _delete(self, path: Path) -> None:
        """Delete a setting. For an item of a list, delete the whole list, because others would change their number."""
        while len(path) > 1 and isinstance(path[-1], int):
            path = path[:-1]
        self._invalid.add(self._given(path))
        self._removed.add(path)
        value_at(self._values, path[:-1]).pop(path[-1], None)

    def _rename(self, path: Path) -> None:
        """Give an entry a valid name for now."""
        section = value_at(self._values, path[:-1])
        if len(path) != 2 or not isinstance(section, dict) or path[1] not in section:
            self._delete(path)
            return
        name = f"invalid-name-{len(self._names)}"
        self._names[path[0], name] = path
        section[name] = section.pop(path[1])

    def _restore_names(self, config: Config) -> None:
        for (section, name), (_, given) in self._names.items():
            entries = getattr(config, str(section))
            entries[given] = entries.pop(name)


def _is_about_name(detail: ErrorDetails) -> bool:
    return bool(detail["loc"]) and detail["loc"][-1] == "[key]"


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
