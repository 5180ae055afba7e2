"""`intellirouter explain`: who would serve this request, and why."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intellirouter.cli.output import cell, emit, grid
from intellirouter.cli.session import Session, gateway_command

if TYPE_CHECKING:
    from intellirouter import client


@gateway_command
def explain(
    session: Session,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What would be asked.")],
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="The model to ask for.")] = "auto",
) -> None:
    """Show which deployments would serve a request, in which order and why. No model is called."""
    with session.gateway() as gateway:
        explanation = gateway.explain(prompt, model)
    emit(explanation.raw, session.output, lambda: _blocks(explanation))


def _blocks(explanation: "client.Explanation") -> Iterator[Any]:
    decision = explanation.decision
    yield f"{explanation.model}: {decision.reason} (strategy {decision.strategy})"
    needs = f", needs {cell(explanation.needs)}" if explanation.needs else ""
    yield f"about {cell(explanation.input_tokens_estimate)} input tokens{needs}"
    yield ""
    places = {name: place for place, name in enumerate(decision.order, start=1)}
    ranked = sorted(decision.candidates, key=lambda each: places.get(each.deployment, len(places) + 1))
    rows = [
        (places.get(each.deployment), each.deployment, each.upstream_model, each.verdict, each.score, each.reason)
        for each in ranked
    ]
    yield grid(("PLACE", "DEPLOYMENT", "MODEL", "VERDICT", "SCORE", "REASON"), rows, right=("PLACE", "SCORE"))
