"""The model lists: `/v1/models` for OpenAI's and Anthropic's clients, `/v1beta/models` for Gemini's."""

from typing import Final
from urllib.parse import parse_qsl, unquote

from intellirouter.catalog import Catalog, ResolvedModel
from intellirouter.core import errors
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
    """Tell whether a GET of this path is a list of models, or one of them."""
    return path in {_OPENAI, _GEMINI} or path.startswith((f"{_OPENAI}/", f"{_GEMINI}/"))


def page(catalog: Catalog, identity: Identity, path: str, headers: dict[bytes, bytes], query_string: bytes) -> Page:
    """Answer in the dialect that path and headers speak: what this caller may ask for, models before deployments."""
    query = dict(parse_qsl(query_string.decode("latin-1")))
    is_gemini = path.startswith(_GEMINI) or b"x-goog-api-key" in headers
    is_anthropic = b"anthropic-version" in headers
    name = unquote(path.removeprefix(_GEMINI if path.startswith(_GEMINI) else _OPENAI).removeprefix("/"))
    if name:
        entry = _entry(name, _resolved(catalog, identity, name))
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
    return [_entry(name, target) for name, target in catalog.resolved_models.items() if identity.may_use(name)]


def _resolved(catalog: Catalog, identity: Identity, name: str) -> ResolvedModel:
    """Names may hold slashes, raw or escaped. Raises `ModelNotFound`."""
    target = catalog.resolve(name)
    if target is None or not identity.may_use(name):
        raise errors.ModelNotFound(
            f"The model '{name[:200]}' does not exist or you do not have access to it.", param="model"
        )
    return target


def _entry(name: str, target: ResolvedModel) -> ModelEntry:
    members = (*target.pool, *target.fallbacks)
    owner = target.pool[0].provider if target.kind != "model" and target.pool else "intellirouter"
    known = [each.operations for each in members if each.operations is not None]
    return ModelEntry(
        name=name,
        owner=owner,
        context_tokens=max((each.context_tokens or 0 for each in members), default=0) or None,
        operations=frozenset().union(*known) if known and len(known) == len(members) else None,
    )
