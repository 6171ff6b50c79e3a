"""Start the scheduler: `python -m app.beat`. There is one, and only one.

It also exports what only one process should: how many videos wait, and how long.
"""

import logging
import time
from datetime import UTC, datetime

import redis
from celery.beat import Scheduler
from celery.signals import setup_logging
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app import logs, queue, sidecar
from app.database import new_session
from app.models import CostItem, Video
from app.queue import celery

STALE_AFTER_SECONDS = 60
log = logging.getLogger("ytempire.beat")
state = {"ticked": time.monotonic()}


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Celery leaves logging alone when this signal has a receiver."""


class WatchedScheduler(Scheduler):
    """Celery's scheduler, in memory: it has nothing to remember across a restart."""

    def setup_schedule(self) -> None:
        super().setup_schedule()
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, *arguments: object, **named: object) -> float:
        state["ticked"] = time.monotonic()
        # Never asleep for so long that a stopped scheduler is noticed late.
        return min(super().tick(*arguments, **named), 10.0)


class PlatformFigures:
    """Read at each scrape; a database that does not answer leaves the figures out."""

    def collect(self):
        try:
            return self.read()
        except (SQLAlchemyError, redis.RedisError) as problem:
            log.warning("the platform figures could not be read: %s", problem)
            return []

    def read(self):
        videos = GaugeMetricFamily("ytempire_videos", "Videos by status.", labels=["status"])
        oldest = GaugeMetricFamily(
            "ytempire_oldest_waiting_seconds", "Age of the video that waits longest."
        )
        cost = GaugeMetricFamily(
            "ytempire_cost_per_video_usd", "Mean cost of a ready video, in US dollars."
        )
        waiting = GaugeMetricFamily("ytempire_queue_messages", "Messages that wait for a worker.")
        with new_session() as session:
            for status, count in session.execute(
                select(Video.status, func.count()).group_by(Video.status)
            ):
                videos.add_metric([status], count)
            since = session.scalar(
                select(func.min(Video.queued_at)).where(Video.status == "queued")
            )
            total = session.scalar(select(func.coalesce(func.sum(CostItem.amount_usd), 0)))
            ready = session.scalar(select(func.count()).where(Video.status == "ready"))
        oldest.add_metric([], (datetime.now(UTC) - since).total_seconds() if since else 0)
        if ready:
            cost.add_metric([], float(total) / ready)
        waiting.add_metric([], queue.depth())
        return [videos, oldest, cost, waiting]

    def describe(self):
        return []


def check() -> str | None:
    silent = time.monotonic() - state["ticked"]
    return f"no tick for {silent:.0f} s" if silent > STALE_AFTER_SECONDS else None


def main() -> None:
    logs.log_as_json()
    REGISTRY.register(PlatformFigures())
    sidecar.start(check)
    celery.Beat(scheduler_cls=WatchedScheduler, loglevel="INFO").run()


if __name__ == "__main__":
    main()
