#!/usr/bin/env python3
"""Cuts a botocore service-2.json down to the operations that the simulator answers.

usage: trim.py service-2.json Operation... > models/<service>.json
"""
import json
import sys


def references(shape):
    for member in shape.get("members", {}).values():
        yield member["shape"]
    for part in ("member", "key", "value"):
        if part in shape:
            yield shape[part]["shape"]


def without_texts(part):
    if isinstance(part, dict):
        return {key: without_texts(value) for key, value in part.items() if not (key == "documentation" and isinstance(value, str))}
    return [without_texts(item) for item in part] if isinstance(part, list) else part


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        model = json.load(file)
    operations = {name: model["operations"][name] for name in sys.argv[2:]}
    waiting = [op[end]["shape"] for op in operations.values() for end in ("input", "output") if end in op]
    waiting += [error["shape"] for op in operations.values() for error in op.get("errors", [])]
    shapes = {}
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            waiting.extend(references(shapes[name]))
    trimmed = {"metadata": model["metadata"], "operations": operations, "shapes": dict(sorted(shapes.items()))}
    json.dump(without_texts(trimmed), sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
