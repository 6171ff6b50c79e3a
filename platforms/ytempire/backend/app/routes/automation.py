"""What automation may do with the service token: queue a video."""

from fastapi import APIRouter, Depends, HTTPException
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


class AutomatedVideo(NewVideo):
    channel: str = Field(default="Automation", min_length=1, max_length=80)


@router.post("/videos", status_code=202)
def queue_video(new: AutomatedVideo, database: Database) -> VideoView:
    """On the named channel of the first administrator, which is made if need be."""
    channel_id = channel_named(database, new.channel.strip())
    video = Video(
        channel_id=channel_id,
        title=new.title.strip(),
        seconds=new.seconds,
        requested_by="automation",
    )
    database.add(video)
    database.commit()
    send_render(video.id)
    return views(database, [video])[0]


def channel_named(database: Session, name: str):
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
