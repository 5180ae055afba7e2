"""Configuration: one typed tree, read in layers with provenance, compiled into a frozen Runtime.

    load_config(path, environ=…, overrides=…) -> Loaded        discovered < file < environment < command line
    compile_config(loaded.config, vendors=…)  -> Runtime       secrets resolved, names checked, limits inherited
    discover(environ, probes, vendors, …)     -> Discovery     a configuration from what the machine offers

Mistakes are collected and raised together as `ConfigError`. Environment variables are read here and nowhere else. This
room knows no vendor: the rows are handed in.
"""

from intellirouter.config.compile import compile_config, is_loopback
from intellirouter.config.discovery import Discovery, ProbeResult, ProbeTarget, discover, probe_targets
from intellirouter.config.listing import Setting, show
from intellirouter.config.load import Loaded, load_config, process_environment
from intellirouter.config.problems import ConfigError, Problem
from intellirouter.config.reference import SettingDoc, setting_docs
from intellirouter.config.references import StoredSecrets, UnresolvedError
from intellirouter.config.render import render_config
from intellirouter.config.runtime import (
    BackoffSpec,
    BatchesSpec,
    DeploymentSpec,
    HostSpec,
    KeySpec,
    ModelSpec,
    ProviderSpec,
    Runtime,
    ServerSpec,
    StoreSpec,
)
from intellirouter.config.schema import Config, config_schema

__all__ = [
    "BackoffSpec",
    "BatchesSpec",
    "Config",
    "ConfigError",
    "DeploymentSpec",
    "Discovery",
    "HostSpec",
    "KeySpec",
    "Loaded",
    "ModelSpec",
    "ProbeResult",
    "ProbeTarget",
    "Problem",
    "ProviderSpec",
    "Runtime",
    "ServerSpec",
    "Setting",
    "SettingDoc",
    "StoreSpec",
    "StoredSecrets",
    "UnresolvedError",
    "compile_config",
    "config_schema",
    "discover",
    "is_loopback",
    "load_config",
    "probe_targets",
    "process_environment",
    "render_config",
    "setting_docs",
    "show",
]
