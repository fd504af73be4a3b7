"""The OpenAPI 3.1 document, made of the types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gaugecast import __version__
from gaugecast.console.asked import StreamParams
from gaugecast.console.endpoints import ENDPOINTS, PREFIX, Endpoint
from gaugecast.console.shapes import AccessView, Fault

_REF = "#/components/schemas/{name}"
#: Each status that an answer may have beside 200.
FAULTS = {
    "400": "What was asked is not what is expected.",
    "401": "A token is needed, or is not this one.",
    "403": "The token may look, not change; or the request is of another page.",
    "404": "There is no such stream, fleet or feature.",
    "409": "The daemon refuses.",
    "421": "The host that was asked for is not this one.",
    "503": "The daemon does not answer, the ledger cannot be read, or others look back at this moment.",
}


def document() -> dict[str, Any]:
    """The whole document."""
    types: list[Any] = [Fault, AccessView]
    for one in ENDPOINTS:
        types += [one.answer, *([one.asked] if one.method == "POST" else [])]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    paths: dict[str, Any] = {PREFIX + one.path: {one.method.lower(): _operation(one)} for one in ENDPOINTS}
    paths[f"{PREFIX}/live"] = {"get": _live()}
    paths[f"{PREFIX}/access"] = {"get": _access()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "gaugecast", "version": __version__, "description": "What a gaugecast daemon does."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(one: Endpoint) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(name=one.answer.__name__)}}}
    made: dict[str, Any] = {
        "operationId": one.path.strip("/").replace("/", "_"),
        "summary": one.about,
        "responses": {"200": {"description": "The answer.", "content": content}, **_faults()},
    }
    if one.method == "POST":
        schema = {"$ref": _REF.format(name=one.asked.__name__)}
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    else:
        made["parameters"] = list(_parameters(one.asked))
    return made


def _live() -> dict[str, Any]:
    about = (
        "Server-sent events: `status` (StatusView) each second, and `stream` (StreamView) with each step of a stream."
    )
    event = {"text/event-stream": {"schema": {"type": "string"}}}
    parameters = [{**one, "required": False} for one in _parameters(StreamParams)]
    responses = {"200": {"description": "Events, until one of both sides ends.", "content": event}, **_faults()}
    return {"operationId": "live", "summary": about, "parameters": parameters, "responses": responses}


def _access() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(name=AccessView.__name__)}}}
    responses = {"200": {"description": "The answer.", "content": content}, **_faults()}
    about = "What whoever asks may do."
    return {"operationId": "access", "summary": about, "parameters": [], "responses": responses}


def _faults() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(name="Fault")}}}
    return {status: {"description": about, "content": content} for status, about in FAULTS.items()}


def _parameters(kind: type[msgspec.Struct]) -> Iterator[dict[str, Any]]:
    _, components = msgspec.json.schema_components([kind], ref_template=_REF)
    schema = components[kind.__name__]
    for name, one in schema["properties"].items():
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": one}
