"""What Ollama's clients ask about models: `/api/tags`, `/api/ps`, `/api/show`, `/api/version`."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.catalog import ResolvedModel
from intellirouter.core import Current, errors
from intellirouter.dialects import ollama_models
from intellirouter.pipeline import Generation
from intellirouter.resources import JSON, Page, ResourceRequest

_METHODS: Final = {
    "/api/tags": "GET, HEAD",
    "/api/ps": "GET, HEAD",
    "/api/version": "GET, HEAD",
    "/api/show": "POST",
}
_CAPABILITIES: Final = {"tools": "tools", "vision": "vision", "reasoning": "thinking"}


class _ShowRequest(Struct):
    model: str | None = None
    name: str | None = None
    """Its former name."""


_decode_show: Final = msgspec.json.Decoder(_ShowRequest)


class OllamaPages:
    """A `Resource`."""

    json_paths: Final[frozenset[str]] = frozenset()

    def __init__(self, current: Current[Generation]) -> None:
        self._current = current

    def allowed(self, path: str) -> str:
        return _METHODS.get(path, "")

    async def serve(self, request: ResourceRequest) -> Page:
        match request.path:
            case "/api/version":
                return 200, JSON, ollama_models.version()
            case "/api/show":
                return 200, JSON, ollama_models.show(self._shown(request))
            case "/api/ps":
                return 200, JSON, ollama_models.ps([model for model, is_ours in self._listed(request) if is_ours])
            case _:
                return 200, JSON, ollama_models.tags([model for model, _ in self._listed(request)])

    def _listed(self, request: ResourceRequest) -> list[tuple[ollama_models.ListedModel, bool]]:
        """Every name this caller may use, and whether a worker of this machine serves it."""
        targets = self._current.value.catalog.resolved_models.items()
        return [
            (_listed(name, target), all(each.vendor == "host" for each in target.pool))
            for name, target in targets
            if request.identity.may_use(name)
        ]

    def _shown(self, request: ResourceRequest) -> ollama_models.ListedModel:
        try:
            asked = _decode_show.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise errors.InvalidRequest("The body must be a JSON object with `model`.", code="invalid_json") from None
        name = asked.model or asked.name
        if not name:
            raise errors.InvalidRequest("model is required", param="model", code="missing_required_parameter")
        target = self._current.value.catalog.resolve(name) if request.identity.may_use(name) else None
        if target is None:
            raise errors.ModelNotFound(f"model '{name[:200]}' not found", param="model")
        return _listed(name, target)


def _listed(name: str, target: ResolvedModel) -> ollama_models.ListedModel:
    members: Any = target.pool
    known = [each.capabilities for each in members if each.capabilities is not None]
    able: frozenset[str] = frozenset().union(*known) if known else frozenset()
    capabilities = ["embedding" if "embeddings" in able and "chat" not in able else "completion"]
    capabilities += [word for ours, word in _CAPABILITIES.items() if ours in able or (not known and ours == "tools")]
    contexts = [each.context_tokens for each in members if each.context_tokens is not None]
    return ollama_models.ListedModel(
        name=name, context_tokens=max(contexts, default=None), capabilities=tuple(capabilities)
    )
