"""From merged layers to a checked `Config`: every validation error becomes a problem with its origin."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from intellirouter.config.problems import ConfigProblem
from intellirouter.config.schema import Config
from intellirouter.config.tree import Layers, Path, format_path
from intellirouter.config.validation_messages import describe


def validate(layers: Layers) -> tuple[Config | None, list[ConfigProblem]]:
    """Return the configuration and the problems it has.

    Then the configuration is the part without invalid entries, so that its names can be checked as well; None if that
    part is not valid, either.
    """
    try:
        return Config.model_validate(layers.values), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True, include_input=True)
        problems = [_problem(detail, layers) for detail in details]
        return _valid_part(layers.values, [_path(detail) for detail in details]), problems


def _valid_part(values: dict[str, Any], invalid: list[Path]) -> Config | None:
    """Return the configuration without invalid entries of its sections. A list remains only if it is valid."""
    rest = {name: section.copy() if isinstance(section, dict) else section for name, section in values.items()}
    for path in invalid:
        if len(path) > 1 and isinstance(section := rest.get(str(path[0])), dict):
            section.pop(path[1], None)
        elif path:
            rest.pop(str(path[0]), None)
    try:
        return Config.model_validate(rest)
    except ValidationError:
        return None


def _path(detail: ErrorDetails) -> Path:
    path: Path = tuple(detail["loc"])
    return path[:-1] if path and path[-1] == "[key]" else path


def _problem(detail: ErrorDetails, layers: Layers) -> ConfigProblem:
    path = _path(detail)
    message, hint = describe(detail)
    return ConfigProblem(format_path(path), message, hint, layers.origin_near(path))
