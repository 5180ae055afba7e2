"""`intellirouter config`: check and show the configuration, and print its JSON Schema."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from intellirouter.cli.command_group import CommandGroup
from intellirouter.cli.config_options import (
    OptionalConfigFile,
    chosen_file,
    config_error,
    problem_lines,
    report_config_errors,
    takes_config_file,
)
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import (
    OutputOption,
    encode,
    format_count,
    make_table,
    print_data,
    print_line,
    print_notice,
)

if TYPE_CHECKING:
    from intellirouter import config, roles
else:
    config = LazyModule("intellirouter.config")
    roles = LazyModule("intellirouter.roles")


def config_commands() -> typer.Typer:
    group = CommandGroup(help="Check and show the configuration.")
    group.command("check")(check)
    group.command("show")(show)
    group.command("schema")(schema)
    return group


@takes_config_file
def check(
    file: OptionalConfigFile = None,
    no_secrets: Annotated[
        bool, typer.Option("--no-secrets", help="Do not resolve secrets, for example because they are elsewhere.")
    ] = False,
    output: OutputOption = "table",
) -> None:
    """Check a configuration file without starting the gateway.

    Loads the file as `serve` does, environment variables included, resolves its secrets and checks every reference.
    All problems are reported at once. Settings that have no effect in this version, and those that are valid but
    hardly intended, are reported as warnings.
    """
    path = chosen_file(file)
    if path is None:
        raise CommandError(
            "There is no intellirouter.yaml in this directory.",
            "Name the configuration file, or write one with `intellirouter init`.",
        )
    try:
        runtime = roles.check(path, resolves_secrets=not no_secrets)
    except config.ConfigError as error:
        if output == "table":
            raise config_error(error) from error
        print_line(encode({"file": path, "is_valid": False, "problems": error.problems}, output).rstrip("\n"))
        raise typer.Exit(ExitStatus.CONFIGURATION) from None
    if output != "table":
        data = {"file": path, "is_valid": True, "problems": [], "warnings": runtime.warnings}
        print_line(encode(data, output).rstrip("\n"))
        return
    for warning in runtime.warnings:
        print_notice(f"Warning: {warning}")
    counts = (
        (len(runtime.providers), "provider"),
        (len(runtime.deployments), "deployment"),
        (len(runtime.models), "model"),
        (len(runtime.keys), "key"),
    )
    print_line(f"{path} is valid: {', '.join(format_count(number, noun) for number, noun in counts)}.")


@takes_config_file
def show(
    file: OptionalConfigFile = None,
    origin: Annotated[bool, typer.Option("--origin", help="Show where each value comes from.")] = False,
    output: OutputOption = "table",
) -> None:
    """Show every setting with its effective value.

    Merges the file, environment variables and defaults as `serve` does. A note says why a setting is not in force.
    Secrets are shown as references, never as values. Problems are listed as by `check`, but the exit status is 0 if the
    settings can be shown in spite of them.
    """
    path = chosen_file(file)
    with report_config_errors():
        loaded = config.load_config(path)
    warnings = _warnings(path)
    settings = config.effective_settings(loaded, with_origin=origin, warnings=warnings)
    if origin:
        data: Any = {each.path: _with_origin(each) for each in settings}
    else:
        data = {each.path: each.value for each in settings}
        _print_variables(loaded)
    shown = {each.note for each in settings} if origin or output == "table" else set()
    for warning in warnings:
        if warning.partition(": ")[2] not in shown:
            print_notice(f"Warning: {warning}")
    print_data(data, output, lambda: [_settings_table(settings, has_origin=origin)])


def _warnings(path: Path | None) -> tuple[str, ...]:
    """Return the warnings of `check`, and print its problems: all settings can be shown in spite of them."""
    try:
        return roles.check(path).warnings
    except config.ConfigError as error:
        message, *notes = problem_lines(error)
        print_notice("\n  ".join([message, *notes]))
    try:
        return roles.check(path, resolves_secrets=False).warnings
    except config.ConfigError:
        return ()


def _print_variables(loaded: "config.LoadedConfig") -> None:
    """Print which settings come from environment variables, without `--origin`."""
    found = [f"{path} ({origin[4:]})" for path, origin in loaded.origins.items() if origin.startswith("env ")]
    if found:
        print_notice(f"Set by environment variables: {', '.join(found)}.")


def _with_origin(setting: "config.EffectiveSetting") -> dict[str, Any]:
    data = {"value": setting.value, "origin": setting.origin}
    return data | {"note": setting.note} if setting.note else data


def _settings_table(settings: "list[config.EffectiveSetting]", *, has_origin: bool) -> Any:
    """Return one row per setting. There is a column for notes if there are any."""
    columns: dict[str, list[Any]] = {
        "SETTING": [each.path for each in settings],
        "VALUE": [_exact(each.value) for each in settings],
    }
    if has_origin:
        columns["ORIGIN"] = [each.origin for each in settings]
    if any(each.note for each in settings):
        columns["NOTE"] = [each.note or " " for each in settings]
    return make_table(tuple(columns), zip(*columns.values(), strict=True))


def _exact(value: Any) -> Any:
    """Return a number as text without rounding, other values unchanged."""
    return f"{value:.15g}" if isinstance(value, float) else value


def schema(
    output: Annotated[
        Literal["json", "yaml"], typer.Option("--format", metavar="json|yaml", help="Output format.")
    ] = "json",
) -> None:
    """Print the JSON Schema of the configuration file.

    Editors and other tools can validate and complete the file with it.
    """
    print_line(encode(config.config_schema(), output).rstrip("\n"))
