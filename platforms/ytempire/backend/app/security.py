"""Passwords, login tokens and signed media links."""

import hmac
import uuid
from datetime import UTC, datetime, timedelta

import bcrypt
import jwt

from app.settings import settings

ALGORITHM = "HS256"
# bcrypt reads 72 bytes and ignores the rest: a longer password is refused at the door.
LONGEST_PASSWORD = 72
# Compared with when there is no such user. Written out, because making it takes
# a quarter of a second that every start would pay.
_NOBODY = b"$2b$12$xzFNKI3v4TjrwWW6BpqpfeWb2XrM8uTRSTMxgkBaLscPqTkCZY.8u"


def hash_password(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()


def check_password(password: str, stored: str | None) -> bool:
    """As slow for an unknown user as for a known one, so that neither can be told."""
    given = password.encode()[:LONGEST_PASSWORD]
    matches = bcrypt.checkpw(given, stored.encode() if stored else _NOBODY)
    return matches and stored is not None


def issue(subject: uuid.UUID, audience: str, lifetime: timedelta) -> str:
    now = datetime.now(UTC)
    claims = {"sub": str(subject), "aud": audience, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, settings().jwt_secret, algorithm=ALGORITHM)


def subject_of(token: str, audience: str) -> uuid.UUID | None:
    """Who the token speaks for, or None when it is forged, expired or for something else."""
    try:
        claims = jwt.decode(
            token,
            settings().jwt_secret,
            algorithms=[ALGORITHM],
            audience=audience,
            options={"require": ["exp", "sub", "aud"]},
        )
        return uuid.UUID(claims["sub"])
    except (jwt.InvalidTokenError, ValueError):
        return None


def issue_login(user_id: uuid.UUID) -> str:
    return issue(user_id, "login", timedelta(hours=settings().login_hours))


def media_link(video_id: uuid.UUID) -> str:
    token = issue(video_id, "media", timedelta(hours=settings().media_link_hours))
    return f"/media/{video_id}.mp4?token={token}"


def is_service_token(token: str) -> bool:
    return hmac.compare_digest(token.encode(), settings().service_token.encode())
