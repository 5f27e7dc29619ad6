#!/usr/bin/env python3
"""Cuts a Google discovery document down to the types that the simulator answers with.

usage: trim.py container.v1.json Type... > models/google/<service>.json
"""
import json
import sys

KEPT = ("type", "$ref", "items", "additionalProperties", "enum", "format", "properties")


def kept(schema):
    if isinstance(schema, list):
        return [kept(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    cut = {}
    for key in KEPT:
        if key == "properties" and key in schema:
            cut[key] = {name: kept(value) for name, value in sorted(schema[key].items())}
        elif key in schema:
            cut[key] = kept(schema[key])
    return cut


def references(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    waiting, schemas = list(sys.argv[2:]), {}
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = kept(document["schemas"][name])
            waiting.extend(references(schemas[name]))
    lines = [f"{json.dumps(name)}: {json.dumps(schemas[name])}" for name in sorted(schemas)]
    print("{" + json.dumps("revision") + ": " + json.dumps(document.get("revision")) + ', "schemas": {')
    print(",\n".join(lines))
    print("}}")


if __name__ == "__main__":
    main()
