"""`intellirouter discover`: list the models that providers offer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from intellirouter.cli.config_options import OptionalConfigFile, chosen_file, report_config_errors, takes_config_file
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import OutputOption, make_table, print_data

if TYPE_CHECKING:
    from intellirouter import roles
else:
    roles = LazyModule("intellirouter.roles")


_WITHOUT_DEPLOYMENTS: Final = "No deployment has this provider, so it offers no models."
_NONE_TO_ASK: Final = "The configuration has no provider on another server that could be asked for its models."
_NONE_FOUND: Final = (
    "No other provider was found. Set a provider's API key in the environment, or start a model server."
)


@takes_config_file
def discover(file: OptionalConfigFile = None, output: OutputOption = "table") -> None:
    """List the models that each provider offers. No running gateway is needed.

    Without a file, asks the providers with an API key in the environment and the model servers on this machine.
    Clients can request a listed model as PROVIDER/MODEL if the provider is configured with `models: "*"`. Otherwise,
    add it under `deployments`. The models that the gateway itself runs are those under `deployments`.
    """
    with report_config_errors():
        path = chosen_file(file)
        found = roles.list_models(path)
    print_data({"providers": found}, output, lambda: _blocks(found, has_file=path is not None))
    asked = [each for each in found if not each.is_local]
    if asked and all(each.problem is not None for each in asked):
        raise CommandError("No provider listed its models.", status=ExitStatus.FAILURE)


def _blocks(found: "list[roles.ProviderModels]", *, has_file: bool) -> Iterator[Any]:
    rows = [(each.provider, model.id, model.context_tokens) for each in found for model in each.models]
    if rows:
        yield make_table(("PROVIDER", "MODEL", "CONTEXT"), rows, right=("CONTEXT",), optional=("CONTEXT",))
    for each in found:
        if each.problem is not None:
            yield f"{each.provider}: {each.problem}"
        elif not each.models:
            yield f"{each.provider}: {_WITHOUT_DEPLOYMENTS if each.is_local else 'The provider listed no models.'}"
    if all(each.is_local for each in found):
        yield _NONE_TO_ASK if has_file else _NONE_FOUND
