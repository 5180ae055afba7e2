"""Ollama's endpoints for models and version: `/api/tags`, `/api/ps`, `/api/show`, `/api/version`."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.catalog import ResolvedModel, model_not_found
from intellirouter.core import Current, errors
from intellirouter.dialects import ollama_models
from intellirouter.pipeline import Generation
from intellirouter.resources import JSON, Page, ResourceRequest, check_small

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
    """The former name of `model`."""


_decode_show: Final = msgspec.json.Decoder(_ShowRequest)


class OllamaPages:
    """Implements `Resource`."""

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
                return 200, JSON, ollama_models.show(self._requested_model(request))
            case "/api/ps":
                return 200, JSON, ollama_models.ps([model for model, is_local in self._models(request) if is_local])
            case _:
                return 200, JSON, ollama_models.tags([model for model, _ in self._models(request)])

    def _models(self, request: ResourceRequest) -> list[tuple[ollama_models.ListedModel, bool]]:
        """Return the models that the caller may use, and whether they run on this machine."""
        return [
            (_listed_model(name, resolved), all(each.vendor == "host" for each in resolved.pool))
            for name, resolved in self._current.value.catalog.resolved_models.items()
            if request.identity.may_use(name)
        ]

    def _requested_model(self, request: ResourceRequest) -> ollama_models.ListedModel:
        if not request.body.strip():
            raise errors.InvalidRequest("The request body is empty.", code="invalid_json")
        check_small(request.body)
        try:
            shown = _decode_show.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise errors.InvalidRequest("The body must be a JSON object with `model`.", code="invalid_json") from None
        name = shown.model or shown.name
        # The next two messages are Ollama's wording.
        if not name:
            raise errors.InvalidRequest("model is required", param="model", code="missing_required_parameter")
        catalog, identity = self._current.value.catalog, request.identity
        resolved = catalog.resolve(name) if identity.may_use(name) else None
        if resolved is None:
            message = f"model '{name[:200]}' not found"
            raise model_not_found(catalog, name, identity.may_use, "/api/tags", message)
        return _listed_model(name, resolved)


def _listed_model(name: str, resolved: ResolvedModel) -> ollama_models.ListedModel:
    members: Any = resolved.pool
    known = [each.capabilities for each in members if each.capabilities is not None]
    able: frozenset[str] = frozenset().union(*known) if known else frozenset()
    capabilities = ["embedding" if "embeddings" in able and "chat" not in able else "completion"]
    capabilities += [word for ours, word in _CAPABILITIES.items() if ours in able or (not known and ours == "tools")]
    contexts = [each.context_tokens for each in members if each.context_tokens is not None]
    return ollama_models.ListedModel(
        name=name, context_tokens=max(contexts, default=None), capabilities=tuple(capabilities)
    )
