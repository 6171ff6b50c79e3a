"""Bring the database to the schema of this image, then make sure of the first admin.

Every step is safe to repeat, and two runs at once wait for each other.
A migration only ever expands what the previous version needs; what is no longer
needed is dropped one version later, so the old API keeps working throughout.
"""

from logging.config import fileConfig

from alembic import context
from sqlalchemy import text

from app import faults, seed
from app.database import engine
from app.models import Base

MIGRATION_LOCK = 7_316_001

if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def migrate() -> None:
    faults.during_migration()
    with engine.connect() as guard:
        guard.execute(text("select pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        guard.commit()
        with engine.connect() as connection:
            # A migration that cannot get its lock must fail, not queue every
            # request of the running version behind itself.
            connection.execute(text("set lock_timeout = '10s'"))
            connection.commit()
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                transaction_per_migration=True,
            )
            with context.begin_transaction():
                context.run_migrations()
        seed.ensure_initial_admin()


if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    migrate()
