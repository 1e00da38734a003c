"""The API over a studio in memory, mounted at /v1 as the app mounts it, with three users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount

from app.api import create_api, create_health_route
from services.build import Studio
from services.records import Role, User
from tests.api.fake_studio import PUBLIC_URL, FakeStudio
from tests.api.forger import CLIENT_ID, ISSUER, KID, Forger, KeyServer

ALICE_SUB = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"


@dataclass(frozen=True)
class Person:
    """A user with an API key."""

    user: User
    key: str

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def mounted(studio: Studio) -> Starlette:
    """The API and `/healthz` as `app/asgi.py` puts them."""
    return Starlette(
        routes=[create_health_route(lambda: studio), Mount("/v1", app=create_api(lambda: studio))]
    )


@pytest.fixture
def studio() -> FakeStudio:
    return FakeStudio()


@pytest.fixture
def alice(studio: FakeStudio) -> Person:
    return Person(*studio.add_user("a"))


@pytest.fixture
def bob(studio: FakeStudio) -> Person:
    return Person(*studio.add_user("b"))


@pytest.fixture
def admin(studio: FakeStudio) -> Person:
    return Person(*studio.add_user("c", role=Role.ADMIN))


@pytest.fixture
def client(studio: FakeStudio) -> Iterator[TestClient]:
    with TestClient(mounted(studio.as_studio()), base_url=PUBLIC_URL, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="session")
def forger() -> Forger:
    return Forger()


@pytest.fixture
def key_server(forger: Forger) -> Iterator[KeyServer]:
    server = KeyServer({"keys": [forger.jwk(KID)]})
    yield server
    server.close()


@pytest.fixture
def cognito(studio: FakeStudio, key_server: KeyServer) -> KeyServer:
    """Sign-in by Cognito's tokens as well as by API keys."""
    studio.settings = SimpleNamespace(
        public_url=PUBLIC_URL,
        auth_mode="cognito",
        cognito_issuer=ISSUER,
        cognito_client_id=CLIENT_ID,
        cognito_jwks_url=key_server.url,
    )
    return key_server
