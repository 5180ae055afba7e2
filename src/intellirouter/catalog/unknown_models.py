"""The error for a model name that is unknown, with the most similar name that the caller may use."""

import heapq
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final

from intellirouter.catalog.catalog import Catalog
from intellirouter.core import errors

MAX_NAME_CHARS: Final = 200
"""How much of a client's name is shown and recorded."""
_MIN_SIMILARITY: Final = 0.6
_COMPARED: Final = 5
"""How many names, those with most pairs of letters in common, are compared exactly, which is slow."""
_MAX_NAMES: Final = 5000


def model_not_found(
    catalog: Catalog, name: str, may_use: Callable[[str], bool], list_path: str, message: str | None = None
) -> errors.ModelNotFound:
    """Return the error. Its hint names a similar model, and `list_path`, the model list in the client's dialect.

    Names that the caller may not use are not revealed.
    """
    near = similar_model(catalog, name, may_use)
    listed = errors.model_list_hint(list_path)
    # OpenAI's wording.
    default = f"The model '{name[:MAX_NAME_CHARS]}' does not exist or you do not have access to it."
    return errors.ModelNotFound(
        default if message is None else message,
        param="model",
        hint=listed if near is None else errors.join_sentences(f"Did you mean `{near}`?", listed),
    )


def similar_model(catalog: Catalog, name: str, may_use: Callable[[str], bool]) -> str | None:
    """Return the most similar name that the caller may use, or None if none is similar.

    A model of a wildcard provider is recognized without the name of the provider. It need not be known if only the name
    of the provider is misspelled.
    """
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        return None
    if (offered := next(filter(may_use, catalog.offered_by_wildcards(name)), None)) is not None:
        return offered
    provider, _, model = name.partition("/")
    if model and (right := most_similar(provider, catalog.wildcard_providers)) not in {None, provider}:
        corrected = f"{right}/{model}"
        if may_use(corrected):
            return corrected
    return most_similar(name, [known for known in catalog.resolved_models if known != name and may_use(known)])


def most_similar(name: str, known: Iterable[str]) -> str | None:
    """Return the most similar of these names, ignoring case, or None. A part of a name (`gpt-4o` of `openai/gpt-4o`)
    is similar.
    """
    folded, pairs = name.lower(), _pairs(name.lower())
    best = heapq.nlargest(
        _COMPARED, ((len(pairs & _pairs(each.lower())), each) for each in list(known)[:_MAX_NAMES]), key=lambda x: x[0]
    )
    scored = [(_similarity(folded, each.lower()), each) for _, each in best]
    score, nearest = max(scored, key=lambda pair: (pair[0], -len(pair[1])), default=(0.0, ""))
    return nearest if score >= _MIN_SIMILARITY else None


def _similarity(name: str, known: str) -> float:
    if name.rpartition("/")[2] == known.rpartition("/")[2]:
        return 1.0
    return SequenceMatcher(None, name, known).ratio()


@lru_cache(maxsize=8192)
def _pairs(name: str) -> frozenset[str]:
    return frozenset(name[at : at + 2] for at in range(max(1, len(name) - 1)))
