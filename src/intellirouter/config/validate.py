"""From merged layers to a checked `Config`: every validation error becomes a problem with its origin."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from intellirouter.config.problems import ConfigProblem
from intellirouter.config.repair import repair
from intellirouter.config.schema import Config
from intellirouter.config.tree import Layers, Path, format_path
from intellirouter.config.validation_messages import describe


def validate(layers: Layers) -> tuple[Config | None, list[ConfigProblem]]:
    """Return the configuration and the problems it has.

    Then invalid settings are replaced in the configuration, so that everything else can be checked as well; None if
    that is not possible.
    """
    try:
        return Config.model_validate(layers.values), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True, include_input=True)
        return repair(layers.values, details), [_problem(detail, layers) for detail in details]


def _path(detail: ErrorDetails) -> Path:
    path: Path = tuple(detail["loc"])
    return path[:-1] if path and path[-1] == "[key]" else path


def _problem(detail: ErrorDetails, layers: Layers) -> ConfigProblem:
    path = _path(detail)
    message, hint = describe(detail)
    return ConfigProblem(format_path(path), message, hint, layers.origin_near(path))
