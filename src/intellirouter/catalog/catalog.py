"""The names that clients can call, and the deployments behind each name."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, Protocol

from msgspec import Struct, structs

from intellirouter.catalog.model_facts import ModelFacts, ProviderLists, facts_of
from intellirouter.catalog.prices import PriceEntry
from intellirouter.catalog.profiles import profile_of
from intellirouter.config import CacheMode, DeploymentSpec, ModelSpec, ProviderSpec, Runtime
from intellirouter.core import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_POOL,
    AffinityPolicy,
    DegradationStep,
    Deployment,
    FallbackCause,
    HedgingPolicy,
    PoolPolicy,
    Price,
    RetryOrder,
    UpstreamAddress,
    VendorRow,
)

_MAX_WILDCARDS: Final = 1024
_PREFIXES: Final = {"anthropic_messages": "/v1", "ollama": "/v1", "gemini": "/openai"}
FREE: Final = Price(input=0, output=0, version="own hardware")


class PriceSource(Protocol):
    def lookup(self, price_provider: str, model: str) -> PriceEntry | None: ...


class LadderStep(Struct, frozen=True, eq=False):
    """A step of the degradation ladder of a model."""

    step: DegradationStep
    resolved: "ResolvedModel | None"
    """What the step calls, within the limits of the model whose ladder it is. None: it calls nothing."""


class ResolvedModel(Struct, frozen=True, kw_only=True, eq=False):
    """What a model name stands for. Requests are spread over the pool; fallbacks are tried after it."""

    model: str
    kind: str
    """How the name was resolved: `model`, `deployment` or `wildcard`."""
    strategy: str
    pool: tuple[Deployment, ...]
    fallbacks: tuple[Deployment, ...] = ()
    fallback_causes: dict[str, frozenset[FallbackCause]] = {}
    """The causes for which a fallback is tried, by name. All others are tried for every cause."""
    retries: int = 2
    retry_order: RetryOrder = "next_first"
    request_timeout_s: float
    """How long a request may take over all its attempts, until its answer begins."""
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    """The limit of the attempts of a request, of all kinds."""
    max_cost_microusd: int | None = None
    """No further attempt is made when attempts whose answers were not used have cost this much. None: no limit."""
    hedging: HedgingPolicy | None = None
    affinity: AffinityPolicy | None = None
    """None: requests do not stay where their session was served last, or there is nothing to choose."""
    continues_streams: bool = False
    """Another deployment writes the rest of a stream that breaks off."""
    degradation: tuple[LadderStep, ...] = ()
    """What is tried if all attempts have failed."""
    reserved_s: float = 0.0
    """How much of the time of a request is reserved for the steps that follow."""
    restriction: str = ""
    """How the headers of a request limit its attempts; empty if they do not."""
    pin: str = ""
    """Why only one deployment can serve the request; empty if others can, too."""
    has_one_account: bool = True
    """All deployments have the same provider and credential, so that each can read what another one has created."""
    by_name: dict[str, Deployment]
    """The deployments of the pool and the fallbacks."""
    pool_policy: PoolPolicy = DEFAULT_POOL
    queue_wait_s: float | None = None
    """How long a request may wait for a slot; None: as long as the queue of the deployment allows."""
    cache: CacheMode | None = None
    """Whether its answers are cached; None: as the tenant, or else the defaults, say."""


class Catalog:
    """Resolves model names. Frozen after construction, except for a bounded cache of wildcard names."""

    def __init__(
        self,
        runtime: Runtime,
        vendors: Mapping[str, VendorRow],
        prices: PriceSource,
        lists: ProviderLists | None = None,
        *,
        sticky_strategies: Collection[str] = (),
    ) -> None:
        """`lists`: the models that wildcard providers have listed so far.

        `sticky_strategies`: the names of the strategies that keep sessions at one deployment.
        """
        self._sticky_strategies = frozenset(sticky_strategies)
        self._runtime = runtime
        self._lists = ProviderLists() if lists is None else lists
        self._limits = runtime.server.answer_limits()
        self._vendors = vendors
        self._prices = prices
        self.deployments = {name: self._deployment(spec) for name, spec in runtime.deployments.items()}
        self._resolved = self._resolve_all()
        self._facts = {name: facts_of(name, each.kind, each.pool) for name, each in self._resolved.items()}
        self._wildcards: OrderedDict[str, ResolvedModel] = OrderedDict()

    @property
    def resolved_models(self) -> Mapping[str, ResolvedModel]:
        """All names except wildcards: models, then deployments, then `provider/model` names."""
        return self._resolved

    def known_deployments(self) -> list[Deployment]:
        """Return the configured deployments, and those that clients have recently called through a wildcard."""
        return [*self.deployments.values(), *(resolved.pool[0] for resolved in self._wildcards.values())]

    @property
    def wildcard_providers(self) -> tuple[str, ...]:
        return tuple(name for name, spec in self._runtime.providers.items() if spec.allows_any_model)

    @property
    def has_several_accounts(self) -> bool:
        """Whether there is a model whose requests can be served with different credentials."""
        providers = self._runtime.providers
        return any(not each.has_one_account for each in self._resolved.values()) or any(
            len(providers[name].credentials) > 1 for name in self.wildcard_providers
        )

    def is_listed(self, provider: str) -> bool:
        """Return whether lists of models contain those that this provider offers."""
        return self._runtime.providers[provider].is_listed

    def resolve(self, model: str) -> ResolvedModel | None:
        """Return what a name stands for: a model, a deployment, `provider/model` or a wildcard; None if unknown."""
        return self._resolved.get(model) or self._wildcards.get(model) or self._wildcard(model)

    def listed_models(self, may_use: Callable[[str], bool]) -> list[ModelFacts]:
        """Return the names that a caller may use: configured ones, then those that wildcard providers have listed."""
        own = self._facts
        listed = self._lists.of(self.wildcard_providers, lambda name: name not in own and may_use(name))
        return [*(facts for name, facts in own.items() if may_use(name)), *listed]

    def facts_of(self, model: str) -> ModelFacts | None:
        """Return what is known of a name; None if it does not stand for anything.

        Every name of a wildcard provider does, because lists are not always complete.
        """
        if (known := self._facts.get(model)) is not None:
            return known
        if (resolved := self.resolve(model)) is None:
            return None
        return self._lists.find(model.partition("/")[0], model) or facts_of(model, resolved.kind, resolved.pool)

    def offered_by_wildcards(self, model: str) -> Iterator[str]:
        """Yield `provider/model` for each wildcard provider that has listed this model, or has a price for it."""
        for name in self.wildcard_providers:
            row = self._vendors[self._runtime.providers[name].vendor]
            known = self._prices.lookup(row.price_provider, model) if row.price_provider else None
            full_name = f"{name}/{model}"
            if self._lists.find(name, full_name) is not None or (known is not None and known.model_id == model):
                yield full_name

    def describe(self, provider: str, model: str, context_tokens: int | None) -> ModelFacts:
        """Return the facts of a model that a wildcard provider has listed with this context window."""
        spec = DeploymentSpec(name=f"{provider}/{model}", provider=provider, model=model, context_tokens=context_tokens)
        return facts_of(spec.name, "wildcard", (self._deployment(spec),))

    def endpoint_of(self, provider: str) -> Deployment:
        """Return a deployment without a model, for requests to the provider itself."""
        timeouts = self._runtime.providers[provider].timeouts
        return self._deployment(DeploymentSpec(name=provider, provider=provider, model="", timeouts=timeouts))

    def _resolve_all(self) -> dict[str, ResolvedModel]:
        models = {name: self._resolve_model(spec) for name, spec in self._runtime.models.items()}
        resolved = {name: _with_ladder(each, models, self._runtime.models[name]) for name, each in models.items()}
        specs = self._runtime.deployments
        for name, deployment in self.deployments.items():
            resolved.setdefault(name, self._single(name, "deployment", deployment, specs[name].cache))
        for deployment in self.deployments.values():
            name = f"{deployment.provider}/{deployment.upstream_model}"
            resolved.setdefault(name, self._single(name, "deployment", deployment, specs[deployment.name].cache))
        return resolved

    def _resolve_model(self, spec: ModelSpec) -> ResolvedModel:
        by_name = {name: self.deployments[name] for name in (*spec.deployments, *spec.fallbacks)}
        return ResolvedModel(
            model=spec.name,
            kind="model",
            strategy=spec.strategy,
            pool=tuple(self.deployments[name] for name in spec.deployments),
            fallbacks=tuple(self.deployments[name] for name in spec.fallbacks),
            fallback_causes=spec.fallback_causes,
            retries=spec.retries,
            retry_order=spec.retry_order,
            request_timeout_s=spec.request_timeout_s or _sum_of_timeouts(by_name.values()),
            max_attempts=spec.max_attempts,
            max_cost_microusd=spec.max_cost_microusd,
            hedging=spec.hedging,
            affinity=self._affinity(spec, by_name.values()),
            has_one_account=_have_one_account(by_name.values()),
            continues_streams=spec.continues_streams,
            by_name=by_name,
            pool_policy=spec.pool,
            queue_wait_s=spec.queue_wait_s,
            cache=spec.cache,
        )

    def _affinity(self, spec: ModelSpec, members: Iterable[Deployment]) -> AffinityPolicy | None:
        """Return the policy of a model; None if sessions have no choice of deployments or credentials."""
        has_choice = len(spec.deployments) > 1 and spec.strategy in self._sticky_strategies
        return spec.affinity if has_choice or any(len(each.credentials) > 1 for each in members) else None

    def _single(self, name: str, kind: str, deployment: Deployment, cache: CacheMode | None) -> ResolvedModel:
        retries = self._runtime.default_retries if deployment.retries is None else deployment.retries
        by_name = {deployment.name: deployment}
        return ResolvedModel(
            model=name,
            kind=kind,
            strategy="priority",
            pool=(deployment,),
            retries=retries,
            request_timeout_s=self._runtime.default_request_timeout_s or _sum_of_timeouts([deployment]),
            max_attempts=self._runtime.default_max_attempts,
            affinity=self._runtime.default_affinity if len(deployment.credentials) > 1 else None,
            has_one_account=_have_one_account([deployment]),
            max_cost_microusd=self._runtime.default_max_cost_microusd,
            by_name=by_name,
            pool_policy=self._runtime.default_pool,
            cache=cache,
        )

    def _wildcard(self, model: str) -> ResolvedModel | None:
        provider_name, slash, upstream_model = model.partition("/")
        provider = self._runtime.providers.get(provider_name)
        if not slash or not upstream_model or provider is None or not provider.allows_any_model:
            return None
        spec = DeploymentSpec(
            name=model,
            provider=provider_name,
            model=upstream_model,
            timeouts=provider.timeouts,
            retries=provider.retries,
            marks_prompt_cache=provider.marks_prompt_cache,
        )
        resolved = self._wildcards[model] = self._single(model, "wildcard", self._deployment(spec), provider.cache)
        if len(self._wildcards) > _MAX_WILDCARDS:
            self._wildcards.popitem(last=False)
        return resolved

    def _deployment(self, spec: DeploymentSpec) -> Deployment:
        provider = self._runtime.providers[spec.provider]
        row = self._vendors[provider.vendor]
        known = self._prices.lookup(row.price_provider, spec.model) if row.price_provider else None
        price = spec.price or (FREE if row.is_free else known.price if known else None)
        dialects = _dialects(provider, row)
        return Deployment(
            name=spec.name,
            provider=spec.provider,
            vendor=provider.vendor,
            upstream_model=spec.model,
            address=_address(provider, row, spec.region),
            credentials=provider.credentials,
            dialects=dialects,
            operations=row.operations,
            auth=provider.auth or row.auth,
            quirks=row.quirks,
            profile=profile_of(dialects, provider.vendor, spec.model),
            weight=spec.weight,
            region=spec.region or provider.region,
            context_tokens=spec.context_tokens or (known.context_tokens if known else None),
            capabilities=spec.capabilities if spec.capabilities is not None else known.capabilities if known else None,
            price=price,
            timeouts=spec.timeouts,
            retries=spec.retries,
            marks_prompt_cache=spec.marks_prompt_cache,
            max_connections=provider.max_connections,
            limits=self._limits,
            artifact=spec.artifact,
        )


def _have_one_account(deployments: Iterable[Deployment]) -> bool:
    accounts = {(each.provider, secret) for each in deployments for secret in each.credentials or (None,)}
    return len(accounts) < 2


def _with_ladder(own: ResolvedModel, models: Mapping[str, ResolvedModel], spec: ModelSpec) -> ResolvedModel:
    """Return a model with the steps of its ladder. They use the models they name without the ladders of those."""
    if not spec.degradation:
        return own
    called = [models[step.model] if step.model is not None else None for step in spec.degradation]
    own_times = [0.0 if each is None else _sum_of_timeouts(each.by_name.values()) for each in called]
    timeout_s = spec.request_timeout_s or own.request_timeout_s + sum(own_times)
    steps: list[LadderStep] = []
    for number, (step, model) in enumerate(zip(spec.degradation, called, strict=True)):
        target = None
        if model is not None or step.max_input_tokens is not None:
            target = structs.replace(
                model or own,
                request_timeout_s=timeout_s,
                max_attempts=own.max_attempts,
                max_cost_microusd=own.max_cost_microusd,
                hedging=None,
                reserved_s=sum(own_times[number + 1 :]),
            )
        steps.append(LadderStep(step, target))
    return structs.replace(own, request_timeout_s=timeout_s, degradation=tuple(steps), reserved_s=sum(own_times))


def _sum_of_timeouts(deployments: Iterable[Deployment]) -> float:
    """Return the time for all attempts together: each deployment may use up its own once."""
    return sum(each.timeouts.total_s for each in deployments)


def _dialects(provider: ProviderSpec, row: VendorRow) -> tuple[str, ...]:
    return row.dialects if provider.dialect is None else (provider.dialect,)


def _address(provider: ProviderSpec, row: VendorRow, region: str | None) -> UpstreamAddress:
    base_url = provider.base_url or row.base_url or ""
    if region is not None and provider.is_regional:
        base_url = (row.base_url or "").replace("{region}", region)
    # The paths of these dialects start above the prefix that is usual for the OpenAI-compatible endpoint.
    base_url = base_url.removesuffix(_PREFIXES.get(_dialects(provider, row)[0], ""))
    return UpstreamAddress(
        base_url=base_url,
        uds=provider.uds,
        headers=provider.headers,
        ca_file=provider.ca_file,
        client_certificate=provider.client_certificate,
        proxies=provider.proxies,
    )
