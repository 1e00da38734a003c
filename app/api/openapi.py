"""Completes the OpenAPI document that FastAPI derives from the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import Problem
from app.api.schemas import JobCreate

TITLE = "Atelier"
VERSION = "1"
DESCRIPTION = """\
Ask for pictures by program. Every call carries an API key (made on the Account page) or an access token, as
`Authorization: Bearer ...`; an API key may also go in `X-Api-Key`.

Failures are RFC 9457 problem documents: branch on `code`, show `detail`. Lists are newest first; pass `next` as
`after` for the following page. Times are RFC 3339 in UTC."""
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`atl_...`) or an access token of the studio's sign-in.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "An API key (`atl_...`).",
    },
}
REF = "#/components/schemas/{model}"


def install(app: FastAPI, server: str) -> None:
    """Makes `app` serve the completed document, built once; `server` is the mount path of `app`."""
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(_complete(app, server))
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(app: FastAPI, server: str) -> dict[str, Any]:
    document = get_openapi(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        routes=app.routes,
        servers=[{"url": server}],
        tags=[
            {"name": "jobs", "description": "From a prompt to pictures."},
            {"name": "images", "description": "Stored pictures."},
            {"name": "account", "description": "The caller, the limits, the models."},
        ],
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _drop_unused_failures(document)
    for model in (Problem, JobCreate):
        schema = model.model_json_schema(ref_template=REF)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = SECURITY_SCHEMES
    document["security"] = [{name: []} for name in SECURITY_SCHEMES]
    return document


def _drop_unused_failures(document: dict[str, Any]) -> None:
    """Removes FastAPI's automatic 422 responses; the real ones are declared per operation."""
    for path in document["paths"].values():
        for operation in path.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
