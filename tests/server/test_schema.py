"""The schema at /schema.json: it says what exists, and what the server really sends and takes is what it says."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from rawprint_server import messages
from rawprint_server.methods import METHODS
from rawprint_server.schema import document

from .test_golden import GOLDEN, golden_server

SCHEMA = json.loads(document())
# The words of JSON Schema 2020-12 that `errors` knows; others would be passed over in silence.
WORDS = {
    "$ref",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "anyOf",
    "enum",
    "const",
    "default",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "format",
    "contentEncoding",
    "prefixItems",
    "discriminator",  # OpenAPI's: JSON Schema passes over what it does not know
}
TYPES = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
BOUNDS = {
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}


def resolved(schema):
    while "$ref" in schema:
        assert set(schema) <= {"$ref", "default"}
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return schema


def errors(value, schema, place="$"):
    """Where the value is not what the schema says."""
    schema = resolved(schema)
    assert set(schema) <= WORDS, schema
    if "anyOf" in schema:
        found = [errors(value, option, place) for option in schema["anyOf"]]
        return [] if [] in found else [f"{place}: none of {len(found)}: {found}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{place}: {value!r} is none of {schema['enum']}"]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{place}: {value!r} is not {schema['const']!r}"]
    if "type" in schema and not TYPES[schema["type"]](value):
        return [f"{place}: {value!r} is no {schema['type']}"]
    wrong = [f"{place}: {word}" for word, fits in BOUNDS.items() if word in schema and not fits(value, schema[word])]
    if schema.get("format") == "date-time" and not (value.endswith("Z") and datetime.fromisoformat(value)):
        wrong.append(f"{place}: {value!r} is no time")
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        wrong += [error for at, one in enumerate(value) for error in errors(one, schema["items"], f"{place}[{at}]")]
    if isinstance(value, dict):
        wrong += [f"{place}: no {key}" for key in schema.get("required", ()) if key not in value]
        for key, one in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            wrong += errors(one, inner, f"{place}.{key}")
    return wrong


def parts(schema):
    """The schema and all that are in it."""
    yield schema
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from parts(schema[word])
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        yield from parts(inner)


ALL = [
    part
    for schema in (
        *SCHEMA["$defs"].values(),
        *SCHEMA["events"].values(),
        SCHEMA["error"],
        *(schema for call in SCHEMA["calls"].values() for schema in call.values()),
    )
    for part in parts(schema)
]


def test_it_is_served(server):
    status, headers, body = server.http(["GET /schema.json"])
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == SCHEMA
    assert (SCHEMA["$schema"], SCHEMA["title"]) == ("https://json-schema.org/draft/2020-12/schema", "rawprint.v1")


def test_it_is_a_json_schema():
    for schema in ALL:
        assert set(schema) <= WORDS
        assert "type" not in schema or schema["type"] in TYPES
        assert set(schema.get("required", ())) <= set(schema.get("properties", ()))
        assert all(isinstance(word, str) for word in schema.get("required", ()))
        if "$ref" in schema:
            assert schema["$ref"].removeprefix("#/$defs/") in SCHEMA["$defs"]
    used = {schema["$ref"].removeprefix("#/$defs/") for schema in ALL if "$ref" in schema}
    assert used == set(SCHEMA["$defs"])


def test_it_has_the_calls_and_events_that_there_are():
    assert set(SCHEMA["calls"]) == {*METHODS, "subscribe", "unsubscribe"}
    assert set(SCHEMA["events"]) == {"printer", "job", "server", "client", "log", "access"}
    assert all(set(call) == {"params", "result"} for call in SCHEMA["calls"].values())


@pytest.mark.parametrize(
    ("name", "type"),
    [("PrinterView", messages.PrinterView), ("JobView", messages.JobView), ("ServerView", messages.ServerView)],
)
def test_a_view_always_has_all_its_keys(name, type):
    assert SCHEMA["$defs"][name]["required"] == list(type.__struct_fields__)


def test_what_may_not_be_asked_for_is_not_in_it():
    schema = SCHEMA["calls"]["print"]["params"]
    good = {"printer": "Label", "data": "x", "options": {"id": "1", "copies": 2, "wait": "ended", "expires": 0.5}}
    assert errors(good, schema) == []
    assert errors({"printer": {"name": "Label"}, "data": ["x", {"flavor": "attached"}]}, schema) == []
    for options in (
        {"id": ""},
        {"id": "x" * 257},
        {"copies": 0},
        {"copies": 1001},
        {"copies": "1"},
        {"expires": 0},
        {"wait": "x"},
        {"jobName": "x" * 257},
        {"encoding": 5},
    ):
        assert errors({**good, "options": options}, schema), options
    assert errors({**good, "data": 5}, schema)
    assert errors({**good, "data": ["x"] * 10_001}, schema)
    assert errors({"id": "x"}, SCHEMA["calls"]["jobs.get"]["params"]) == []
    assert errors({}, SCHEMA["calls"]["jobs.get"]["params"])


def test_golden_files_are_what_it_says():
    """Requests that are carried out fit it, and so do all replies, with times in the place of "<time>"."""
    seen = set()
    for path in (GOLDEN / "native").glob("*.json"):
        text = path.read_text(encoding="utf-8").replace('"<time>"', '"2026-01-02T03:04:05.678Z"')
        for step in json.loads(text):
            request = step["send"].get("attached") or step["send"]
            for reply in step["replies"]:
                if "error" in reply:
                    assert errors(reply["error"], SCHEMA["error"]) == []
                    continue
                call = SCHEMA["calls"][request["call"]]
                seen.add(request["call"])
                assert errors(reply["result"], call["result"]) == [], request
                if request.get("params") and call["params"] != {"type": "null"}:  # those are passed over
                    assert errors(request["params"], call["params"]) == [], request
    admin = {call for call in SCHEMA["calls"] if call.startswith("admin.")}  # of these test_grants.py sees the results
    # One takes a job that was cut off (test_kept.py), of the other the state depends on the printer's haste (test_documents.py).
    assert seen | admin | {"jobs.resolve", "printers.test"} == set(SCHEMA["calls"])


def test_real_replies_and_events_are_what_it_says(start, label, receipt):
    """A day in short: jobs that end in every way, a printer that stops, one that cannot be reached, a drawer."""
    server = golden_server(start, label, receipt)
    kinds = set()
    with server.native() as client:

        def ask(call, **params):
            result = client.ask(call, **params)
            assert errors(result, SCHEMA["calls"][call]["result"]) == [], call
            if params:
                assert errors(params, SCHEMA["calls"][call]["params"]) == [], call
            return result

        def fail(call, code, **params):
            error = client.refusal(call, **params)
            assert error.code == code
            assert errors({"code": error.code, "message": error.message, "hint": error.hint}, SCHEMA["error"]) == []

        ask("subscribe")
        ask("server.version")
        ask("print", printer="Label", data="x\n", options={"id": "one", "wait": "ended"})
        label.set("media-empty", True)
        client.event(lambda kind, data: kind == "printer" and data["state"] == "stopped")
        ask("printers.status", printer="Label")
        ask("print", printer="Label", data="x\n", options={"id": "two", "jobName": "Two"})
        ask("print", printer="Gone", data="x\n", options={"id": "three", "expires": 0.1, "wait": "ended"})
        ask("print", printer="Gone", data="x\n", options={"id": "four"})
        ask("drawer.open", printer="Receipt", pin=5, options={"wait": "ended"})
        fail("printers.status", "not-found", printer="Gone")
        fail("print", "id-conflict", printer="Label", data="y", options={"id": "one"})
        ask("jobs.cancel", id="four")
        ask("jobs.get", id="four")
        ask("printers.list")
        assert len(ask("jobs.list", limit=100)) == 5
        state = ask("subscribe")
        assert {job["state"] for job in state["jobs"]} >= {"delivered", "expired", "canceled"}
        label.set("media-empty", False)
        ask("print", printer="Label", data="x\n", options={"id": "two", "jobName": "Two", "wait": "ended"})
        server.call(server.app.apply, server.app._config)
        for event in client.settled():
            kinds.add(event["event"])
            assert errors(event, SCHEMA["events"][event["event"]]) == []
        ask("unsubscribe")
    assert kinds == {"printer", "job", "server"}
