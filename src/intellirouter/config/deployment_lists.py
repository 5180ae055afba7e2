"""Expands the lists of deployments in a model: names, `provider/model`, `provider/*` and `*`."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from intellirouter.config.problems import quoted, suggestion
from intellirouter.config.schema import Config
from intellirouter.config.tree import Path

Report = Callable[[Path, str, str], None]
"""Takes the path of a problem, its message and its hint."""


class DeploymentLists:
    """Expands lists of deployments. `implicit` collects the `provider/model` entries that no deployment declares."""

    def __init__(self, config: Config, wildcard_providers: AbstractSet[str], report: Report) -> None:
        """`wildcard_providers` are the providers whose models need no deployment of their own."""
        self._config = config
        self._wildcard_providers = wildcard_providers
        self._report = report
        self.implicit: dict[str, tuple[str, str]] = {}
        """Name of the deployment -> provider and upstream model."""

    def expand(self, entries: Sequence[str], path: Path) -> tuple[str, ...]:
        """Return the names of the deployments in order, without duplicates.

        `*` and `provider/*` stand for deployments in the order of the file.
        """
        names: dict[str, None] = {}
        for index, entry in enumerate(entries):
            names.update(dict.fromkeys(self._expand_one(entry, (*path, index))))
        return tuple(names)

    def _expand_one(self, entry: str, path: Path) -> list[str]:
        declared = self._config.deployments
        if entry == "*":
            if not declared and not self._config.is_invalid("deployments"):
                self._report(path, "`*` matches no deployment.", "Add a deployment under `deployments`.")
            return list(declared)
        if entry in declared:
            return [entry]
        provider_name, _, model = entry.partition("/")
        provider = self._config.providers.get(provider_name)
        if model and provider is not None:
            if model == "*":
                return self._of_provider(provider_name, path)
            found = [name for name, item in declared.items() if (item.provider, item.model) == (provider_name, model)]
            if found:
                return found[:1]
            if provider_name in self._wildcard_providers:
                self.implicit[entry] = (provider_name, model)
                return [entry]
        self._report_unknown(entry, path)
        return []

    def _of_provider(self, provider: str, path: Path) -> list[str]:
        names = [name for name, item in self._config.deployments.items() if item.provider == provider]
        if not names and not self._has_unknown_providers():
            hint = f"Add a deployment, or name the models as `{provider}/MODEL`."
            self._report(path, f"No deployment uses the provider `{provider}`.", hint)
        return names

    def _has_unknown_providers(self) -> bool:
        """Return whether some deployments have a provider that does not exist: it may be meant to be another."""
        config = self._config
        return config.is_invalid("deployments") or any(
            each.provider not in config.providers for each in config.deployments.values()
        )

    def _is_uncertain(self, entry: str) -> bool:
        """Return whether an entry may be known if other problems are solved."""
        config, provider = self._config, entry.partition("/")[0]
        if config.is_invalid("deployments") or (config.is_invalid("providers") and "/" in entry):
            return True
        if provider in config.providers and self._has_unknown_providers():
            return True
        return any(
            item.provider == provider and config.is_invalid("deployments", name, "model")
            for name, item in config.deployments.items()
        )

    def _report_unknown(self, entry: str, path: Path) -> None:
        if self._is_uncertain(entry):
            return
        if entry in self._config.models:
            hint = "This list takes deployments. Name the deployments of that model instead."
            self._report(path, f"{quoted(entry)} is a model, not a deployment.", hint)
        else:
            hint = suggestion(entry, self._config.deployments, "deployments") or "Add it under `deployments`."
            self._report(path, f"Unknown deployment {quoted(entry)}.", hint)
