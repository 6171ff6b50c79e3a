"""Alive, ready, which build, which figures."""

import redis
from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from app import faults, telemetry
from app.database import engine
from app.queue import store
from app.settings import BUILD_ID

router = APIRouter(tags=["health"])

scripts = ScriptDirectory.from_config(Config("alembic.ini"))
HEAD = scripts.get_current_head()
KNOWN = {script.revision for script in scripts.walk_revisions()}


@router.get("/health/live")
def live() -> dict[str, str]:
    return {"status": "live", "build_id": BUILD_ID}


@router.get("/health/ready")
def ready() -> JSONResponse:
    """Ready to take traffic: the database has our schema, and Redis answers."""
    checks = {"database": check_database(), "redis": check_redis()}
    if faults.never_ready():
        checks["fault"] = "FAULT=never-ready"
    is_ready = all(found == "ok" for found in checks.values())
    return JSONResponse(
        {"status": "ready" if is_ready else "not ready", "checks": checks, "build_id": BUILD_ID},
        status_code=200 if is_ready else 503,
    )


def check_database() -> str:
    try:
        with engine.connect() as connection:
            connection.execute(text("set local statement_timeout = '2s'"))
            revision = connection.scalar(text("select version_num from alembic_version"))
    except SQLAlchemyError as problem:
        return f"does not answer: {type(problem).__name__}"
    # An unknown revision is a newer release's: it only expanded what we use.
    if revision == HEAD or revision not in KNOWN:
        return "ok"
    return f"is at migration {revision}, this build needs {HEAD}"


def check_redis() -> str:
    try:
        store.ping()
    except redis.RedisError as problem:
        return f"does not answer: {type(problem).__name__}"
    return "ok"


@router.get("/version")
@router.get("/api/version")
def version() -> dict[str, str]:
    return {"platform": "ytempire", "service": "api", "build_id": BUILD_ID}


@router.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    return telemetry.metrics_answer()
