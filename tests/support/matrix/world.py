"""One gateway with a model for each strategy and upstream, whose deployments have the fault of the moment."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from intellirouter.routing.strategies import STRATEGIES
from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess
from tests.support.matrix.records import Records
from tests.support.translation.world import CREDENTIAL, PRICE, UPSTREAMS, Upstream

STRATEGY_NAMES = tuple(row.name for row in STRATEGIES)
FAULTY = "*-faulty"
"""The upstream models to which the vendor applies the fault."""
SHORT_S = 0.3
PATIENT = {"connect_s": 5, "first_token_s": 20, "idle_s": 20, "total_s": 20}
IMPATIENT = {"connect_s": 5, "first_token_s": SHORT_S, "idle_s": SHORT_S, "total_s": 2}
ALL_UPSTREAMS = {**UPSTREAMS, "media": Upstream({"vendor": "openai-compatible"}, "/v1")}
NEXT = dict(zip(UPSTREAMS, [*list(UPSTREAMS)[1:], next(iter(UPSTREAMS))], strict=True)) | {"media": "media"}
"""The upstream of the fallback, which speaks another dialect if there is one."""


def faulty_model(upstream: str) -> str:
    return f"{ALL_UPSTREAMS[upstream].model}-faulty"


def faulty_deployments(upstream: str, *, is_silent: bool) -> list[str]:
    """Return the deployments of a pool. All of them are faulty, so it does not matter which one is tried first."""
    return [f"{upstream}-faulty-{'short' if is_silent else 'long'}-{letter}" for letter in "ab"]


def model_name(strategy: str, upstream: str, *, is_silent: bool) -> str:
    return f"{strategy}-{upstream}-{'short' if is_silent else 'long'}"


def configuration(vendor: MockVendor, directory: Path) -> dict[str, Any]:
    credential = directory / "credential"
    credential.write_text(CREDENTIAL)
    providers = {
        name: {**upstream.provider, "base_url": vendor.url + upstream.prefix, "credentials": [f"file:{credential}"]}
        for name, upstream in ALL_UPSTREAMS.items()
    }
    deployments: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for name, upstream in ALL_UPSTREAMS.items():
        good = {"provider": name, "model": upstream.model, "price": PRICE, "timeouts": PATIENT}
        deployments[f"{name}-good"] = good
        for is_silent in (False, True):
            pool = faulty_deployments(name, is_silent=is_silent)
            timeouts = IMPATIENT if is_silent else PATIENT
            deployments |= {each: {**good, "model": faulty_model(name), "timeouts": timeouts} for each in pool}
            for strategy in STRATEGY_NAMES:
                models[model_name(strategy, name, is_silent=is_silent)] = {
                    "deployments": pool,
                    "fallbacks": [f"{NEXT[name]}-good"],
                    "strategy": strategy,
                }
    return {
        # The state of a circuit would depend on the faults before. What counts as a failure is checked all the same.
        "defaults": {"retries": 0, "breaker": "off", "pool": {"max_wait_s": 0}},
        "providers": providers,
        "deployments": deployments,
        "models": models,
        "logging": {"level": "error"},
    }


class Matrix(Struct):
    gateway: GatewayProcess
    vendor: MockVendor
    records: Records
    failures: Counter[str] = field(default_factory=Counter)
    """How many attempts have counted against the deployments of each upstream so far."""


@contextmanager
def running_matrix(directory: Path) -> Iterator[Matrix]:
    with (
        MockVendor(api_key=CREDENTIAL) as vendor,
        GatewayProcess(configuration(vendor, directory), directory) as gateway,
        Records(gateway.port) as records,
    ):
        yield Matrix(gateway, vendor, records)
