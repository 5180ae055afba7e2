"""Names that refer to names: which deployments a model's lists stand for."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from intellirouter.config.problems import suggest
from intellirouter.config.schema import Config
from intellirouter.config.tree import Path

Report = Callable[[Path, str, str], None]
"""Takes the path of a mistake, what is wrong and how to fix it."""


class Wiring:
    """Expands lists of deployments. `implicit` collects `provider/model` entries that no deployment declares."""

    def __init__(self, config: Config, open_providers: AbstractSet[str], report: Report) -> None:
        """`open_providers`: those whose models need no deployment of their own."""
        self._config = config
        self._open_providers = open_providers
        self._report = report
        self.implicit: dict[str, tuple[str, str]] = {}
        """Name of the deployment to its provider and upstream model."""

    def expand(self, entries: Sequence[str], path: Path) -> tuple[str, ...]:
        """Return deployment names in order, each once, with `*` and `provider/*` replaced in file order."""
        names: dict[str, None] = {}
        for index, entry in enumerate(entries):
            names.update(dict.fromkeys(self._expand_one(entry, (*path, index))))
        return tuple(names)

    def _expand_one(self, entry: str, path: Path) -> list[str]:
        declared = self._config.deployments
        if entry == "*":
            if not declared:
                self._report(path, '"*" matches nothing: there are no deployments', "add one under deployments")
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
            if provider_name in self._open_providers:
                self.implicit[entry] = (provider_name, model)
                return [entry]
        self._unknown(entry, path)
        return []

    def _of_provider(self, provider: str, path: Path) -> list[str]:
        names = [name for name, item in self._config.deployments.items() if item.provider == provider]
        if not names:
            hint = f"add one, or name the models: {provider}/MODEL"
            self._report(path, f"no deployment uses the provider {provider}", hint)
        return names

    def _unknown(self, entry: str, path: Path) -> None:
        if entry in self._config.models:
            hint = "this list takes deployments; name those of the model"
            self._report(path, f"{entry} is a model, not a deployment", hint)
        else:
            self._report(path, f"there is no deployment {entry!r}", suggest(entry, self._config.deployments))
