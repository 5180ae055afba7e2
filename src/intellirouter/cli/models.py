"""`intellirouter models`: list the models that a gateway serves."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intellirouter.cli.gateway_command import GatewayOptions, gateway_command
from intellirouter.cli.output import UNKNOWN, make_table, print_data

if TYPE_CHECKING:
    from intellirouter import client


@gateway_command
def models(
    options: GatewayOptions,
    include_metrics: Annotated[
        bool, typer.Option("--include-metrics", help="Show recent metrics of each deployment.")
    ] = False,
) -> None:
    """List the models that your key can use.

    Deployments and wildcards are listed too. Prices are in US dollars per million tokens.
    """
    with options.connect() as gateway:
        found = gateway.models()
    rows = [_data(model, include_metrics) for model in found]
    print_data({"models": rows, "total": len(rows)}, options.output, lambda: _blocks(found, include_metrics))


def _data(model: "client.ModelInfo", has_metrics: bool) -> dict[str, Any]:
    return {name: value for name, value in model.raw.items() if has_metrics or name != "metrics"}


def _blocks(found: list["client.ModelInfo"], has_metrics: bool) -> Iterator[Any]:
    if not found:
        yield "No models are available. Add a provider to the gateway's configuration, or allow this key more models."
        return
    headings = ("NAME", "KIND", "STATUS", "STRATEGY", "CONTEXT", "IN $/1M", "OUT $/1M", "DEPLOYMENTS")
    rows = [
        (
            model.name,
            model.kind,
            model.status,
            model.strategy,
            model.context_tokens,
            _price(model, "input_per_1m_usd"),
            _price(model, "output_per_1m_usd"),
            model.deployments,
        )
        for model in found
    ]
    yield make_table(
        headings,
        rows,
        right=("CONTEXT", "IN $/1M", "OUT $/1M"),
        wrapped=("DEPLOYMENTS",),
        optional=("STRATEGY", "KIND", "OUT $/1M", "IN $/1M", "CONTEXT", "DEPLOYMENTS", "STATUS"),
    )
    yield from _unavailable(found)
    if has_metrics:
        yield ""
        yield _metrics_table(found)


def _unavailable(found: list["client.ModelInfo"]) -> Iterator[str]:
    """Yield why local models are unavailable, each once."""
    members = {name: member for model in found for name, member in (model.raw.get("members") or {}).items()}
    for name, member in members.items():
        if reason := member.get("unavailable"):
            yield f"{name} is unavailable: {reason}"


def _price(model: "client.ModelInfo", bucket: str) -> str | None:
    price = (model.price or {}).get(bucket)
    if price is None:
        return None
    dollars, point, cents = str(price).partition(".")
    return f"{dollars}{point}{cents.rstrip('0').ljust(2, '0')}" if point else f"{dollars}.00"


def _metrics_table(found: list["client.ModelInfo"]) -> Any:
    """Return one row per deployment, also where several models share a deployment."""
    pairs = (pair for model in found for pair in (model.metrics or {}).items())
    by_deployment = {name: metrics for name, metrics in pairs if isinstance(metrics, dict)}
    columns = list(dict.fromkeys(key for metrics in by_deployment.values() for key in metrics))
    headings = ("DEPLOYMENT", *(key.upper().replace("_", " ") for key in columns))
    rows = [(name, *(metrics.get(key) for key in columns)) for name, metrics in sorted(by_deployment.items())]
    if not rows:
        return f"metrics: {UNKNOWN}"
    return make_table(headings, rows, right=headings[1:], optional=headings[:0:-1])
