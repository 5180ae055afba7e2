"""Names and addresses of models: below the Generative Language API's root, or Vertex AI's."""

from intellirouter.core import Deployment


def resource_of(model: str) -> str:
    """Return the model's resource name below the API's root: `models/NAME`, `tunedModels/NAME`."""
    if "/models/" in model:
        model = model.rpartition("/models/")[2]
    name = model.removeprefix("models/")
    return name if name.startswith("tunedModels/") else f"models/{name}"


def is_vertex(deployment: Deployment) -> bool:
    """Return whether this is Vertex AI, where some requests have another form."""
    url = deployment.address.base_url
    return "aiplatform.googleapis.com" in url or "/publishers/" in url
