"""`intellirouter discover`: which models the providers have."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from intellirouter.cli.configuration import OptionalConfigFile, problems_listed
from intellirouter.cli.exits import ExitStatus, Failure
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import emit, grid
from intellirouter.cli.session import Output

if TYPE_CHECKING:
    from intellirouter import roles
else:
    roles = LazyModule("intellirouter.roles")


def discover(file: OptionalConfigFile = None, output: Output = "table") -> None:
    """Ask every configured provider which models it has. No gateway needs to run.

    Without a file, the providers are those whose keys are in the environment and the model servers on this machine.
    A model is called PROVIDER/MODEL where the provider says `models: "*"`, or named under deployments.
    """
    with problems_listed():
        found = roles.list_models(file)
    emit({"providers": found}, output, lambda: _blocks(found))
    if found and all(each.problem is not None for each in found):
        raise Failure("no provider listed its models", status=ExitStatus.FAILURE)


def _blocks(found: "list[roles.ProviderModels]") -> Iterator[Any]:
    if not found:
        yield "no providers: set a provider's key in the environment, or start a model server"
        return
    rows = [(each.provider, model.id, model.context_tokens) for each in found for model in each.models]
    if rows:
        yield grid(("PROVIDER", "MODEL", "CONTEXT"), rows, right=("CONTEXT",))
    for each in found:
        if each.problem is not None:
            yield f"{each.provider}: {each.problem}"
