"""The queue between the API, the scheduler and the workers.

A message is only a hint that a row waits: the row in PostgreSQL is the job.
That is why a job outlives a lost message, a lost worker and a lost Redis:
the scheduler sends the hint again, and a render holds a lock, so that two
hints for one video make one video.
"""

import logging
import uuid

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from app.settings import settings

RENDER = "render_video"
REQUEUE_LOST = "requeue_lost_videos"
COUNT_PLATFORM = "count_platform"
CLEAN_MEDIA = "clean_media"
QUEUE = "celery"

log = logging.getLogger("ytempire.queue")

celery = Celery("ytempire", broker=settings().redis_url)
celery.conf.update(
    # A message is done when its video is, so a killed worker's message comes back.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 300,
        "socket_connect_timeout": 3,
        "socket_timeout": 30,
        "health_check_interval": 15,
    },
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    timezone="UTC",
    beat_schedule={
        "requeue-lost-videos": {"task": REQUEUE_LOST, "schedule": 30.0},
        "count-platform": {"task": COUNT_PLATFORM, "schedule": 60.0},
        "clean-media": {"task": CLEAN_MEDIA, "schedule": 600.0},
    },
)

store = redis.Redis.from_url(
    settings().redis_url, socket_connect_timeout=2, socket_timeout=2, health_check_interval=15
)


def send_render(video_id: uuid.UUID) -> bool:
    """False when Redis does not answer: the row waits, and the scheduler sends it later."""
    try:
        celery.send_task(RENDER, args=[str(video_id)], retry=False)
    except (OperationalError, redis.RedisError, OSError) as problem:
        log.warning("video %s is queued, but could not be sent yet: %s", video_id, problem)
        return False
    return True


def depth() -> int:
    """How many messages wait for a worker."""
    return int(store.llen(QUEUE))
