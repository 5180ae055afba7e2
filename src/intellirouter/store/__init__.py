"""The database: the ledger and the exchange log, behind a journal that never makes a request wait.

Door: `ExchangeStore` (start, append, flush, stop, health, reader, objects), `LogReader` for reading only, `ObjectStore`
for objects that clients store, `CredentialStore` for encrypted credentials, `ReasoningMemories`, which is in the
process only, `check_store_url` and `database_path`.
Settled exchanges go to an append-only spool at once, and to the database soon after, exactly once. This room must not
know what an exchange means, who may read it, or that HTTP exists. DESIGN.md describes the states and the reasons.
"""

from intellirouter.store.credentials import KEY_VARIABLE, CredentialEntry, CredentialStore
from intellirouter.store.exchange_store import ExchangeStore
from intellirouter.store.health import StoreHealth, StoreUnavailable
from intellirouter.store.log_reader import LogReader
from intellirouter.store.master_key import CredentialError
from intellirouter.store.objects import ObjectStore
from intellirouter.store.query_types import LedgerTotal, LogFilter, LogPage, LogRow
from intellirouter.store.reasoning_memory import ReasoningMemories
from intellirouter.store.spool import SpoolLimits
from intellirouter.store.store_url import check_store_url, database_path
from intellirouter.store.stored_object import MAX_OBJECTS_PER_PAGE, StoredObject, part_id

__all__ = [
    "KEY_VARIABLE",
    "MAX_OBJECTS_PER_PAGE",
    "CredentialEntry",
    "CredentialError",
    "CredentialStore",
    "ExchangeStore",
    "LedgerTotal",
    "LogFilter",
    "LogPage",
    "LogReader",
    "LogRow",
    "ObjectStore",
    "ReasoningMemories",
    "SpoolLimits",
    "StoreHealth",
    "StoreUnavailable",
    "StoredObject",
    "check_store_url",
    "database_path",
    "part_id",
]
