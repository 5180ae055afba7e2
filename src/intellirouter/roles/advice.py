"""Warnings about a configuration that is valid, but hardly what the operator wants."""

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from intellirouter.catalog import Catalog
from intellirouter.config import Runtime
from intellirouter.hosting import BUNDLED
from intellirouter.providers import VENDORS
from intellirouter.roles.name_advice import name_warnings

_ENDPOINTS: Final = (
    "/chat/completions",
    "/completions",
    "/responses",
    "/embeddings",
    "/messages",
    "/rerank",
    "/api/chat",
    "/api/generate",
)
"""Ends of URLs that clients call. The gateway adds them to the base URL."""
_WILDCARD: Final = re.compile(r"[*?\[]")


def advise(runtime: Runtime, catalog: Catalog) -> tuple[str, ...]:
    """Return the warnings. Looks whether the files of local models exist."""
    return (
        *_no_models(runtime),
        *_base_urls(runtime),
        *_artifacts(runtime),
        *_models(runtime, catalog),
        *name_warnings(runtime, VENDORS),
        *_key_scopes(runtime),
    )


def _no_models(runtime: Runtime) -> Iterator[str]:
    if runtime.deployments or any(provider.allows_any_model for provider in runtime.providers.values()):
        return
    way = 'Add a deployment, or set `models: "*"` in a provider.'
    if not runtime.providers:
        way = (
            "Add a provider and a deployment, or run `intellirouter init` to write a configuration file for what this "
            "machine offers."
        )
    yield (
        "deployments: The configuration offers no model, so every request for one is rejected with status 404. Only "
        f"health checks, metrics, the control API, files and stored objects work. {way}"
    )


def _base_urls(runtime: Runtime) -> Iterator[str]:
    for name, provider in runtime.providers.items():
        end = next((each for each in _ENDPOINTS if (provider.base_url or "").endswith(each)), None)
        if end is not None:
            yield f"providers.{name}.base_url: The URL ends in {end}, which the gateway adds itself. Remove it."


def _artifacts(runtime: Runtime) -> Iterator[str]:
    for name, deployment in runtime.deployments.items():
        artifact = deployment.artifact
        if artifact is None:
            continue
        if artifact.startswith("bundled:"):
            if artifact not in BUNDLED:
                known = ", ".join(sorted(BUNDLED))
                yield f"deployments.{name}.artifact: There is no bundled model `{artifact}`. Available: {known}."
        elif not os.path.isfile(os.path.expanduser(artifact.removeprefix("file:"))):  # noqa: PTH111, PTH113 - never raise
            yield f"deployments.{name}.artifact: The file {artifact.removeprefix('file:')} does not exist."


def _models(runtime: Runtime, catalog: Catalog) -> Iterator[str]:
    for name, model in runtime.models.items():
        if model.strategy != "cost" or len(model.deployments) < 2:  # a single one needs no order
            continue
        by_name = catalog.resolved_models[name].by_name
        unpriced = [each for each in model.deployments if by_name[each].price is None]
        if len(unpriced) == len(model.deployments):
            yield (
                f"models.{name}.strategy: The prices of all its deployments are unknown, so `cost` keeps the order of "
                "the list. Set `price` in the deployments."
            )
        elif unpriced:
            yield f"models.{name}.strategy: {_without_price(unpriced)}"


def _without_price(names: list[str]) -> str:
    shown = ", ".join(f"`{each}`" for each in names)
    if len(names) == 1:
        return f"The price of {shown} is unknown, so `cost` puts it last. Set `price` in the deployment."
    return f"The prices of {shown} are unknown, so `cost` puts them last. Set `price` in the deployments."


def _key_scopes(runtime: Runtime) -> Iterator[str]:
    names = {*runtime.models, *runtime.deployments}
    wildcards = [name for name, provider in runtime.providers.items() if provider.allows_any_model]
    for key in runtime.keys:
        for pattern in key.models:
            if not _matches(pattern, names, wildcards):
                yield f"keys: The pattern `{pattern}` of the key `{key.name}` matches no model."


def _matches(pattern: str, names: set[str], wildcards: list[str]) -> bool:
    """Return whether a key's pattern can match a model. Any model of a wildcard provider may exist."""
    if any(fnmatchcase(name, pattern) for name in names):
        return True
    start = _WILDCARD.split(pattern, maxsplit=1)[0]
    return any(f"{name}/".startswith(start) or start.startswith(f"{name}/") for name in wildcards)
