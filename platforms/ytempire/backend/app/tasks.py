"""What a worker does. Every task may run twice, at once or late, and do no harm."""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from app import queue
from app.costs import cost_items
from app.database import engine, new_session
from app.models import Channel, CostItem, PlatformStats, User, Video
from app.queue import celery
from app.render import RenderFailed, Rendered, render
from app.settings import settings

RENDERED = Counter("ytempire_videos_rendered", "Videos rendered.", ["outcome"])
RENDER_SECONDS = Histogram(
    "ytempire_render_seconds", "Time one render took.", buckets=(0.5, 1, 2, 3, 5, 10, 20, 40, 80)
)
CPU_SECONDS = Counter("ytempire_render_cpu_seconds", "Processor time spent on rendering.")
COST = Counter("ytempire_cost_usd", "Money spent on videos, in US dollars.", ["kind"])
IN_PROGRESS = Gauge("ytempire_renders_in_progress", "Videos being rendered now.")

MOST_ATTEMPTS = 5
# A row this old, with nothing in the queue, was forgotten: its message is gone.
FORGOTTEN_AFTER = timedelta(seconds=45)
STATS_KEPT = timedelta(days=30)

log = logging.getLogger("ytempire.tasks")


@celery.task(
    name=queue.RENDER,
    autoretry_for=(OperationalError,),
    retry_backoff=True,
    retry_backoff_max=30,
    max_retries=20,
)
def render_video(video_id: str) -> None:
    key = uuid.UUID(video_id)
    with only_one(key) as mine:
        if not mine:
            log.info("video %s is being rendered elsewhere", key)
            return
        video = claim(key)
        if video is None:
            return
        started = time.monotonic()
        try:
            with IN_PROGRESS.track_inprogress():
                target = settings().media_dir / f"{key}.mp4"
                rendered = render(video.title, video.seconds, key.int % 10_000, target)
        except RenderFailed as problem:
            fail(key, str(problem))
            RENDERED.labels("failed").inc()
            return
        finish(key, rendered)
        RENDERED.labels("ready").inc()
        RENDER_SECONDS.observe(time.monotonic() - started)
        CPU_SECONDS.inc(rendered.cpu_seconds)


@contextmanager
def only_one(key: uuid.UUID) -> Iterator[bool]:
    """Hold the video for this worker; a worker that dies lets go at once."""
    number = {"key": key.int & 0x7FFF_FFFF_FFFF_FFFF}
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        mine = bool(connection.scalar(text("select pg_try_advisory_lock(:key)"), number))
        try:
            yield mine
        finally:
            if mine and not connection.invalidated:
                connection.execute(text("select pg_advisory_unlock(:key)"), number)


def claim(key: uuid.UUID) -> Video | None:
    """The row, now rendering; None when there is nothing left to do."""
    with new_session.begin() as session:
        video = session.get(Video, key, with_for_update=True)
        if video is None or video.status not in ("queued", "rendering"):
            return None
        if video.attempts >= MOST_ATTEMPTS:
            video.status = "failed"
            video.error = f"given up after {MOST_ATTEMPTS} attempts that never ended"
            video.finished_at = datetime.now(UTC)
            RENDERED.labels("given up").inc()
            return None
        video.status = "rendering"
        video.attempts += 1
        video.started_at = datetime.now(UTC)
        return video


def finish(key: uuid.UUID, rendered: Rendered) -> None:
    """The result and its costs together, or neither."""
    items = cost_items(rendered)
    with new_session.begin() as session:
        video = session.get(Video, key, with_for_update=True)
        if video is None:
            return
        video.status, video.error = "ready", None
        video.bytes = rendered.bytes
        video.render_seconds = round(rendered.wall_seconds, 3)
        video.finished_at = datetime.now(UTC)
        for item in items:
            item.video_id = key
            session.add(item)
    for item in items:
        COST.labels(item.kind).inc(float(item.amount_usd))
    log.info(
        "video rendered",
        extra={"fields": {"video": key, "seconds": round(rendered.wall_seconds, 2)}},
    )


def fail(key: uuid.UUID, reason: str) -> None:
    log.error("video %s could not be rendered: %s", key, reason)
    with new_session.begin() as session:
        video = session.get(Video, key, with_for_update=True)
        if video is not None:
            video.status, video.error = "failed", reason
            video.finished_at = datetime.now(UTC)


@celery.task(name=queue.REQUEUE_LOST)
def requeue_lost_videos() -> None:
    """Rows that wait while the queue is empty have lost their message: send it again."""
    if queue.depth() > 0:
        return
    old = datetime.now(UTC) - FORGOTTEN_AFTER
    waiting = select(Video.id).where(
        Video.status.in_(["queued", "rendering"]),
        func.coalesce(Video.started_at, Video.queued_at) < old,
        Video.queued_at < old,
    )
    with new_session() as session:
        for key in session.scalars(waiting.order_by(Video.queued_at).limit(100)):
            log.warning("video %s had lost its message, sent again", key)
            queue.send_render(key)


@celery.task(name=queue.COUNT_PLATFORM)
def count_platform() -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)

    def count(model: type, *conditions) -> int:
        return session.scalar(select(func.count()).select_from(model).where(*conditions)) or 0

    with new_session.begin() as session:
        session.merge(
            PlatformStats(
                counted_at=now,
                users=count(User),
                channels=count(Channel),
                videos_ready=count(Video, Video.status == "ready"),
                videos_failed=count(Video, Video.status == "failed"),
                cost_usd=session.scalar(select(func.coalesce(func.sum(CostItem.amount_usd), 0))),
            )
        )
        session.execute(
            text("delete from platform_stats where counted_at < :old"), {"old": now - STATS_KEPT}
        )


@celery.task(name=queue.CLEAN_MEDIA)
def clean_media() -> None:
    """Remove files no video owns, once they are old enough not to be in the making."""
    with new_session() as session:
        wanted = {f"{key}.mp4" for key in session.scalars(select(Video.id))}
    for file in settings().media_dir.glob("*.mp4"):
        if file.name not in wanted and time.time() - file.stat().st_mtime > 3600:
            log.info("removing %s, which belongs to no video", file.name)
            file.unlink(missing_ok=True)
