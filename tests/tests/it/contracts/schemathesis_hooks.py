"""What schemathesis must be told of the API."""

import schemathesis
import yaml


@schemathesis.deserializer("text/yaml", "application/yaml")
def documents(context, response):
    """Policies and templates are streams of documents, and a text to whoever applies them."""
    for _ in yaml.safe_load_all(response.text):
        pass
    return response.text
