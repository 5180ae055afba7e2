"""Opens the credential store of a configuration, and resolves `store:NAME` references with it."""

from collections.abc import Mapping
from pathlib import Path

from intellirouter.config import SecretReferenceError, StoredSecretLookup, load_config, nearest, process_environment
from intellirouter.store import KEY_VARIABLE, CredentialError, CredentialStore


def open_credentials(path: Path | None, environ: Mapping[str, str] | None = None) -> CredentialStore:
    """Return the credential store of this configuration. Raises `ConfigError`, `CredentialError`.

    If `path` is None, the configuration consists of the environment. `environ` defaults to that of the process.
    """
    variables = process_environment() if environ is None else environ
    config = load_config(path, environ=variables).config
    try:
        return CredentialStore(config.store.url, variables.get(KEY_VARIABLE))
    except ValueError as error:  # the configured store does not support credentials
        raise CredentialError(str(error)) from None


def stored_secrets(url: str, environ: Mapping[str, str] | None = None) -> StoredSecretLookup:
    """Return a function that looks up `store:NAME` in the database at `url`. Its first call opens the database."""
    variables = process_environment() if environ is None else environ

    def find(name: str) -> str:
        try:
            store = CredentialStore(url, variables.get(KEY_VARIABLE))
            try:
                found = store.get(name)
                known = [] if found is not None else [each.name for each in store.names()]
            finally:
                store.close()
        except CredentialError as error:
            raise SecretReferenceError(error.message, error.hint) from None
        except ValueError as error:
            raise SecretReferenceError(str(error), "") from None
        if found is None:
            near = nearest(name, known)
            command = f"run `intellirouter credentials set {name}`"
            hint = f"To store it, {command}." if near is None else f"Did you mean `store:{near}`? If not, {command}."
            raise SecretReferenceError(f"There is no stored credential `{name}`.", hint)
        return found

    return find
