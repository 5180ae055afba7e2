"""The list of dialects, and the endpoints built from it: every client dialect over every upstream dialect."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from intellirouter.core import Operation
from intellirouter.dialects import (
    anthropic_messages,
    bedrock,
    gemini,
    ollama,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_media,
    openai_realtime,
    openai_responses,
)
from intellirouter.dialects.endpoint import OPERATION_NAMES, Endpoint, Routes
from intellirouter.dialects.protocols import (
    ChatUpstream,
    CountUpstream,
    EmbeddingsUpstream,
    ErrorStyle,
    Route,
)
from intellirouter.dialects.routes.continuation import Continuations
from intellirouter.dialects.routes.embeddings import EmbeddingsTranslation
from intellirouter.dialects.routes.passthrough import ChatPassthrough, EditedPassthrough
from intellirouter.dialects.routes.requested_name import RequestedNamePassthrough
from intellirouter.dialects.routes.table import CountTable, LocalFirst, RouteTable
from intellirouter.dialects.routes.token_counts import CountEstimate, CountTranslation
from intellirouter.dialects.routes.translation import ChatTranslation
from intellirouter.dialects.spec import (
    ChatEndpoint,
    CountEndpoint,
    DialectSpec,
    EmbeddingsEndpoint,
    EndpointSpec,
    LocalAnswer,
    PassthroughEndpoint,
    PathPattern,
    SessionEndpoint,
    Traits,
)
from intellirouter.dialects.wire.sse import EventSplitter

T = TypeVar("T")

DIALECTS: Final = (
    openai_chat.SPEC,
    openai_responses.SPEC,
    openai_completions.SPEC,
    openai_embeddings.SPEC,
    gemini.SPEC,
    anthropic_messages.SPEC,
    ollama.SPEC,
    bedrock.SPEC,
    openai_media.SPEC,
    openai_realtime.SPEC,
)
"""The dialects of the gateway. If neither path nor header selects a dialect, errors have the first one's format."""


class Match(Struct, frozen=True):
    """An endpoint, and the parts of the request that the path contains."""

    endpoint: Endpoint
    model: str
    """As it is in the path, still escaped."""
    is_stream: bool


class Dialects:
    """The endpoints of a set of dialects, by name and by path. Immutable."""

    def __init__(
        self, specs: Sequence[DialectSpec], endpoints: Mapping[str, Endpoint], upstreams: Mapping[str, ChatUpstream]
    ) -> None:
        self.endpoints: Final = dict(endpoints)
        """By name."""
        self.upstreams: Final = dict(upstreams)
        """The chat codecs for upstreams, by dialect."""
        rows = [row for spec in specs for row in spec.endpoints]
        self.endpoints_by_path: Final = {
            path: endpoints[row.name] for row in rows if not isinstance(row, SessionEndpoint) for path in row.paths
        }
        """The endpoints for POST requests on fixed paths."""
        self.sessions_by_path: Final = {
            path: endpoints[row.name] for row in rows if isinstance(row, SessionEndpoint) for path in row.paths
        }
        """The endpoints that open WebSocket sessions."""
        self._patterns: Final[list[tuple[PathPattern, Endpoint]]] = [
            (pattern, endpoints[row.name]) for row in rows for pattern in row.patterns
        ]
        self._paths: Final = frozenset(self.endpoints_by_path).union(*(spec.other_paths for spec in specs))
        styles = [(spec, spec.errors) for spec in specs if spec.errors is not None]
        if not styles:
            raise ValueError("No dialect has endpoints.")
        self.default_errors: Final[ErrorStyle] = styles[0][1]
        """The error format of paths that belong to no dialect."""
        self._styles_by_prefix: Final = [(spec.error_prefixes, style) for spec, style in styles if spec.error_prefixes]
        self._styles_by_header: Final = [
            (spec.error_header, style) for spec, style in styles if spec.error_header is not None
        ]

    def match(self, path: str) -> Match | None:
        """Return the endpoint whose paths contain the model; None if there is none for this path."""
        for pattern, endpoint in self._patterns:
            if not path.endswith(pattern.suffix):
                continue
            for prefix in pattern.prefixes:
                if path.startswith(prefix) and (model := path[len(prefix) : -len(pattern.suffix)]):
                    return Match(endpoint, model, pattern.is_stream)
        return None

    def methods_at(self, path: str) -> list[str]:
        """Return the methods that may follow a model and a colon in this path. Empty if there is no colon."""
        if ":" not in path.rpartition("/")[2]:
            return []
        return [pattern.suffix.removeprefix(":") for pattern, _ in self._patterns if path.startswith(pattern.prefixes)]

    def has_path(self, path: str) -> bool:
        """Return whether this is a fixed path of one of the dialects."""
        return path in self._paths

    def errors_at(self, path: str, headers: Mapping[bytes, bytes]) -> ErrorStyle:
        """Return the error format for a client that calls this path, which may be unknown."""
        endpoint = self.endpoints_by_path.get(path)
        if endpoint is not None:
            return endpoint.errors
        for prefixes, style in self._styles_by_prefix:
            if path.startswith(prefixes):
                return style
        return next((style for header, style in self._styles_by_header if header in headers), self.default_errors)


