"""A complete environment for code that reads its settings at import."""

import os

os.environ.setdefault("DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")
os.environ.setdefault("JWT_SECRET", "a secret of at least thirty-two bytes")
os.environ.setdefault("SERVICE_TOKEN", "a token of at least thirty-two bytes!")
