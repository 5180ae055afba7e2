"""Selects the price list: the configured file, else the one installed next to the database, else the built-in one."""

from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from intellirouter.catalog import (
    Comparison,
    PriceEntry,
    PriceFileError,
    PriceList,
    compare,
    install_prices,
    read_prices,
)
from intellirouter.config import ConfigError, ConfigProblem, LoadedConfig, Runtime, load_config, nearest
from intellirouter.store import database_path

_SUFFIX = ".catalog.json"


class Refreshed(Struct, frozen=True, kw_only=True):
    """The result of `refresh_catalog`."""

    installed: str | None
    """Path of the installed list; None if it was only checked."""
    comparison: Comparison


class CatalogInUse(Struct, frozen=True, kw_only=True):
    """The price list in use and the entries that were asked for."""

    version: str
    file: str | None
    """None for the built-in list."""
    provider: str
    entries: tuple[PriceEntry, ...]
    suggestion: str | None = None
    """A similar provider or provider/model in the list, if there are no entries."""


def price_list(runtime: Runtime, *, origin: str = "") -> PriceList:
    """Return the price list of this configuration. Raises `ConfigError` if its file is invalid.

    `origin` is where `catalog.file` is set, for the error.
    """
    return _chosen(runtime.catalog_file, runtime.store.url, origin)[1]


def refresh_catalog(config: Path | None, source: Path, *, is_check: bool = False) -> Refreshed:
    """Check the price list `source`, and install it next to the database unless `is_check`.

    Raises `ConfigError`, `PriceFileError`.
    """
    found = load_config(config)
    loaded, origin = found.config, catalog_origin(found)
    if is_check:
        old = _chosen(loaded.catalog.file, loaded.store.url, origin)[1]
        return Refreshed(installed=None, comparison=compare(read_prices(source), old))
    if loaded.catalog.file is not None:
        raise PriceFileError(
            f"The configuration sets catalog.file to {loaded.catalog.file}, so an installed list would be ignored. "
            "Replace that file, or remove the setting."
        )
    target = _installed(loaded.store.url)
    try:
        old = _chosen(None, loaded.store.url)[1]
    except ConfigError:  # the installed list is invalid and about to be replaced
        old = PriceList.load()
    return Refreshed(installed=str(target), comparison=install_prices(source, target, old))


def look_up(config: Path | None, provider: str, model: str | None = None) -> CatalogInUse:
    """Return the entries of a provider's models, or of one model, in the list in use. Raises `ConfigError`."""
    loaded = load_config(config)
    file, prices = _chosen(loaded.config.catalog.file, loaded.config.store.url, catalog_origin(loaded))
    entries: tuple[PriceEntry, ...] = ()
    if model is not None:
        found = prices.lookup(provider, model)
        entries = () if found is None else (found,)
    elif provider in prices.providers:
        entries = tuple(prices.entries(provider))
    return CatalogInUse(
        version=prices.version,
        file=None if file is None else str(file),
        provider=provider,
        entries=entries,
        suggestion=None if entries else _similar(prices, provider, model),
    )


def _similar(prices: PriceList, provider: str, model: str | None) -> str | None:
    """Return a provider, or provider/model, with a similar name."""
    listed = provider if provider in prices.providers else nearest(provider, prices.providers)
    if listed is None or model is None:
        return listed
    if prices.lookup(listed, model) is not None:
        return f"{listed}/{model}"
    found = nearest(model, [entry.model_id for entry in prices.entries(listed)])
    return None if found is None else f"{listed}/{found}"


def catalog_origin(loaded: LoadedConfig) -> str:
    """Return where `catalog.file` is set, for messages."""
    return loaded.origins.get("catalog.file", "")


def _chosen(configured: str | None, store_url: str, origin: str = "") -> tuple[Path | None, PriceList]:
    file = Path(configured) if configured is not None else _installed(store_url)
    if configured is None and not _is_file(file):
        return None, PriceList.load()
    try:
        return file, _read(file, _state(file))
    except PriceFileError as error:
        if configured is not None:
            hint = "Run `intellirouter catalog refresh --check FILE` to check a price list."
            raise ConfigError([ConfigProblem("catalog.file", str(error), hint, origin)]) from None
        hint = f"Run `intellirouter catalog refresh FILE` to replace it, or delete {file} to use the built-in list."
        raise ConfigError([ConfigProblem("catalog", str(error), hint)]) from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # for example, the name is too long; the database reports its own path
        return False


@lru_cache(maxsize=1)
def _read(file: Path, state: tuple[int, int]) -> PriceList:  # noqa: ARG001 - part of the cache key: a changed file is read again
    return read_prices(file)


def _state(file: Path) -> tuple[int, int]:
    """Return the modification time and size; zeros if the file cannot be read, so that reading it reports the error."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _installed(store_url: str) -> Path:
    return database_path(store_url).with_suffix(_SUFFIX)
