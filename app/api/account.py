"""The routes about the caller and what is on offer: who am I, what have I used, which models."""

from __future__ import annotations

from fastapi import APIRouter

from app.api import shapes
from app.api.callers import SignedIn
from app.api.problems import problem_responses
from app.api.represent import model_given
from app.api.threads import in_thread

router = APIRouter(tags=["account"])


@router.get("/models", operation_id="listModels", summary="List the models", responses=problem_responses())
async def list_models(caller: SignedIn) -> shapes.ModelList:
    """What each model takes, costs and is doing; the first is the default."""

    def read() -> shapes.ModelList:
        studio = caller.studio
        return shapes.ModelList(
            data=[model_given(card, studio.endpoints.state(card.id)) for card in studio.catalogue.models()]
        )

    return await in_thread(read)


@router.get("/me", operation_id="getMe", summary="Who am I", responses=problem_responses())
async def get_me(caller: SignedIn) -> shapes.User:
    """The user that the credential stands for."""
    user = caller.user
    return shapes.User(id=user.id, email=user.email, name=user.name, role=user.role)


@router.get("/usage", operation_id="getUsage", summary="What have I used", responses=problem_responses())
async def get_usage(caller: SignedIn) -> shapes.Usage:
    """Pictures, money and open jobs against the limits."""
    usage = await in_thread(caller.studio.ledger.usage, caller.user)
    return shapes.Usage(**usage.model_dump())
