#!/usr/bin/env python3
"""Cuts Microsoft's OpenAPI documents (MIT) down to what the simulator's answers are checked against.

usage: trim_azure.py aks.json acr.json arc.json > azure.json
"""
import json
import sys
from pathlib import Path

ANSWERS = {
    "aks": ["ManagedClusterListResult", "AgentPoolListResult", "MaintenanceConfigurationListResult", "CredentialResults"],
    "acr": ["RegistryListResult", "ReplicationListResult", "WebhookListResult"],
    "arc": ["ConnectedClusterList"],
}
KEPT = {"type", "properties", "items", "enum", "required", "allOf", "$ref", "additionalProperties"}


def cut(schema, service, wanted):
    out = {}
    for key, value in schema.items():
        if key == "$ref":
            name = f"{service}/{value.rsplit('/', 1)[1]}"
            wanted.append(name)
            out[key] = name
        elif key == "properties":
            out[key] = {name: cut(one, service, wanted) for name, one in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = cut(value, service, wanted)
        elif key == "allOf":
            out[key] = [cut(one, service, wanted) for one in value]
        # A set that may grow is no set.
        elif key == "enum" and schema.get("x-ms-enum", {}).get("modelAsString"):
            continue
        elif key in KEPT:
            out[key] = value
    return out


documents = {Path(name).stem: json.loads(Path(name).read_text())["definitions"] for name in sys.argv[1:]}
wanted = [f"{service}/{name}" for service, names in ANSWERS.items() for name in names]
found = {}
while wanted:
    name = wanted.pop()
    if name not in found:
        service, own = name.split("/", 1)
        found[name] = {}
        found[name] = cut(documents[service][own], service, wanted)
print(json.dumps(dict(sorted(found.items())), indent=1))
