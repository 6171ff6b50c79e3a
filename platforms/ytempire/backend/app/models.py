"""The tables, as Python sees them. `migrations/` is what creates them."""

import uuid
from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, ForeignKey, Numeric, Text, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True), str: Text}


def new_id() -> Mapped[uuid.UUID]:
    return mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))


class User(Base):
    __tablename__ = "users"

    id: Mapped[uuid.UUID] = new_id()
    email: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="creator")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Channel(Base):
    __tablename__ = "channels"

    id: Mapped[uuid.UUID] = new_id()
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    topic: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Video(Base):
    """queued → rendering → ready or failed; a failed one may be queued again."""

    __tablename__ = "videos"

    id: Mapped[uuid.UUID] = new_id()
    channel_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("channels.id"))
    title: Mapped[str]
    seconds: Mapped[int] = mapped_column(server_default="3")
    requested_by: Mapped[str] = mapped_column(server_default="user")
    # The caller's own name for its request, unique: asking again is answered, not repeated.
    request_key: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str | None]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    render_seconds: Mapped[float | None]
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class CostItem(Base):
    __tablename__ = "cost_items"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    video_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("videos.id"))
    kind: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    unit: Mapped[str]
    unit_price_usd: Mapped[Decimal] = mapped_column(Numeric(18, 9))
    amount_usd: Mapped[Decimal] = mapped_column(Numeric(18, 9))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PlatformStats(Base):
    __tablename__ = "platform_stats"

    counted_at: Mapped[datetime] = mapped_column(primary_key=True)
    users: Mapped[int]
    channels: Mapped[int]
    videos_ready: Mapped[int]
    videos_failed: Mapped[int]
    cost_usd: Mapped[Decimal] = mapped_column(Numeric(18, 9))
