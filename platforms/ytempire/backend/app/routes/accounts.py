"""Log in; see oneself; and, for an administrator, see and create users."""

import logging
import uuid
from datetime import datetime
from typing import Annotated, Literal

import redis
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import select

from app import security
from app.access import CurrentUser, Database, administrator, unauthorized
from app.models import User
from app.queue import store
from app.seed import ensure_user
from app.settings import settings

router = APIRouter(prefix="/api", tags=["accounts"])
log = logging.getLogger("ytempire.accounts")


class Login(BaseModel):
    email: str = Field(max_length=200)
    password: str = Field(max_length=200)


class NewUser(BaseModel):
    email: str = Field(max_length=200, pattern=r"^[^@\s]+@[^@\s]+$")
    password: str = Field(min_length=12, max_length=security.LONGEST_PASSWORD)
    role: Literal["admin", "creator"] = "creator"


class UserView(BaseModel, from_attributes=True):
    id: uuid.UUID
    email: str
    role: str
    created_at: datetime


class Session(BaseModel):
    access_token: str
    token_type: str = "bearer"
    user: UserView


@router.post("/auth/login")
def log_in(login: Login, request: Request, database: Database) -> Session:
    email = login.email.strip().lower()
    failures = f"login-failures:{request.client.host if request.client else '-'}:{email}"
    if too_many(failures):
        raise HTTPException(
            429, "too many failed attempts: wait a minute", headers={"Retry-After": "60"}
        )
    user = database.scalar(select(User).where(User.email == email))
    if not security.check_password(login.password, user.password_hash if user else None):
        count_failure(failures)
        log.warning("login refused", extra={"fields": {"email": email}})
        raise unauthorized("wrong e-mail address or password")
    return Session(access_token=security.issue_login(user.id), user=UserView.model_validate(user))


def too_many(key: str) -> bool:
    """Without Redis nobody is locked out: bcrypt still makes guessing slow."""
    try:
        return int(store.get(key) or 0) >= settings().login_failures_per_minute
    except redis.RedisError:
        return False


def count_failure(key: str) -> None:
    try:
        with store.pipeline() as steps:
            steps.incr(key).expire(key, 60).execute()
    except redis.RedisError:
        log.warning("a failed login could not be counted")


@router.get("/auth/me")
def me(user: CurrentUser) -> UserView:
    return UserView.model_validate(user)


@router.get("/users", dependencies=[Depends(administrator)])
def users(database: Database) -> list[UserView]:
    return [UserView.model_validate(u) for u in database.scalars(select(User).order_by(User.email))]


@router.post("/users", status_code=201)
def create_user(
    new: NewUser, _: Annotated[User, Depends(administrator)], database: Database
) -> UserView:
    if not ensure_user(new.email, new.password, new.role):
        raise HTTPException(409, "a user with this address exists")
    created = database.scalar(select(User).where(User.email == new.email.lower()))
    return UserView.model_validate(created)
