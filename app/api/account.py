"""The routes about the caller and the models: identity, usage, and available models."""

from __future__ import annotations

from fastapi import APIRouter

from app.api import schemas
from app.api.authentication import SignedIn
from app.api.presenters import model_response
from app.api.problems import problem_responses
from app.api.threads import in_thread

router = APIRouter(tags=["account"])


@router.get("/models", operation_id="listModels", summary="List the models", responses=problem_responses())
async def list_models(caller: SignedIn) -> schemas.ModelList:
    """The abilities, price, and state of each model; the first is the default."""

    def read() -> schemas.ModelList:
        studio = caller.studio
        return schemas.ModelList(
            data=[model_response(card, studio.endpoints.state(card.id)) for card in studio.catalogue.models()]
        )

    return await in_thread(read)


@router.get("/me", operation_id="getMe", summary="Who am I", responses=problem_responses())
async def get_me(caller: SignedIn) -> schemas.User:
    """The user of the credential."""
    user = caller.user
    return schemas.User(id=user.id, email=user.email, name=user.name, role=user.role)


@router.get("/usage", operation_id="getUsage", summary="What have I used", responses=problem_responses())
async def get_usage(caller: SignedIn) -> schemas.Usage:
    """Pictures, cost, and open jobs against the limits."""
    usage = await in_thread(caller.studio.ledger.usage, caller.user)
    return schemas.Usage(**usage.model_dump())