def build_dialects(specs: Sequence[DialectSpec]) -> Dialects:
    """Build the endpoints of these dialects, each with a route to every upstream dialect that can serve it.

    Raises `ValueError` if two of them use the same name or path.
    """
    builder = _Builder(specs)
    rows = [(spec, row) for spec in specs for row in spec.endpoints]
    endpoints = _by_unique_key(((row.name, builder.endpoint(spec, row)) for spec, row in rows), "endpoint")
    _by_unique_key(((path, row) for _, row in rows for path in row.paths), "path")
    return Dialects(specs, endpoints, builder.chat)


class _Builder:
    """Connects the client codecs of all dialects with the upstream codecs of all dialects."""

    def __init__(self, specs: Sequence[DialectSpec]) -> None:
        self.chat: dict[str, ChatUpstream] = _codecs((spec.name, spec.chat) for spec in specs)
        self._counts: dict[str, CountUpstream] = _codecs((spec.name, spec.counts) for spec in specs)
        self._embeddings: dict[str, EmbeddingsUpstream] = _codecs((spec.name, spec.embeddings) for spec in specs)
        self._traits: dict[str, Traits] = {
            spec.name: spec.traits for spec in specs if spec.chat is not None or spec.counts is not None
        }

    def endpoint(self, spec: DialectSpec, row: EndpointSpec) -> Endpoint:
        if spec.errors is None:
            raise ValueError(f"The dialect {spec.name} has endpoints, but no error format.")
        continuations = None
        match row:
            case ChatEndpoint():
                translations = {
                    name: ChatTranslation(row.client, each, self._traits[name]) for name, each in self.chat.items()
                }
                routes = self._chat_routes(spec, row, translations)
                continuations = self._continuations(spec, row, translations)
            case EmbeddingsEndpoint():
                routes = self._embeddings_routes(spec, row)
            case CountEndpoint():
                routes = self._count_routes(row)
            case PassthroughEndpoint():
                routes = _only_passthrough(spec, row.route, row.operation, _renaming(spec))
            case SessionEndpoint():
                return Endpoint(
                    name=row.name,
                    operations=frozenset({row.operation}),
                    client=row.client,
                    errors=spec.errors,
                    sessions=_only_passthrough(spec, row.route, row.operation),
                    header_names=row.header_names,
                )
            case _:
                raise TypeError(f"{type(row).__name__} is not a known kind of endpoint.")
        return Endpoint(
            name=row.name,
            operations=_operations_of(row),
            client=row.client,
            errors=spec.errors,
            routes=routes,
            header_names=row.header_names,
            unique_members=row.unique_members,
            is_json=not isinstance(row, PassthroughEndpoint) or row.is_json,
            allows_any_media_type=spec.allows_any_media_type,
            decodes_alike=spec.decodes_alike,
            conversations=row.client if isinstance(row, ChatEndpoint | CountEndpoint) else None,
            chat=row.client if isinstance(row, ChatEndpoint) else None,
            local=row.local if isinstance(row, ChatEndpoint) else None,
            continuations=continuations,
            keep_alive=row.keep_alive,
        )

    def _continuations(
        self, spec: DialectSpec, row: ChatEndpoint, translations: Mapping[str, ChatTranslation]
    ) -> Continuations | None:
        own = self.chat.get(spec.name)
        if row.reader is not None:
            return Continuations(spec.name, row.client, row.reader, EventSplitter, translations)
        return None if own is None else Continuations(spec.name, row.client, own.stream, own.splitter, translations)

    def _chat_routes(
        self, spec: DialectSpec, row: ChatEndpoint, translations: Mapping[str, ChatTranslation]
    ) -> Routes[Route]:
        passthrough, edited = row.passthrough, None
        if (own := self.chat.get(spec.name)) is not None:
            passthrough = passthrough or ChatPassthrough(row.client, own)
            if row.has_upstream_format:
                edited = EditedPassthrough(passthrough, row.client, own, spec)
        table = RouteTable(
            dialect=spec.name,
            passthrough=passthrough,
            translations=translations,
            reason=_unreachable_reason(spec, "chat"),
            edited=edited,
            with_requested_name=_renaming(spec),
            operation=row.passthrough_operation,
            wrapped_token_prefix=spec.wrapped_token_prefix,
        )
        return _local_first(spec, row.local, table)

    def _embeddings_routes(self, spec: DialectSpec, row: EmbeddingsEndpoint) -> Routes[Route]:
        translations: dict[str, Route] = {
            name: EmbeddingsTranslation(row.client, upstream) for name, upstream in self._embeddings.items()
        }
        table = RouteTable(
            dialect=spec.name,
            passthrough=row.passthrough,
            translations=translations,
            reason=_unreachable_reason(spec, "embeddings"),
            with_requested_name=_renaming(spec),
        )
        return _local_first(spec, row.local, table)

    def _count_routes(self, row: CountEndpoint) -> Routes[Route]:
        counting: dict[str, Route] = {
            name: CountTranslation(row.client, upstream, self._traits[name]) for name, upstream in self._counts.items()
        }
        return CountTable(counting, CountEstimate(row.client))


