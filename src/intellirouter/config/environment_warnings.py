"""Warnings about variables that look like settings and have no effect."""

from collections.abc import Iterator, Mapping
from typing import Final

from intellirouter.config.schema import Config
from intellirouter.core import is_service_link, linked_service

PREFIX: Final = "INTELLIR_"
RESOURCE_PORTS: Final = "RESOURCE_PORTS_"
OLLAMA_PORT: Final = f"{RESOURCE_PORTS}OLLAMA"
"""The port of Ollama on this machine."""
_LINKS_HINT: Final = "Set `enableServiceLinks: false` in the pod to turn these variables off."
_NOT_AVAILABLE: Final[Mapping[str, str]] = {
    "UI_PORT": "there is no dashboard",
    f"{RESOURCE_PORTS}POSTGRES": "PostgreSQL is not available",
    f"{RESOURCE_PORTS}REDIS": "Redis is not available",
}
"""Variables of features that this version does not have, with the reason."""
_OTHER_PREFIX: Final = "INTELLIROUTER_"
_SHORT_NAMES: Final[Mapping[str, str]] = {
    "HOST": "INTELLIR_SERVER__HOST",
    "PORT": "INTELLIR_SERVER__PORT",
    "ROLE": "INTELLIR_ROLE",
    "LOG_LEVEL": "INTELLIR_LOGGING__LEVEL",
}


def is_ignored_link(name: str, text: str) -> bool:
    """Return whether a variable that could be a setting is the address of a service."""
    folded = name.upper()
    is_address = folded.endswith(("_PORT", "_HOST")) and is_service_link(text)
    return is_address or linked_service(folded, text) is not None


def environment_warnings(environ: Mapping[str, str], fixed: Mapping[str, object]) -> tuple[str, ...]:
    """Return the warnings. `fixed` has the names of variables that are settings without the usual prefix."""
    return (*_links(environ, fixed), *_without_effect(environ), *_other_prefix(environ))


def _links(environ: Mapping[str, str], fixed: Mapping[str, object]) -> Iterator[str]:
    by_service: dict[str, list[str]] = {}
    for name, text in sorted(environ.items()):
        if name in fixed or name == "UI_PORT" or name.startswith(RESOURCE_PORTS):
            if is_service_link(text):
                yield (
                    f"{name}: `{text.strip()[:100]}` is the address of a Service (a service link of Kubernetes or "
                    f"Docker), not a setting of the gateway. It is ignored. {_LINKS_HINT}"
                )
        elif name.startswith(PREFIX) and is_ignored_link(name, text):
            by_service.setdefault(linked_service(name, text) or name, []).append(name)
    for service, names in by_service.items():
        yield (
            f"{', '.join(names)}: These variables describe the Service `{service.lower().replace('_', '-')}` (service "
            f"links of Kubernetes or Docker) and are ignored. {_LINKS_HINT}"
        )


def _without_effect(environ: Mapping[str, str]) -> Iterator[str]:
    for name, text in sorted(environ.items()):
        if not text.strip() or is_service_link(text):
            continue
        if (reason := _NOT_AVAILABLE.get(name)) is not None:
            yield f"{name}: This variable has no effect, because {reason} in this version."
        elif name.startswith(RESOURCE_PORTS) and name != OLLAMA_PORT:
            yield f"{name}: This variable is not known and has no effect. `{OLLAMA_PORT}` is."


def _other_prefix(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each setting with the prefix of the client's variables."""
    for name, text in sorted(environ.items()):
        if not name.startswith(_OTHER_PREFIX) or not text.strip() or linked_service(name, text) is not None:
            continue
        rest = name.removeprefix(_OTHER_PREFIX)
        right = _SHORT_NAMES.get(rest)
        if right is None and rest.partition("__")[0].lower() in Config.model_fields:
            right = f"{PREFIX}{rest}"
        if right is not None:
            yield f"{name}: This variable has no effect. Did you mean `{right}`?"
