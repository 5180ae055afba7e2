"""`intellirouter discover`: list the models that providers offer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from intellirouter.cli.config_options import OptionalConfigFile, chosen_file, report_config_errors, takes_config_file
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import OutputOption, make_table, print_data

if TYPE_CHECKING:
    from intellirouter import roles
else:
    roles = LazyModule("intellirouter.roles")


@takes_config_file
def discover(file: OptionalConfigFile = None, output: OutputOption = "table") -> None:
    """List the models that each provider offers. No running gateway is needed.

    Without a file, asks the providers with an API key in the environment and the model servers on this machine.
    Clients can request a listed model as PROVIDER/MODEL if the provider is configured with `models: "*"`. Otherwise,
    add it under `deployments`.
    """
    with report_config_errors():
        found = roles.list_models(chosen_file(file))
    print_data({"providers": found}, output, lambda: _blocks(found))
    if found and all(each.problem is not None for each in found):
        raise CommandError("No provider listed its models.", status=ExitStatus.FAILURE)


def _blocks(found: "list[roles.ProviderModels]") -> Iterator[Any]:
    if not found:
        yield "No providers found. Set a provider's API key in the environment, or start a model server."
        return
    rows = [(each.provider, model.id, model.context_tokens) for each in found for model in each.models]
    if rows:
        yield make_table(("PROVIDER", "MODEL", "CONTEXT"), rows, right=("CONTEXT",), optional=("CONTEXT",))
    for each in found:
        if each.problem is not None:
            yield f"{each.provider}: {each.problem}"
