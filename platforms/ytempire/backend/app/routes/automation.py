"""What automation may do with the service token: queue a video."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.access import Database, automation
from app.models import Channel, User, Video
from app.queue import send_render
from app.routes.channels import NewVideo
from app.routes.videos import VideoView, views

router = APIRouter(prefix="/api/automation", dependencies=[Depends(automation)])

IdempotencyKey = Annotated[str | None, Header(min_length=8, max_length=200)]


class AutomatedVideo(NewVideo):
    channel: str = Field(default="Automation", min_length=1, max_length=80)


@router.post("/videos", status_code=202)
def queue_video(
    new: AutomatedVideo, database: Database, idempotency_key: IdempotencyKey = None
) -> VideoView:
    """On the named channel of the first administrator, which is made if need be.

    A request that is repeated with the same `Idempotency-Key` queues nothing new.
    """
    queued = database.scalar(
        insert(Video)
        .values(
            channel_id=channel_named(database, new.channel.strip()),
            title=new.title.strip(),
            seconds=new.seconds,
            requested_by="automation",
            request_key=idempotency_key,
        )
        .on_conflict_do_nothing(index_elements=["request_key"])
        .returning(Video.id)
    )
    database.commit()
    if queued is not None:
        send_render(queued)
    wanted = Video.id == queued if queued else Video.request_key == idempotency_key
    return views(database, database.scalars(select(Video).where(wanted)))[0]


def channel_named(database: Session, name: str) -> uuid.UUID:
    admin = select(User.id).where(User.role == "admin").order_by(User.created_at).limit(1)
    owner_id = database.scalar(admin)
    if owner_id is None:
        raise HTTPException(409, "there is no administrator yet to own the channel")
    database.execute(
        insert(Channel)
        .values(owner_id=owner_id, name=name, topic="Queued by automation")
        .on_conflict_do_nothing(constraint="channels_owner_name")
    )
    return database.scalar(
        select(Channel.id).where(Channel.owner_id == owner_id, Channel.name == name)
    )
