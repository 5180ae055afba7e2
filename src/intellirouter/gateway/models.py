"""The model lists: `/v1/models` for OpenAI and Anthropic clients, `/v1beta/models` for Gemini clients."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote

from intellirouter.catalog import Catalog, ResolvedModel, model_not_found
from intellirouter.dialects import (
    ModelEntry,
    anthropic_list,
    anthropic_model,
    gemini_list,
    gemini_model,
    openai_list,
    openai_model,
)
from intellirouter.governance import Identity
from intellirouter.resources import JSON, Page

_OPENAI: Final = "/v1/models"
_GEMINI: Final = "/v1beta/models"


def is_page(path: str) -> bool:
    """Return whether the path is a list of models or one model."""
    return path in {_OPENAI, _GEMINI} or path.startswith((f"{_OPENAI}/", f"{_GEMINI}/"))


def page(catalog: Catalog, identity: Identity, path: str, headers: Mapping[bytes, bytes], query_string: bytes) -> Page:
    """Return the models that the caller may use, or one of them, in the dialect that path and headers indicate."""
    query = dict(parse_qsl(query_string.decode("latin-1")))
    is_gemini = path.startswith(_GEMINI) or b"x-goog-api-key" in headers
    is_anthropic = b"anthropic-version" in headers
    name = unquote(path.removeprefix(_GEMINI if path.startswith(_GEMINI) else _OPENAI).removeprefix("/"))
    if name:
        entry = _entry(name, _resolved(catalog, identity, name, _GEMINI if is_gemini else _OPENAI))
        if is_gemini:
            return 200, JSON, gemini_model(entry)
        return 200, JSON, anthropic_model(entry) if is_anthropic else openai_model(entry)
    entries = all_entries(catalog, identity)
    if is_gemini:
        return 200, JSON, gemini_list(entries, query)
    if is_anthropic:
        return 200, JSON, anthropic_list(entries, query)
    return 200, JSON, openai_list(entries)


def all_entries(catalog: Catalog, identity: Identity) -> list[ModelEntry]:
    """Return the models and deployments that the caller may use, models first."""
    return [_entry(name, resolved) for name, resolved in catalog.resolved_models.items() if identity.may_use(name)]


def _resolved(catalog: Catalog, identity: Identity, name: str, list_path: str) -> ResolvedModel:
    """Return the model of this name. Raises `ModelNotFound`, whose hint names `list_path`."""
    resolved = catalog.resolve(name)
    if resolved is None or not identity.may_use(name):
        raise model_not_found(catalog, name, identity.may_use, list_path)
    return resolved


def _entry(name: str, resolved: ResolvedModel) -> ModelEntry:
    members = (*resolved.pool, *resolved.fallbacks)
    owner = resolved.pool[0].provider if resolved.kind != "model" and resolved.pool else "intellirouter"
    known = [each.operations for each in members if each.operations is not None]
    return ModelEntry(
        name=name,
        owner=owner,
        context_tokens=max((each.context_tokens or 0 for each in members), default=0) or None,
        operations=frozenset().union(*known) if known and len(known) == len(members) else None,
    )
