"""Management commands: `python -m app.cli --help`."""

import argparse
import getpass
import sys

from sqlalchemy import select

from app.database import new_session
from app.models import User
from app.security import LONGEST_PASSWORD, hash_password
from app.seed import ensure_user


def read_password() -> str:
    """From a terminal, or one line of standard input; never from the command line."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not 12 <= len(password.encode()) <= LONGEST_PASSWORD:
        sys.exit(f"a password is 12 to {LONGEST_PASSWORD} bytes long")
    return password


def create_user(arguments: argparse.Namespace) -> None:
    created = ensure_user(arguments.email, read_password(), arguments.role)
    print(f"{arguments.email}: {'created' if created else 'already there, unchanged'}")


def set_password(arguments: argparse.Namespace) -> None:
    password = read_password()
    with new_session.begin() as session:
        user = session.scalar(select(User).where(User.email == arguments.email.lower()))
        if user is None:
            sys.exit(f"{arguments.email}: no such user")
        user.password_hash = hash_password(password)
    print(f"{arguments.email}: password changed")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m app.cli", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    create = commands.add_parser("create-user", help="create a user; the password is read")
    create.add_argument("email")
    create.add_argument("--role", choices=["admin", "creator"], default="creator")
    create.set_defaults(run=create_user)
    change = commands.add_parser("set-password", help="change a user's password")
    change.add_argument("email")
    change.set_defaults(run=set_password)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
