#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the OpenAPI document: its structure, each schema as JSON Schema 2020-12, each reference,
that path parameters match the path, and that nothing is in it twice. Argument: the program that
prints it."""
import json
import re
import subprocess
import sys

import jsonschema

METHODS = {"get", "post", "patch", "delete"}
STRUCTURE = {
    "type": "object",
    "required": ["openapi", "info", "paths", "components", "security"],
    "properties": {
        "openapi": {"pattern": "^3\\.1\\.[0-9]+$"},
        "info": {"required": ["title", "version"]},
        "paths": {
            "minProperties": 30,
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "propertyNames": {"enum": sorted(METHODS)},
                "additionalProperties": {
                    "type": "object",
                    "required": ["operationId", "summary", "parameters", "responses", "x-gemel"],
                    "properties": {
                        "summary": {"minLength": 5},
                        "parameters": {"items": {"anyOf": [
                            {"required": ["$ref"]},
                            {"required": ["name", "in", "required", "description", "schema"],
                             "properties": {"in": {"enum": ["path", "query"]}}}]}},
                        "responses": {"required": ["2XX", "default"]},
                        "requestBody": {"required": ["content"]},
                    },
                },
            },
        },
    },
}


def unique(pairs):
    keys = [k for k, _ in pairs]
    assert len(keys) == len(set(keys)), f"twice in one object: {keys}"
    return dict(pairs)


def walk(node):
    if isinstance(node, dict):
        yield node
        for v in node.values():
            yield from walk(v)
    elif isinstance(node, list):
        for v in node:
            yield from walk(v)


def main():
    text = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
    doc = json.loads(text, object_pairs_hook=unique)
    jsonschema.Draft202012Validator(STRUCTURE).validate(doc)
    ids = [op["operationId"] for item in doc["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids)), "an operationId is there twice"
    for node in walk(doc):
        ref = node.get("$ref")
        if isinstance(ref, str):
            at = doc
            for part in ref.removeprefix("#/").split("/"):
                assert part in at, f"{ref} leads nowhere"
                at = at[part]
        if isinstance(node.get("schema"), dict):
            jsonschema.Draft202012Validator.check_schema(node["schema"])
    for name, schema in doc["components"]["schemas"].items():
        assert schema is not None, f"schema {name} is empty"
        jsonschema.Draft202012Validator.check_schema(schema)
    for path, item in doc["paths"].items():
        in_path = set(re.findall(r"{([a-z_]+)}", path))
        for op in item.values():
            named = {p["name"] for p in op["parameters"] if p.get("in") == "path"}
            assert named == in_path, f"{path}: {named} is not {in_path}"
            assert all(p["required"] for p in op["parameters"] if p.get("in") == "path")
    # The validator of bodies refuses what it must: the document can be used to test.
    login = doc["paths"]["/v1/sessions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    check = jsonschema.Draft202012Validator(login)
    assert check.is_valid({"account": "ann", "password": "x"})
    assert not check.is_valid({"account": "ann"})
    assert not check.is_valid({"account": "../x", "password": "x"})
    assert not check.is_valid({"account": "ann", "password": "x", "more": 1})
    print(f"{len(ids)} operations on {len(doc['paths'])} paths")


main()
