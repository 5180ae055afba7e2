"""`intellirouter models`: what `--model` accepts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intellirouter.cli.output import UNKNOWN, emit, grid
from intellirouter.cli.session import Session, gateway_command

if TYPE_CHECKING:
    from intellirouter import client


@gateway_command
def models(
    session: Session,
    include_metrics: Annotated[
        bool, typer.Option("--include-metrics", help="Add what each deployment has done lately.")
    ] = False,
) -> None:
    """List the models, deployments and wildcards that this key may ask for. Prices are USD per million tokens."""
    with session.gateway() as gateway:
        found = gateway.models()
    rows = [_shown(model, include_metrics) for model in found]
    emit({"models": rows, "total": len(rows)}, session.output, lambda: _blocks(found, include_metrics))


def _shown(model: "client.ModelInfo", has_metrics: bool) -> dict[str, Any]:
    return {name: value for name, value in model.raw.items() if has_metrics or name != "metrics"}


def _blocks(found: list["client.ModelInfo"], has_metrics: bool) -> Iterator[Any]:
    if not found:
        yield "no models: give the gateway a provider, or this key more models"
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
    yield grid(headings, rows, right=("CONTEXT", "IN $/1M", "OUT $/1M"))
    if has_metrics:
        yield ""
        yield _metrics(found)


def _price(model: "client.ModelInfo", bucket: str) -> str | None:
    price = (model.price or {}).get(bucket)
    if price is None:
        return None
    dollars, point, cents = str(price).partition(".")
    return f"{dollars}{point}{cents.rstrip('0').ljust(2, '0')}" if point else f"{dollars}.00"


def _metrics(found: list["client.ModelInfo"]) -> Any:
    """One row a deployment: several models may share one, and its numbers are its own."""
    pairs = (pair for model in found for pair in (model.metrics or {}).items())
    seen = {name: numbers for name, numbers in pairs if isinstance(numbers, dict)}
    columns = list(dict.fromkeys(key for numbers in seen.values() for key in numbers))
    headings = ("DEPLOYMENT", *(key.upper().replace("_", " ") for key in columns))
    rows = [(name, *(numbers.get(key) for key in columns)) for name, numbers in sorted(seen.items())]
    return grid(headings, rows, right=headings[1:]) if rows else f"metrics: {UNKNOWN}"
