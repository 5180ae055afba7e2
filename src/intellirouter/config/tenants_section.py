"""The settings of tenants and of the keys of clients."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from intellirouter.config.cache_section import CacheMode
from intellirouter.config.concurrency_section import PRIORITY_TEXT
from intellirouter.config.section import Section
from intellirouter.config.value_types import Count, KeyRef, Name, Text, Usd
from intellirouter.core import Priority


class Budget(Section):
    """Spending limit of a tenant. Not enforced in this version."""

    usd: Usd = Field(description="Amount per window, in US dollars.")
    window: Literal["hour", "day", "week", "month", "quarter", "year"] = Field(
        default="month", description="Calendar window of the budget."
    )
    alert: float = Field(default=0.8, ge=0, le=100, description="Share of the amount at which an alert is raised.")
    soft: float = Field(
        default=1.0, ge=0, le=100, description="Share of the amount from which cheaper models are preferred."
    )
    hard: float = Field(default=1.2, ge=0, le=100, description="Share of the amount from which requests are rejected.")


class Tenant(Section):
    """An owner of keys and budgets. The tenant `default` always exists."""

    tier: Text | None = Field(
        default=None,
        description="Service tier, for example free, pro, expert or master. Not enforced in this version.",
    )
    budget: Budget | None = Field(default=None, description="Spending limit. Not enforced in this version.")
    cache: CacheMode | None = Field(
        default=None, description="Overrides defaults.cache. If the model has another setting, off wins."
    )
    priority: Priority = Field(default="normal", description=PRIORITY_TEXT)


class Limits(Section):
    """Rate limits of a key. Not enforced in this version."""

    requests_per_min: Count | None = Field(default=None, description="Maximum number of requests per minute.")
    requests_per_day: Count | None = Field(default=None, description="Maximum number of requests per day.")
    tokens_per_min: Count | None = Field(default=None, description="Maximum number of tokens per minute.")
    concurrency: Count | None = Field(default=None, description="Maximum number of concurrent requests.")


class Key(Section):
    """A key that clients send as `Authorization: Bearer KEY`."""

    key: KeyRef = Field(
        description="Reference to the key (env:NAME, file:PATH or store:NAME), or its SHA-256 digest: sha256: and 64 "
        "hexadecimal digits."
    )
    tenant: Name = Field(default="default", description="Name of an entry under tenants.")
    name: Text | None = Field(
        default=None,
        description="Name of the key in the request log and in batches, unique within the tenant. If not set, it is "
        "`key-` and the first 12 digits of the SHA-256 digest of the key.",
    )
    models: list[Text] = Field(
        default_factory=lambda: ["*"],
        description="Glob patterns of the models that the key may call. If not set, it may call all models.",
    )
    grants: list[Literal["admin", "requests:read"]] = Field(
        default_factory=list,
        description="Permissions in addition to calling models and reading the key's own requests: requests:read for "
        "the requests of the whole tenant, admin for everything.",
    )
    priority: Priority | None = Field(default=None, description="Overrides the priority of the tenant.")
    expires: datetime | None = Field(
        default=None,
        strict=False,
        description="Time from which the key is rejected. A time without a time zone is in UTC.",
    )
    limits: Limits | None = Field(default=None, description="Rate limits. Not enforced in this version.")
