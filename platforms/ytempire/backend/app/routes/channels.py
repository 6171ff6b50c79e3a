"""A user's channels and the videos on them."""

import uuid
from datetime import datetime

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.access import CurrentUser, Database, OwnChannel
from app.models import Channel, Video
from app.queue import send_render
from app.routes.videos import VideoView, views

router = APIRouter(prefix="/api/channels", tags=["channels"])


class NewChannel(BaseModel):
    name: str = Field(min_length=1, max_length=80)
    topic: str = Field(default="", max_length=200)


class ChannelView(BaseModel, from_attributes=True):
    id: uuid.UUID
    name: str
    topic: str
    created_at: datetime
    videos: int = 0


class NewVideo(BaseModel):
    title: str = Field(min_length=1, max_length=120)
    seconds: int = Field(default=3, ge=1, le=10)


@router.get("")
def channels(user: CurrentUser, database: Database) -> list[ChannelView]:
    rows = database.execute(
        select(Channel, func.count(Video.id))
        .outerjoin(Video)
        .where(Channel.owner_id == user.id)
        .group_by(Channel.id)
        .order_by(Channel.created_at)
    )
    return [
        ChannelView.model_validate(channel).model_copy(update={"videos": videos})
        for channel, videos in rows
    ]


@router.post("", status_code=201)
def create_channel(new: NewChannel, user: CurrentUser, database: Database) -> ChannelView:
    channel = Channel(owner_id=user.id, name=new.name.strip(), topic=new.topic.strip())
    database.add(channel)
    try:
        database.commit()
    except IntegrityError as problem:
        raise HTTPException(409, "you have a channel of this name") from problem
    return ChannelView.model_validate(channel)


@router.delete("/{channel_id}", status_code=204)
def delete_channel(channel: OwnChannel, database: Database) -> None:
    """Its videos go with it; their files go at the next clean-up."""
    database.delete(channel)
    database.commit()


@router.get("/{channel_id}/videos")
def channel_videos(channel: OwnChannel, database: Database) -> list[VideoView]:
    newest = select(Video).where(Video.channel_id == channel.id)
    return views(database, database.scalars(newest.order_by(Video.queued_at.desc()).limit(200)))


@router.post("/{channel_id}/videos", status_code=202)
def queue_video(new: NewVideo, channel: OwnChannel, database: Database) -> VideoView:
    """The row is the job: it is committed first, and the queue is told after."""
    video = Video(channel_id=channel.id, title=new.title.strip(), seconds=new.seconds)
    database.add(video)
    database.commit()
    send_render(video.id)
    return views(database, [video])[0]
