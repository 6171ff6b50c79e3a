"""Whether something grows: by the slope over requests under load, and by what is left when all is quiet again."""
import dataclasses

# So much memory may be gained for each request; what is kept of every request is larger than that.
MOST_BYTES = 1.0
# Of files, threads and tasks, so many per 100,000 requests: a leak of one kind of client would be more.
MOST_THINGS = 2.0
# What an allocator keeps for the next load.
MOST_KB_LEFT = 12 * 1024


@dataclasses.dataclass
class Row:
    name: str
    value: float
    unit: str
    target: str
    met: bool


def slope(pairs):
    """Least squares; pairs of x and y."""
    pairs = list(pairs)
    mean_x, mean_y = (sum(values) / len(pairs) for values in zip(*pairs))
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread if spread else 0.0


def rows(before, under, after, enough):
    """`before` and `after` are samples of an idle edge, `under` those of the load without its beginning."""
    requests = under[-1].requests - before.requests
    found = [Row("requests", requests, "", f">= {enough:,}", requests >= enough)]
    found.append(growth("pss growth", under, lambda one: one.pss_kb * 1024, 1, "bytes a request", MOST_BYTES))
    for name, of in (("files", lambda one: one.files), ("threads", lambda one: one.threads),
                     ("tasks", lambda one: one.tasks), ("connections", lambda one: one.connections),
                     ("draining releases", lambda one: one.draining)):
        found.append(growth(f"{name} growth", under, of, 100_000, "per 100,000 requests", MOST_THINGS))
    left = after.pss_kb - before.pss_kb
    found.append(Row("pss left at rest", left, "kB", f"<= {MOST_KB_LEFT}", left <= MOST_KB_LEFT))
    for name in ("files", "threads", "tasks", "connections", "in_flight", "websockets", "draining"):
        left = getattr(after, name) - getattr(before, name)
        found.append(Row(f"{name.replace('_', ' ')} left at rest", left, "", "<= 0", left <= 0))
    return found


def growth(name, under, of, per, unit, most):
    value = slope((one.requests, of(one)) for one in under) * per
    return Row(name, round(value, 3), unit, f"<= {most:g}", value <= most)
