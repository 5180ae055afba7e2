"""`intellirouter explain` and `intellirouter route explain`: show how a request would be routed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intellirouter.cli.command_group import CommandGroup
from intellirouter.cli.gateway_command import GatewayOptions, gateway_command
from intellirouter.cli.output import format_count, format_value, make_table, print_data

if TYPE_CHECKING:
    from intellirouter import client


def route_commands() -> typer.Typer:
    group = CommandGroup(help="Show how requests are routed.")
    group.command("explain")(explain)
    return group


@gateway_command
def explain(
    options: GatewayOptions,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Prompt of the request to explain.")],
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="Model to request.")] = "auto",
) -> None:
    """Show which deployments would serve a request, and why.

    Lists every candidate with its rank, score and reason. No model is called.
    """
    with options.connect() as gateway:
        explanation = gateway.explain(prompt, model)
    print_data(explanation.raw, options.output, lambda: _blocks(explanation))


def _blocks(explanation: "client.Explanation") -> Iterator[Any]:
    decision = explanation.decision
    yield f"{explanation.model}: {decision.reason} (strategy {decision.strategy})"
    needs = f"; requires {format_value(explanation.needs)}" if explanation.needs else ""
    yield f"Estimated input: {format_value(explanation.input_tokens_estimate)} tokens{needs}"
    if failures := _after_failures(explanation):
        yield failures
    yield ""
    ranks = {name: rank for rank, name in enumerate(decision.order, start=1)}
    candidates = sorted(decision.candidates, key=lambda each: ranks.get(each.deployment, len(ranks) + 1))
    rows = [
        (ranks.get(each.deployment), each.deployment, each.upstream_model, each.verdict, each.score, each.reason)
        for each in candidates
    ]
    yield make_table(
        ("RANK", "DEPLOYMENT", "MODEL", "VERDICT", "SCORE", "REASON"),
        rows,
        right=("RANK", "SCORE"),
        wrapped=("REASON",),
        optional=("SCORE", "MODEL", "VERDICT", "REASON"),
    )


def _after_failures(explanation: "client.Explanation") -> str:
    """Return what happens when a deployment fails. Empty for a gateway that does not report it."""
    retries, pool_size = explanation.retries, explanation.decision.pool_size
    if retries is None:
        return ""
    fallbacks = len(explanation.decision.order) - pool_size
    steps = []
    if retries and pool_size:
        steps.append(f"{retries} {'retry' if retries == 1 else 'retries'} with back-off")
    if pool_size > 1:
        steps.insert(1 if explanation.retry_order == "same_first" else 0, "the next deployment at once")
    if fallbacks:
        steps.append(format_count(fallbacks, "fallback"))
    return f"After a failure: {', then '.join(steps) or 'no further attempt'}"
