"""The API of YTEMPIRE: accounts, channels, videos and their costs."""

from fastapi import FastAPI

from app import logs, telemetry
from app.routes import accounts, automation, channels, health, media, videos
from app.settings import BUILD_ID

logs.log_as_json()

api = FastAPI(
    title="YTEMPIRE",
    version=BUILD_ID,
    openapi_url="/api/openapi.json",
    docs_url=None,
    redoc_url=None,
)
for routes in (accounts, channels, videos, automation, media, health):
    api.include_router(routes.router)

app = telemetry.Telemetry(api)
