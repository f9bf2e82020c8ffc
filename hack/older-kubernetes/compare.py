"""Compares Kubernetes objects, which are read from files with objects and lists in JSON.

usage: compare.py kept WANTED LIVE      each field of the objects of WANTED is the same in LIVE
       compare.py same BEFORE AFTER     the objects are the same, apart from what API server and controllers write

Prints each difference with the path of the field, and exits with 1 if there is one.
"""

import json
import sys


def items(text):
    """The objects of a stream of JSON."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        yield from value["items"] if value["kind"].endswith("List") else [value]


def objects(file):
    """The objects of a file, by kind, namespace and name."""
    named = {}
    with open(file, encoding="utf-8") as text:
        for item in items(text.read()):
            metadata = item["metadata"]
            name = "/".join(filter(None, [metadata.get("namespace"), metadata["name"]]))
            named[f"{item['kind']} {name}"] = item
    return named


def lacks(wanted, live, path):
    """The paths of the wanted fields that are missing or have another value."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            # In a manifest, null is no value. The API server stores no value that is empty.
            if value is None or (key not in live and value in ({}, [], "")):
                continue
            if key not in live:
                yield f"{path}.{key} is missing"
            else:
                yield from lacks(value, live[key], f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for index, value in enumerate(wanted):
            yield from lacks(value, live[index], f"{path}[{index}]")
    elif wanted != live:
        yield f"{path} is {json.dumps(live)} instead of {json.dumps(wanted)}"


def without_bookkeeping(item):
    """An object without what the API server and its controllers write by themselves."""
    kept = {key: value for key, value in item.items() if key != "status"}
    ours = ("resourceVersion", "managedFields")
    kept["metadata"] = {k: v for k, v in item["metadata"].items() if k not in ours}
    return kept


def main():
    how, first, second = sys.argv[1:]
    first, second = objects(first), objects(second)
    if not first:
        print("there is no object")
        sys.exit(1)
    found = []
    for name, item in first.items():
        if name not in second:
            found.append(f"{name} does not exist")
        elif how == "kept":
            found.extend(lacks(item, second[name], name))
        else:
            one, other = without_bookkeeping(item), without_bookkeeping(second[name])
            found.extend(lacks(one, other, name))
            found.extend(lacks(other, one, name))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


main()
