"""The connection to PostgreSQL."""

from collections.abc import Iterator

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from app.settings import settings

engine = create_engine(
    settings().database_url,
    pool_size=10,
    max_overflow=10,
    pool_timeout=5,
    pool_pre_ping=True,
    connect_args={"connect_timeout": 3, "application_name": "ytempire"},
)
new_session = sessionmaker(engine, expire_on_commit=False)


def session() -> Iterator[Session]:
    """One session per request, as a FastAPI dependency."""
    with new_session() as opened:
        yield opened
