"""One video: how far it is, where to watch it, what it cost; and the overview."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.access import CurrentUser, Database, OwnVideo
from app.models import Channel, CostItem, Video
from app.queue import send_render
from app.security import media_link

router = APIRouter(prefix="/api", tags=["videos"])


class VideoView(BaseModel, from_attributes=True):
    id: uuid.UUID
    channel_id: uuid.UUID
    title: str
    seconds: int
    requested_by: str
    status: str
    attempts: int
    # Not named `error`: n8n retries any request whose answer has that field.
    problem: str | None = Field(validation_alias="error")
    bytes: int | None
    render_seconds: float | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cost_usd: Decimal | None = None
    # A link that works for some hours without a login, for a <video> element.
    media_url: str | None = None


class CostView(BaseModel, from_attributes=True):
    kind: str
    quantity: Decimal
    unit: str
    unit_price_usd: Decimal
    amount_usd: Decimal


class Overview(BaseModel):
    channels: int
    queued: int
    rendering: int
    ready: int
    failed: int
    cost_usd: Decimal
    cost_per_video_usd: Decimal | None


def views(database: Session, videos: Iterable[Video]) -> list[VideoView]:
    videos = list(videos)
    sums = (
        select(CostItem.video_id, func.sum(CostItem.amount_usd))
        .where(CostItem.video_id.in_([video.id for video in videos]))
        .group_by(CostItem.video_id)
    )
    costs = {video_id: cost for video_id, cost in database.execute(sums)}
    return [
        VideoView.model_validate(video).model_copy(
            update={
                "cost_usd": costs.get(video.id),
                "media_url": media_link(video.id) if video.status == "ready" else None,
            }
        )
        for video in videos
    ]


@router.get("/videos/{video_id}")
def video(own: OwnVideo, database: Database) -> VideoView:
    return views(database, [own])[0]


@router.get("/videos/{video_id}/costs")
def video_costs(own: OwnVideo, database: Database) -> list[CostView]:
    items = select(CostItem).where(CostItem.video_id == own.id).order_by(CostItem.id)
    return [CostView.model_validate(item) for item in database.scalars(items)]


@router.post("/videos/{video_id}/retry", status_code=202)
def retry(own: OwnVideo, database: Database) -> VideoView:
    if own.status != "failed":
        raise HTTPException(409, f"this video is {own.status}; only a failed one can be retried")
    own.status, own.error, own.attempts = "queued", None, 0
    own.queued_at = datetime.now(UTC)
    database.commit()
    send_render(own.id)
    return views(database, [own])[0]


@router.delete("/videos/{video_id}", status_code=204)
def delete_video(own: OwnVideo, database: Database) -> None:
    """Its file goes at the next clean-up."""
    database.delete(own)
    database.commit()


@router.get("/overview")
def overview(user: CurrentUser, database: Database) -> Overview:
    mine = Channel.owner_id == user.id
    by_status = (
        select(Video.status, func.count()).join(Channel).where(mine).group_by(Video.status)
    )
    counts = {status: count for status, count in database.execute(by_status)}
    cost = database.scalar(
        select(func.coalesce(func.sum(CostItem.amount_usd), 0))
        .join(Video, Video.id == CostItem.video_id)
        .join(Channel)
        .where(mine)
    )
    ready = counts.get("ready", 0)
    return Overview(
        channels=database.scalar(select(func.count()).select_from(Channel).where(mine)),
        queued=counts.get("queued", 0),
        rendering=counts.get("rendering", 0),
        ready=ready,
        failed=counts.get("failed", 0),
        cost_usd=cost,
        cost_per_video_usd=cost / ready if ready else None,
    )
