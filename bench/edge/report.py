"""Runs become rows, rows a table for a terminal or JSON for programs; `page.py` makes the page."""
import json
import math
import statistics

# What a run says, in the order it is shown: key, title, unit.
FIGURES = (
    ("rps", "throughput", "req/s"), ("cpu_us", "CPU per request", "us"), ("p50", "p50", "ms"), ("p99", "p99", "ms"),
    ("rate", "rate sent", "req/s"), ("asked", "asked for", "count"),
    ("alive", "held", "count"), ("bytes_each", "memory per connection", "bytes"),
    ("cpu_share", "CPU at rest and proof", "% of a core"),
    ("pss_rest", "PSS before", "MB"), ("pss", "PSS under load", "MB"),
    ("logged", "log lines per request", ""),
    ("new_upstream", "new upstream connections per request", ""), ("failed", "failed requests", "count"),
)

NOISE = 0.3


def is_noisy(run):
    return run["foreign"] > NOISE


def make_row(name, unit, values, bound=None, noisy=0):
    """As `./x bench` has them: the median of the runs, the bound it is held to, whether it was met, the spread."""
    row = {"name": name, "unit": unit, "target": None, "met": None, "runs": len(values), "noisy": noisy,
           "value": statistics.median(values) if values else None,
           "spread": {"min": min(values), "max": max(values)} if values else None}
    if bound:
        sense, limit = bound
        row["target"] = {sense: limit}
        # Without a single run nothing was shown.
        row["met"] = bool(values) and (row["value"] >= limit if sense == "at_least" else row["value"] <= limit)
    return row


def bound_of(target):
    for sense in ("at_least", "at_most"):
        if getattr(target, sense) is not None:
            return sense, getattr(target, sense)
    return None


def ratios(one, other, key, runs):
    """One for each round in which both were measured, and how many of the rounds were noisy."""
    mine = {run["round"]: run for run in runs.get(one, [])}
    theirs = {run["round"]: run for run in runs.get(other, [])}
    both = [(mine[turn], theirs[turn]) for turn in sorted(mine.keys() & theirs.keys())]
    values = [a[key] / b[key] for a, b in both if a.get(key) is not None and b.get(key)]
    return values, sum(is_noisy(a) or is_noisy(b) for a, b in both)


def target_row(case, target, runs):
    if target.to:
        values, noisy = ratios(target.of, target.to, target.key, runs)
        return make_row(f"{case.name}: {target.title}, {target.of} / {target.to}", "x", values, bound_of(target), noisy)
    mine = runs.get(target.of, [])
    values = [run[target.key] for run in mine if run.get(target.key) is not None]
    return make_row(f"{case.name}: {target.title}, {target.of}", target.unit, values, bound_of(target),
                    sum(map(is_noisy, mine)))


def case_rows(case, runs):
    """What is asked first, then every figure of everybody."""
    rows = [target_row(case, target, runs) for target in case.targets]
    for label, results in runs.items():
        for key, title, unit in FIGURES:
            values = [run[key] for run in results if run.get(key) is not None]
            if values:
                name = f"{case.name}: {label}, {title}"
                rows.append(make_row(name, unit, values, noisy=sum(map(is_noisy, results))))
    return rows


def figure(value):
    if value is None or math.isnan(value):
        return "none"
    if value and abs(value) < 0.01:
        return f"{value:.4f}"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


HEAD = ("figure", "value", "target", "met", "runs", "noisy", "spread")


def cells(row):
    unit = "" if row["unit"] in ("count", "") else f" {row['unit']}"
    target = row["target"]
    shown = "-"
    if target:
        (sense, limit), = target.items()
        shown = f"{'>=' if sense == 'at_least' else '<='} {figure(limit)}{unit}"
    met = {None: "-", True: "yes", False: "NO"}[row["met"]]
    spread = row["spread"]
    return (row["name"], figure(row["value"]) + unit, shown, met, str(row["runs"]), str(row["noisy"]),
            f"{figure(spread['min'])} to {figure(spread['max'])}" if spread else "-")


def table(rows):
    lines = [HEAD, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = ""
    for line in lines:
        first = f"{line[0]:<{widths[0]}}"
        text += "  ".join([first, *(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:]))]) + "\n"
    return text


def noise_of(results):
    """Runs marked noisy, and all runs."""
    runs = [run for case in results.values() for contender in case.values() for run in contender]
    return sum(map(is_noisy, runs)), len(runs)


def as_json(report):
    return json.dumps(report, indent=2)
