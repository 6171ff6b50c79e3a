"""The first administrator, from the environment. Never changes one that exists."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from app.database import new_session
from app.models import User
from app.security import hash_password
from app.settings import settings


def ensure_user(email: str, password: str, role: str) -> bool:
    """True when the user was created, False when one with that address was there."""
    email = email.strip().lower()
    with new_session.begin() as session:
        if session.scalar(select(func.count()).where(User.email == email)):
            return False
        created = session.execute(
            insert(User)
            .values(email=email, password_hash=hash_password(password), role=role)
            .on_conflict_do_nothing(index_elements=["email"])
            .returning(User.id)
        )
        return created.first() is not None


def ensure_initial_admin() -> None:
    email, password = settings().initial_admin_email, settings().initial_admin_password
    if email and password:
        ensure_user(email, password, "admin")
