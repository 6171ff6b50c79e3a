"""Ends with status 0 when the worker of this container has nothing in hand."""

import socket
import sys

from app import app

me = f"celery@{socket.gethostname()}"
asked = app.control.inspect(destination=[me], timeout=2.0)
hands = [asked.active(), asked.reserved()]
sys.exit(0 if all(answer is not None and not answer.get(me) for answer in hands) else 1)
