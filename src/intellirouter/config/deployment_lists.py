"""Expands the lists of deployments in a model: names, `provider/model`, `provider/*` and `*`."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from itertools import chain

from intellirouter.config.problems import Suggestions, quoted
from intellirouter.config.schema import Config
from intellirouter.config.tree import Path, format_path

Report = Callable[[Path, str, str], None]
"""Takes the path of a problem, its message and its hint."""


class DeploymentLists:
    """Expands lists of deployments. `implicit` collects the `provider/model` entries that no deployment declares."""

    def __init__(
        self, config: Config, wildcard_providers: AbstractSet[str], report: Report, suggestions: Suggestions
    ) -> None:
        """`wildcard_providers` are the providers whose models need no deployment of their own."""
        self._config = config
        self._wildcard_providers = wildcard_providers
        self._report = report
        self._suggestions = suggestions
        self.implicit: dict[str, tuple[str, str]] = {}
        """Name of the deployment -> provider and upstream model."""
        self.repeated: list[tuple[Path, str]] = []
        """The path of each list that names a deployment more than once, and the deployment."""

    def expand(self, entries: Sequence[str], path: Path) -> tuple[str, ...]:
        """Return the names of the deployments in order, without duplicates.

        `*` and `provider/*` stand for deployments in the order of the file.
        """
        return tuple(dict.fromkeys(chain.from_iterable(self.expand_each(entries, path))))

    def expand_each(self, entries: Sequence[str], path: Path) -> list[list[str]]:
        """Return the names of the deployments for each entry."""
        expanded: list[list[str]] = []
        single: set[str] = set()
        for index, entry in enumerate(entries):
            found = self._expand_one(entry, (*path, index))
            if not entry.endswith("*"):  # a pattern may well match what is named next to it
                self.repeated += [(path, each) for each in found if each in single]
                single.update(found)
            expanded.append(found)
        return expanded

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
            if (found := self._by_upstream_model.get((provider_name, model))) is not None:
                return [found]
            if provider_name in self._wildcard_providers:
                self.implicit[entry] = (provider_name, model)
                return [entry]
        self._report_unknown(entry, path)
        return []

    def _of_provider(self, provider: str, path: Path) -> list[str]:
        names = self._by_provider.get(provider, [])
        if not names and not self._has_unknown_providers:
            hint = f"Add a deployment, or name the models as `{provider}/MODEL`."
            self._report(path, f"No deployment uses the provider `{provider}`.", hint)
        return names

    @cached_property
    def _by_upstream_model(self) -> dict[tuple[str, str | None], str]:
        """Provider and upstream model -> the first deployment of them."""
        deployments = reversed(self._config.deployments.items())
        return {(item.provider, item.model): name for name, item in deployments}

    @cached_property
    def _by_provider(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, item in self._config.deployments.items():
            found.setdefault(item.provider, []).append(name)
        return found

    @cached_property
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
        if provider in config.providers and self._has_unknown_providers:
            return True
        return provider in self._with_invalid_models

    @cached_property
    def _with_invalid_models(self) -> set[str]:
        """The providers of deployments whose upstream model is invalid."""
        config = self._config
        return {
            item.provider
            for name, item in config.deployments.items()
            if config.is_invalid("deployments", name, "model")
        }

    def _report_unknown(self, entry: str, path: Path) -> None:
        if self._is_uncertain(entry):
            return
        if entry in self._config.models:
            hint = "This list takes deployments. Name the deployments of that model instead."
            self._report(path, f"{quoted(entry)} is a model, not a deployment.", hint)
        else:
            self._report(path, f"Unknown deployment {quoted(entry)}.", self._hint_for_unknown(entry))

    def _hint_for_unknown(self, entry: str) -> str:
        suggested = self._suggestions.suggestion(entry, self._config.deployments, "deployments")
        provider, _, model = entry.partition("/")
        if not model or provider not in self._config.providers or suggested.startswith("Did you mean"):
            return suggested or "Add it under `deployments`."
        return (
            f'Set `{format_path(("providers", provider, "models"))}: "*"` so that all models of the provider can be '
            "named, or add a deployment under `deployments`."
        )
