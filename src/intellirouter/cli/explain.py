"""`intellirouter explain` and `intellirouter route explain`: show how a request would be routed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intellirouter.cli.attempt_options import limiting_attempts
from intellirouter.cli.command_group import CommandGroup
from intellirouter.cli.gateway_command import (
    DEFAULT_MODEL,
    GatewayOptions,
    ModelOption,
    gateway_command,
    noting_default_model,
)
from intellirouter.cli.output import format_count, format_value, make_table, print_data

if TYPE_CHECKING:
    from intellirouter import client


def route_commands() -> typer.Typer:
    group = CommandGroup(help="Show how requests are routed.")
    group.command("explain")(explain)
    return group


@gateway_command
@limiting_attempts
def explain(
    options: GatewayOptions,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Prompt of the request to explain.")],
    model: ModelOption = None,
    limits: Any = None,
) -> None:
    """Show which deployments would serve a request, and why.

    Lists every candidate with its rank, score and reason. No model is called.
    """
    with options.connect() as gateway, noting_default_model(model):
        explanation = gateway.explain(prompt, model or DEFAULT_MODEL, limits=limits)
        print_data(explanation.raw, options.output, lambda: _blocks(explanation))


def _blocks(explanation: "client.Explanation") -> Iterator[Any]:
    decision = explanation.decision
    yield f"{explanation.model}: {decision.reason} (strategy {decision.strategy})"
    needs = f"; requires {format_value(explanation.needs)}" if explanation.needs else ""
    yield f"Estimated input: {format_value(explanation.input_tokens_estimate)} tokens{needs}"
    yield from _hedging(explanation)
    if failures := _after_failures(explanation):
        yield failures
    if explanation.continuation == "prefill":
        yield "If a stream breaks off: another deployment writes the rest"
    if explanation.degradation:
        yield f"If all of these fail: {', then '.join(map(_step, explanation.degradation))}"
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


def _hedging(explanation: "client.Explanation") -> Iterator[str]:
    """Yield when a second deployment is called, if the model has hedging."""
    if (hedging := explanation.hedging) is None:
        return
    after_s = hedging.get("after_s")
    delay = "the 95th percentile of its times to the first content" if after_s is None else f"{after_s:g} s"
    tools = ", also requests with tools" if hedging.get("allows_tools") else ""
    yield f"Hedging: if the first one is silent for {delay} (at most {hedging.get('max_share'):.0%} of requests{tools})"


def _step(step: dict[str, Any]) -> str:
    """Return a step of the degradation ladder in words: `model small (a, b), shortened to about 4000 tokens`."""
    label, names = step["step"], step["deployments"]
    if "stale_s" in step:
        return f"a stored answer that has expired at most {step['stale_s']:g} s ago"
    if "message" in step:
        return "a refusal"
    model = label.removesuffix("shorten").removesuffix(", ")
    size = f"shortened to about {step['max_input_tokens']} tokens" if "max_input_tokens" in step else ""
    return ", ".join(filter(None, (f"{model} ({', '.join(names)})" if model else "", size)))


def _after_failures(explanation: "client.Explanation") -> str:
    """Return what happens when a deployment fails. Empty for a gateway that does not report it."""
    retries, pool_size = explanation.retries, explanation.decision.pool_size
    if retries is None:
        return ""
    later = explanation.decision.order[pool_size:]
    verdicts = {each.deployment: each.verdict for each in explanation.decision.candidates}
    failing = sum(verdicts.get(name) == "eligible" for name in later)
    steps = []
    if retries and pool_size:
        steps.append(f"{retries} {'retry' if retries == 1 else 'retries'} with back-off")
    if pool_size > 1:
        steps.insert(1 if explanation.retry_order == "same_first" else 0, "the next deployment at once")
    if len(later) > failing:
        steps.append(format_count(len(later) - failing, "fallback"))
    if failing:
        steps.append(f"{format_count(failing, 'deployment')} that {'is' if failing == 1 else 'are'} unavailable")
    return f"After a failure: {', then '.join(steps) or 'no further attempt'}"
