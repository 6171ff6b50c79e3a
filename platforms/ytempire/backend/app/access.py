"""Who is asking, and what is theirs. Dependencies of the routes."""

import uuid
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import session
from app.models import Channel, User, Video
from app.security import is_service_token, subject_of

Database = Annotated[Session, Depends(session)]
bearer = HTTPBearer(auto_error=False)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


def current_user(given: Bearer, database: Database) -> User:
    user_id = subject_of(given.credentials, "login") if given else None
    user = database.get(User, user_id) if user_id else None
    if user is None:
        raise unauthorized("log in first")
    return user


CurrentUser = Annotated[User, Depends(current_user)]


def administrator(user: CurrentUser) -> User:
    if user.role != "admin":
        raise HTTPException(403, "only an administrator may do this")
    return user


def automation(given: Bearer) -> None:
    if given is None or not is_service_token(given.credentials):
        raise unauthorized("this needs the service token")


def own_channel(channel_id: uuid.UUID, user: CurrentUser, database: Database) -> Channel:
    """Another owner's channel answers as if it were not there."""
    channel = database.get(Channel, channel_id)
    if channel is None or channel.owner_id != user.id:
        raise HTTPException(404, "no such channel")
    return channel


def own_video(video_id: uuid.UUID, user: CurrentUser, database: Database) -> Video:
    video = database.scalar(
        select(Video).join(Channel).where(Video.id == video_id, Channel.owner_id == user.id)
    )
    if video is None:
        raise HTTPException(404, "no such video")
    return video


OwnChannel = Annotated[Channel, Depends(own_channel)]
OwnVideo = Annotated[Video, Depends(own_video)]
