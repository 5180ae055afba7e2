"""Resource names of models in the Generative Language API and Vertex AI."""

from intellirouter.core import Deployment


def resource_name(model: str) -> str:
    """Return the resource name of a model: `models/NAME` or `tunedModels/NAME`."""
    if "/models/" in model:
        model = model.rpartition("/models/")[2]
    name = model.removeprefix("models/")
    return name if name.startswith("tunedModels/") else f"models/{name}"


def is_vertex(deployment: Deployment) -> bool:
    """Return whether the deployment is on Vertex AI, where some requests have another format."""
    url = deployment.address.base_url
    return "aiplatform.googleapis.com" in url or "/publishers/" in url
