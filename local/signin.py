"""The embedded Cognito: one pool with two groups, one confidential client, and the users."""

from __future__ import annotations

import contextlib
import secrets
import string
from dataclasses import dataclass
from typing import Any

POOL = "atelier"
CLIENT = "studio"
DOMAIN = "atelier"
ADMINS = "admins"
MAKERS = "makers"
SCOPES = ("openid", "email", "profile")
MAX_SESSION_HOURS = 12


@dataclass(frozen=True)
class SignIn:
    """The pool, its client and the addresses needed to configure the studio."""

    pool_id: str
    client_id: str
    client_secret: str
    issuer: str
    discovery_url: str
    jwks_url: str
    logout_url: str


def make_sign_in(cognito: Any, endpoint_url: str, *, public_url: str) -> SignIn:
    """Creates what is missing; sets the client's callback and sign-out addresses to `public_url`."""
    pool_id = _find(cognito, "list_user_pools", "UserPools", "Name", POOL, "Id")
    if pool_id is None:
        pool_id = cognito.create_user_pool(**pool_definition())["UserPool"]["Id"]
    for group in (ADMINS, MAKERS):
        with contextlib.suppress(cognito.exceptions.GroupExistsException):
            cognito.create_group(UserPoolId=pool_id, GroupName=group)
    if not cognito.describe_user_pool_domain(Domain=DOMAIN)["DomainDescription"].get("UserPoolId"):
        cognito.create_user_pool_domain(Domain=DOMAIN, UserPoolId=pool_id)
    definition = client_definition(public_url)
    client_id = _find(
        cognito,
        "list_user_pool_clients",
        "UserPoolClients",
        "ClientName",
        CLIENT,
        "ClientId",
        UserPoolId=pool_id,
    )
    if client_id is None:
        made = cognito.create_user_pool_client(
            UserPoolId=pool_id, ClientName=CLIENT, GenerateSecret=True, **definition
        )
        client = made["UserPoolClient"]
    else:
        # An update resets what it does not name, so it names everything.
        cognito.update_user_pool_client(
            UserPoolId=pool_id, ClientId=client_id, ClientName=CLIENT, **definition
        )
        found = cognito.describe_user_pool_client(UserPoolId=pool_id, ClientId=client_id)
        client = found["UserPoolClient"]
    region = pool_id.partition("_")[0]
    return SignIn(
        pool_id=pool_id,
        client_id=client["ClientId"],
        client_secret=client["ClientSecret"],
        issuer=f"https://cognito-idp.{region}.amazonaws.com/{pool_id}",
        discovery_url=f"{endpoint_url}/{pool_id}/.well-known/openid-configuration",
        jwks_url=f"{endpoint_url}/{pool_id}/.well-known/jwks.json",
        logout_url=f"{endpoint_url}/logout",
    )


def pool_definition() -> dict[str, Any]:
    """Return the pool as `create_user_pool` takes it: users sign in by email, and only admins create accounts."""
    return {
        "PoolName": POOL,
        "UsernameAttributes": ["email"],
        "AutoVerifiedAttributes": ["email"],
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True},
        "Policies": {
            "PasswordPolicy": {
                "MinimumLength": 12,
                "RequireUppercase": True,
                "RequireLowercase": True,
                "RequireNumbers": True,
                "RequireSymbols": False,
            }
        },
    }


def client_definition(public_url: str) -> dict[str, Any]:
    """Return the confidential client for a studio at `public_url`: code grant only, sessions up to 12 hours."""
    return {
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthFlowsUserPoolClient": True,
        "AllowedOAuthScopes": list(SCOPES),
        "CallbackURLs": [f"{public_url}/oauth2callback"],
        "LogoutURLs": [f"{public_url}/"],
        "SupportedIdentityProviders": ["COGNITO"],
        "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_PASSWORD_AUTH"],
        "PreventUserExistenceErrors": "ENABLED",
        "EnableTokenRevocation": True,
        "AccessTokenValidity": 1,
        "IdTokenValidity": 1,
        "RefreshTokenValidity": MAX_SESSION_HOURS,
        "TokenValidityUnits": {"AccessToken": "hours", "IdToken": "hours", "RefreshToken": "hours"},
    }


def make_user(cognito: Any, pool_id: str, *, email: str, password: str, group: str) -> str:
    """Creates the user or sets their password and group, and returns their `sub` (a UUID with dashes)."""
    attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    with contextlib.suppress(cognito.exceptions.UsernameExistsException):
        cognito.admin_create_user(
            UserPoolId=pool_id, Username=email, UserAttributes=attributes, MessageAction="SUPPRESS"
        )
    cognito.admin_set_user_password(UserPoolId=pool_id, Username=email, Password=password, Permanent=True)
    cognito.admin_add_user_to_group(UserPoolId=pool_id, Username=email, GroupName=group)
    found = cognito.admin_get_user(UserPoolId=pool_id, Username=email)
    return str(next(item["Value"] for item in found["UserAttributes"] if item["Name"] == "sub"))


def new_password() -> str:
    """Return 20 random characters that satisfy the pool's policy and are easy to copy from a terminal."""
    alphabet = "".join(sorted(set(string.ascii_letters + string.digits) - set("lIO01")))
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(20))
        if all(any(test(c) for c in password) for test in (str.isupper, str.islower, str.isdigit)):
            return password


def _find(
    cognito: Any, operation: str, items: str, key: str, value: str, result: str, **arguments: Any
) -> Any:
    for page in cognito.get_paginator(operation).paginate(**arguments, PaginationConfig={"PageSize": 60}):
        for item in page[items]:
            if item[key] == value:
                return item[result]
    return None
