"""Deployments as the catalog builds them: with the profile of their model."""

from typing import Any

from intellirouter.catalog import profile_of
from intellirouter.core import Deployment, UpstreamAddress


def build_deployment(dialect: str, vendor: str, model: str, url: str, **members: Any) -> Deployment:
    """Return a deployment that speaks one dialect. Requests get no prompt-cache marks, which no client has sent."""
    known = {
        "marks_prompt_cache": False,
        "name": f"{vendor}/{model}",
        "provider": vendor,
        "profile": profile_of((dialect,), vendor, model),
    }
    return Deployment(
        **{**known, **members},
        vendor=vendor,
        upstream_model=model,
        address=UpstreamAddress(base_url=url),
        dialects=(dialect,),
    )