def _operations_of(row: EndpointSpec) -> frozenset[str]:
    """Return the operations of which an upstream must offer one. Some endpoints can be served by chat upstreams."""
    match row:
        case ChatEndpoint():
            return frozenset({"chat", row.passthrough_operation or "chat"})
        case CountEndpoint():
            return frozenset({"chat", "count_tokens"})
        case PassthroughEndpoint() | SessionEndpoint():
            return frozenset({row.operation})
        case _:
            return frozenset({"embeddings"})


def _only_passthrough(
    spec: DialectSpec, route: T, operation: Operation, with_requested_name: Callable[[T], T] | None = None
) -> RouteTable[T]:
    reason = f"does not support {OPERATION_NAMES[operation]}"
    return RouteTable(
        dialect=spec.name, passthrough=route, translations={}, reason=reason, with_requested_name=with_requested_name
    )


def _renaming(spec: DialectSpec) -> Callable[[Route], Route]:
    return lambda route: RequestedNamePassthrough(route, spec.answer_model)


def _unreachable_reason(spec: DialectSpec, operation: Operation) -> str:
    return f"cannot be reached from the {spec.title} dialect for {OPERATION_NAMES[operation]}"


def _local_first(spec: DialectSpec, local: LocalAnswer | None, routes: Routes[Route]) -> Routes[Route]:
    return routes if local is None else LocalFirst(spec.name, local.applies, local.route, routes)


def _codecs(pairs: Iterable[tuple[str, T | None]]) -> dict[str, T]:
    return _by_unique_key(((name, codec) for name, codec in pairs if codec is not None), "upstream codec of dialect")


def _by_unique_key(pairs: Iterable[tuple[str, T]], kind: str) -> dict[str, T]:
    found: dict[str, T] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"Two dialects have the {kind} {key}.")
        found[key] = value
    return found
