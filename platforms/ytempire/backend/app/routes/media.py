"""The rendered files, with ranges, behind links that expire."""

import uuid

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from app.security import subject_of
from app.settings import settings

router = APIRouter(tags=["media"])


@router.api_route("/media/{video_id}.mp4", methods=["GET", "HEAD"])
def media(video_id: uuid.UUID, token: str) -> FileResponse:
    if subject_of(token, "media") != video_id:
        raise HTTPException(403, "this link is not valid any more")
    file = settings().media_dir / f"{video_id}.mp4"
    if not file.is_file():
        raise HTTPException(404, "no such video")
    return FileResponse(
        file, media_type="video/mp4", headers={"Cache-Control": "private, max-age=3600"}
    )
