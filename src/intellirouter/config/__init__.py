"""Configuration: one typed tree of settings, read in layers with the origin of each value, compiled into a Runtime.

    load_config(path, environ=…, overrides=…) -> LoadedConfig     discovered < file < environment < command line
    compile_config(loaded.config, …)          -> Runtime          secrets resolved, names checked, defaults inherited
    discover(environ, probes, vendors, …)     -> Discovery        a configuration from what the machine offers

All problems are collected and raised together as `ConfigError`. Environment variables are read here and nowhere else.
This room knows no vendor and no strategy: the caller passes them in.
"""

from intellirouter.config.compile import compile_config, compile_partly
from intellirouter.config.default_file import DEFAULT_FILE, file_or_default
from intellirouter.config.discovery import Discovery, ProbeResult, ProbeTarget, discover, probe_targets
from intellirouter.config.effective import EffectiveSetting, effective_settings
from intellirouter.config.listen_address import ListenAddress, listen_address
from intellirouter.config.load import InvalidConfig, LoadedConfig, load_config, process_environment
from intellirouter.config.problems import ConfigError, ConfigProblem, nearest
from intellirouter.config.render import render_config
from intellirouter.config.resource_ports import resource_port
from intellirouter.config.runtime import (
    BackoffSpec,
    BatchesSpec,
    CacheMode,
    CacheSpec,
    DeploymentSpec,
    HostSpec,
    KeySpec,
    ModelSpec,
    ProviderSpec,
    ReasoningMemorySpec,
    RedisSpec,
    Runtime,
    SemanticSpec,
    ServerSpec,
    StoreSpec,
    is_loopback,
)
from intellirouter.config.schema import Config, config_schema
from intellirouter.config.secret_references import (
    SecretReferenceError,
    SecretSources,
    StoredSecretLookup,
    clean_secret,
    reference_source,
)
from intellirouter.config.settings_reference import SettingDoc, setting_docs
from intellirouter.config.tree import format_path
from intellirouter.config.value_types import STORED_PATTERN

__all__ = [
    "DEFAULT_FILE",
    "STORED_PATTERN",
    "BackoffSpec",
    "BatchesSpec",
    "CacheMode",
    "CacheSpec",
    "Config",
    "ConfigError",
    "ConfigProblem",
    "DeploymentSpec",
    "Discovery",
    "EffectiveSetting",
    "HostSpec",
    "InvalidConfig",
    "KeySpec",
    "ListenAddress",
    "LoadedConfig",
    "ModelSpec",
    "ProbeResult",
    "ProbeTarget",
    "ProviderSpec",
    "ReasoningMemorySpec",
    "RedisSpec",
    "Runtime",
    "SecretReferenceError",
    "SecretSources",
    "SemanticSpec",
    "ServerSpec",
    "SettingDoc",
    "StoreSpec",
    "StoredSecretLookup",
    "clean_secret",
    "compile_config",
    "compile_partly",
    "config_schema",
    "discover",
    "effective_settings",
    "file_or_default",
    "format_path",
    "is_loopback",
    "listen_address",
    "load_config",
    "nearest",
    "probe_targets",
    "process_environment",
    "reference_source",
    "render_config",
    "resource_port",
    "setting_docs",
]
