"""The OpenAPI 3.1 document of the control API, made from its routes and models."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter

from farmctl.control import shapes
from farmctl.control.routes import ROUTES, Route, Schema

ALWAYS = (400, 401, 403)
"""A request that cannot be read, a caller that is not known, one that may not."""
_PLACE = re.compile(r"\{(\w+)\}")
_REF = "#/components/schemas/{model}"


@cache
def document() -> Schema:
    """The whole document; the same object every time."""
    found: Schema = {}
    schemas: Schema = {"Refusal": _schema_of(shapes.Refusal, "serialization", found)}
    paths: Schema = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "farmctl control API",
            "version": "1",
            "description": "HTTP and JSON on a Unix socket, and over TLS with tokens. Objects may grow new keys.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, **found},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(route: Route, found: Schema) -> Schema:
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    statuses = sorted({*ALWAYS, *route.refusals})
    told: Schema = {
        "operationId": route.name,
        "summary": route.about,
        "x-role": route.role.name.lower(),
        "responses": {
            **_answers(route, found),
            **{str(status): {"description": "No, and why.", "content": refused} for status in statuses},
        },
    }
    if parameters := _parameters(route):
        told["parameters"] = parameters
    if route.body is not None:
        schema = _schema_of(route.body, "validation", found)
        told["requestBody"] = {"required": route.body_needed, "content": {"application/json": {"schema": schema}}}
    return told


def _answers(route: Route, found: Schema) -> Schema:
    if route.answer is None:
        return {"200": {"description": route.about, "content": {"text/event-stream": {"schema": {"type": "string"}}}}}
    content = {"application/json": {"schema": _schema_of(route.answer, "serialization", found)}}
    yes = {"description": route.about, "content": content}
    return {"200": yes} if route.status == 200 else {"200": yes, str(route.status): yes}  # noqa: PLR2004 - HTTP: ok; a dry run is answered so


def _parameters(route: Route) -> list[Schema]:
    places = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PLACE.findall(route.path)
    ]
    return places + [
        {"name": query.name, "in": "query", "required": False, "description": query.about, "schema": query.schema}
        for query in route.query
    ]


def _schema_of(model: type[BaseModel] | TypeAdapter[Any], mode: Any, found: Schema) -> Schema:
    """The schema of a model; what it refers to goes into `found`."""
    adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
    schema: Schema = adapter.json_schema(mode=mode, ref_template=_REF, by_alias=True)
    found.update(schema.pop("$defs", {}))
    return schema
