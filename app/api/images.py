"""The routes of stored pictures: read, list, download, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from app.api import schemas
from app.api.authentication import SignedIn
from app.api.presenters import image_response
from app.api.problems import problem_responses
from app.api.threads import in_thread

router = APIRouter(tags=["images"])


@router.get("/images", operation_id="listImages", summary="List my images", responses=problem_responses(422))
async def list_images(caller: SignedIn, query: Annotated[schemas.ImagesQuery, Query()]) -> schemas.ImageList:
    """The caller's pictures, newest first."""

    def read() -> schemas.ImageList:
        page = caller.studio.images.list(
            caller.user,
            limit=query.limit,
            after=query.after,
            favorites=query.favorites or query.favourites,
            job_id=query.job,
        )
        data = [image_response(caller, image) for image in page.items]
        return schemas.ImageList(data=data, has_more=page.next is not None, next=page.next)

    return await in_thread(read)


@router.get(
    "/images/{id}", operation_id="getImage", summary="Look at an image", responses=problem_responses(404)
)
async def get_image(id: str, caller: SignedIn) -> schemas.Image:
    """The picture's metadata and fresh links."""
    return await in_thread(lambda: image_response(caller, caller.studio.images.get(caller.user, id)))


@router.get(
    "/images/{id}/download",
    operation_id="downloadImage",
    summary="Download an image",
    status_code=302,
    response_class=RedirectResponse,
    responses={302: {"description": "To a signed link that downloads the PNG."}, **problem_responses(404)},
)
async def download_image(id: str, caller: SignedIn) -> RedirectResponse:
    """Redirects to the PNG with its parameters embedded, named for saving."""

    def link() -> str:
        return caller.studio.images.url(caller.studio.images.get(caller.user, id), download=True)

    return RedirectResponse(await in_thread(link), status_code=302)


@router.delete(
    "/images/{id}",
    operation_id="deleteImage",
    summary="Delete an image",
    status_code=204,
    responses=problem_responses(404),
)
async def delete_image(id: str, caller: SignedIn) -> Response:
    """Permanently deletes the picture, its thumbnail, and all stored versions, in the trash or not.

    Links made before are no longer answered.
    """
    await in_thread(caller.studio.images.delete, caller.user, id)
    return Response(status_code=204)
