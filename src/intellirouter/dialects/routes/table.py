"""Which route of an endpoint leads to which deployment."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from intellirouter.core import Call, Deployment, errors
from intellirouter.dialects.endpoint import Routes
from intellirouter.dialects.protocols import Route
from intellirouter.dialects.wire.search import contains

R = TypeVar("R")


class RouteTable(Generic[R]):
    """A passthrough to upstreams of the client's dialect, and a translation to each upstream dialect."""

    def __init__(
        self,
        *,
        dialect: str,
        passthrough: R | None,
        translations: Mapping[str, R],
        reason: str,
        edited: R | None = None,
        with_requested_name: Callable[[R], R] | None = None,
        operation: str | None = None,
        wrapped_token_prefix: bytes = b"",
    ) -> None:
        """`reason`: why a deployment without a route cannot serve the call, as a phrase to put after its name.

        `edited`: the passthrough for edited calls. Without it, they are translated.

        `with_requested_name` returns a passthrough whose answers name the model as the client does. Without it, routes
        do that themselves.

        `operation`: the operation that an upstream must offer for the passthrough.

        `wrapped_token_prefix`: a body with these bytes contains wrapped tokens of other vendors. The upstream would
        reject them, so the request is translated, which removes them. Empty: bodies contain no wrapped tokens.
        """
        self._dialect = dialect
        self._passthroughs = passthrough, edited
        self._renaming = self._passthroughs
        if with_requested_name is not None:
            self._renaming = (
                None if passthrough is None else with_requested_name(passthrough),
                None if edited is None else with_requested_name(edited),
            )
        self._reason = reason
        self._translations = dict(translations)
        self._operation = operation
        self._wrapped_token_prefix = wrapped_token_prefix

    def route(self, call: Call, deployment: Deployment) -> R:
        passthrough = self._passthrough_for(call, deployment)
        prefix = self._wrapped_token_prefix
        if passthrough is not None and not (prefix and contains(call.body, prefix)):
            return passthrough
        translation = self._translation_for(deployment) or passthrough
        if translation is None:
            raise errors.UnsupportedFeature(
                f"{deployment.name} {self._reason}.", hint="Use another model, or change the request."
            )
        return translation

    def exclusion_reason(self, call: Call, deployment: Deployment) -> str | None:
        # The body decides which route the call takes, but not whether there is one.
        if self._passthrough_for(call, deployment) is None and self._translation_for(deployment) is None:
            return self._reason
        return None

    def _passthrough_for(self, call: Call, deployment: Deployment) -> R | None:
        if self._dialect not in deployment.dialects:
            return None
        if self._operation is not None:
            offered = deployment.operations
            if offered is not None and self._operation not in offered:
                return None
        passthroughs = self._renaming if call.names_requested_model else self._passthroughs
        return passthroughs[call.is_edited]

    def _translation_for(self, deployment: Deployment) -> R | None:
        """Return the translation to the client's dialect, or else to the deployment's first dialect that has one."""
        translations = self._translations
        if self._dialect in deployment.dialects and self._dialect in translations:
            return translations[self._dialect]
        for dialect in deployment.dialects:
            if dialect in translations:
                return translations[dialect]
        return None


class LocalFirst:
    """The gateway answers requests of one kind itself, unless the deployment uses the client's dialect."""

    def __init__(self, dialect: str, applies: Callable[[Call], bool], local: Route, routes: Routes[Route]) -> None:
        self._dialect = dialect
        self._applies = applies
        self._local = local
        self._routes = routes

    def route(self, call: Call, deployment: Deployment) -> Route:
        if self._dialect not in deployment.dialects and self._applies(call):
            return self._local
        return self._routes.route(call, deployment)

    def exclusion_reason(self, call: Call, deployment: Deployment) -> str | None:
        reason = self._routes.exclusion_reason(call, deployment)
        return None if reason is None or self._applies(call) else reason


class CountTable:
    """Token counts: from an upstream that can count, or else estimated by the gateway."""

    def __init__(self, counting: Mapping[str, Route], estimate: Route) -> None:
        self._counting = dict(counting)
        self._estimate = estimate

    def route(self, call: Call, deployment: Deployment) -> Route:  # noqa: ARG002 - an estimate is always possible
        if deployment.operations is None or "count_tokens" in deployment.operations:
            for dialect in deployment.dialects:
                if dialect in self._counting:
                    return self._counting[dialect]
        return self._estimate

    def exclusion_reason(self, call: Call, deployment: Deployment) -> str | None:  # noqa: ARG002
        return None
