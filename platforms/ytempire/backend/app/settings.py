"""What the environment decides, checked once at start."""

import os
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

BUILD_ID = os.environ.get("BUILD_ID") or "dev"


class Settings(BaseSettings):
    database_url: str
    redis_url: str
    jwt_secret: str = Field(min_length=32)
    # What automation (n8n) presents instead of a user's login.
    service_token: str = Field(min_length=32)
    initial_admin_email: str = ""
    initial_admin_password: str = ""

    media_dir: Path = Path("/media")
    login_hours: int = 12
    media_link_hours: int = 6
    login_failures_per_minute: int = 10

    # US dollars. The defaults are a mid-range dedicated server by the month.
    price_cpu_second: Decimal = Decimal("0.0000140")
    price_megabyte_month: Decimal = Decimal("0.0000200")


@lru_cache
def settings() -> Settings:
    return Settings()
