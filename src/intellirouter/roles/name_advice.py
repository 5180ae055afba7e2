"""Warnings about names: deployments and models that hide others, and models that do not exist."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

from intellirouter.config import DeploymentSpec, ModelSpec, Runtime, format_path, nearest
from intellirouter.core import VendorRow
from intellirouter.fake import FAKE_MODELS, is_fake_model

_MAX_SUGGESTIONS: Final = 100


def name_warnings(runtime: Runtime, vendors: Mapping[str, VendorRow]) -> Iterator[str]:
    """Yield the warnings. `vendors` must have the vendor of every provider."""
    names = _HiddenNames(runtime)
    for model in runtime.models.values():
        if (hidden := names.hidden_by_model(model)) is not None:
            yield f"models.{_shown(model.name)}: The model hides {hidden}, which it does not use. Rename it."
    for deployment in runtime.deployments.values():
        if (hidden := names.hidden_by_deployment(deployment)) is not None:
            yield (
                f"deployments.{_shown(deployment.name)}: The deployment hides {hidden}, and serves "
                f"`{deployment.model}` of `{deployment.provider}` instead. Rename it."
            )
    yield from _unknown_fake_models(runtime, vendors)


class _HiddenNames:
    """Finds models that clients could call as `provider/model` if another entry did not have this name."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._served = {(each.provider, each.model) for each in runtime.deployments.values()}

    def hidden_by_model(self, model: ModelSpec) -> str | None:
        """Return what a model hides. It may replace a model of a wildcard provider, which is a way to redirect it."""
        own = (self._runtime.deployments[each] for each in (*model.deployments, *model.fallbacks))
        hidden = self._named(model.name)
        is_hidden = hidden in self._served and hidden not in {(each.provider, each.model) for each in own}
        return _described(*hidden) if is_hidden else None

    def hidden_by_deployment(self, deployment: DeploymentSpec) -> str | None:
        provider, model = hidden = self._named(deployment.name)
        if hidden == (deployment.provider, deployment.model):
            return None
        is_wildcard = bool(model) and provider in self._wildcards
        return _described(*hidden) if is_wildcard or hidden in self._served else None

    @staticmethod
    def _named(name: str) -> tuple[str, str]:
        provider, _, model = name.partition("/")
        return provider, model

    @cached_property
    def _wildcards(self) -> set[str]:
        return {name for name, provider in self._runtime.providers.items() if provider.allows_any_model}


def _described(provider: str, model: str) -> str:
    return f"the model `{model}` of the provider `{provider}`"


def _unknown_fake_models(runtime: Runtime, vendors: Mapping[str, VendorRow]) -> Iterator[str]:
    """Yield a warning for each model of the vendor `fake` that answers 404: its models are all known."""
    unknown = [
        each
        for each in runtime.deployments.values()
        if vendors[runtime.providers[each.provider].vendor].transport == "fake" and not is_fake_model(each.model)
    ]
    for number, deployment in enumerate(unknown):
        near = nearest(deployment.model.removeprefix("fake/"), FAKE_MODELS) if number < _MAX_SUGGESTIONS else None
        hint = f" Did you mean `{near}`?" if near is not None else ""
        yield (
            f"deployments.{_shown(deployment.name)}: The vendor `fake` has no model `{deployment.model}`, so its "
            f"requests fail with status 404.{hint}"
        )


def _shown(name: str) -> str:
    return format_path((name,))
