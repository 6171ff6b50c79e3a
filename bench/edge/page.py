"""The page `docs/benchmarks-edge.md`: one table of what is asked, one of each case, how to repeat."""
import statistics

from report import HEAD, cells, figure, is_noisy, ratios

INTRODUCTION = """# The edge beside other proxies

The last full run of `./x bench edge --write`; the page is written by it and not by hand, but for the notes.
Mainstay's data plane (`crates/edge`) stands beside nginx, HAProxy, Caddy and Traefik on loopback.
"""

METHOD = """
## How it was measured

- Every proxy forwards to the same nginx with one worker and static files of 1 KB and 100 KB; upstream, proxy and load tool share the machine's cores.
- In each round the contenders run in random order, each in a fresh process, {warm} s to warm up and {seconds} s that count; {rounds} rounds, {other_rounds} for Caddy and Traefik, to which no target refers.
- A value is the median of its runs. A ratio is made within each round, and the median of these is held against the target, because two neighbours in time are comparable and two rounds are not.
- CPU per request is user and system time of all the proxy's processes from /proc, divided by the answers. It is the steadier figure: throughput also tells how much the load tool and the upstream took of the same cores.
- Memory is proportional set size (`smaps_rollup`).
- A run is noisy when work that is not ours took more than 0.3 of a core (user, nice, system and stolen time); {noisy} of {runs} runs were.
- Equal settings: as many workers as cores, no access log but in the case that names it, keep-alive to the target (at most 128 idle connections, 4 s), and the same headers for the target: `X-Forwarded-For`, `X-Real-IP`, `Forwarded`, `X-Forwarded-Port`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Request-ID`, `traceparent`, and `Via` in the answer. Before measuring, every proxy was asked through a target that shows what it was sent, and must send what the edge sends.
- HAProxy, Caddy and Traefik make no `traceparent`, and Traefik no request id and no `Forwarded`: they send fixed ones of the same length.
- nginx keeps its default buffers, which are small for 100 KB; larger ones would help it there.
- HTTP/2 is by prior knowledge without TLS. TLS clients offer TLS 1.3 with AES-128-GCM and X25519 only, so that all do the same work; the certificate is ECDSA P-256.
- Full handshakes come from `openssl s_time -new`, which says of each connection whether a session was resumed; one that was ends the run. (wrk with `Connection: close` resumes nearly all and measures something else.)
- A proxy takes two files for each WebSocket. Where a process may open fewer than 20,200, fewer than 10,000 are asked for, and the target is missed for that reason alone; here a process may open {files}.
- Clients of the last two cases come from many loopback addresses, 500 connections each, because the edge bounds the connections of one client.
- Before the cost of access log, limits and header rules is measured, each is seen at work with a tight setting; afterwards the lines of the log are counted, because the edge leaves some out when its writer falls behind, and their cost would be missing.
"""

REPEAT = """
## How to repeat

`./x bench edge --write` on a quiet machine with Debian or Ubuntu (about {minutes} minutes, of which building is not counted); it installs what is missing.
`--quick` is for trying, `--only h1-1k,rate` for some cases, `--list` names them, `--json` prints rows and runs for programs.
"""


def render(report, notes):
    settings, machine = report["settings"], report["machine"]
    parts = [INTRODUCTION, measured_on(machine, report["versions"])]
    parts += [f"\n**{name} is missing here**: {why}.\n" for name, why in report["missing"].items()]
    parts += [f"\n**{problem['case']}, {problem['contender']}: not measured**: {problem['why']}.\n"
              for problem in report["problems"]]
    asked = [cells(row) for row in report["rows"] if row["target"] or row["unit"] == "x"]
    parts.append("\n## Targets\n\n" + markdown(HEAD, asked))
    parts.append("\n## Each case\n")
    parts += [case_table(name, report["shows"][name], runs) for name, runs in report["runs"].items()]
    if notes:
        parts.append("\n## Notes\n\n" + notes.strip() + "\n")
    parts.append(METHOD.format(**settings))
    parts.append(REPEAT.format(minutes=max(1, round(settings["took_seconds"] / 60))))
    parts.append("\n## Their settings\n\nAs for `h1-1k`; other cases add what they are named for.\n")
    parts += [f"\n{name}, `{file}`:\n\n```text\n{text.strip()}\n```\n"
              for name, files in report["configurations"].items() for file, text in files.items()]
    return "".join(parts)


def measured_on(machine, versions):
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (f"\nMeasured on {machine['date']} with {machine['cores']} cores ({machine['processor']}), "
            f"{machine['memory_gb']} GB of memory, kernel {machine['kernel']}, load {machine['load_before']} before.\n"
            f"Versions: {shown}.\n")


def markdown(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


COLUMNS = (
    ("rps", "req/s"), ("rate", "sent a second"), ("cpu_us", "CPU us/req"), ("p50", "p50 ms"), ("p99", "p99 ms"),
    ("asked", "asked for"), ("alive", "held"), ("bytes_each", "bytes each"), ("pss_rest", "PSS before MB"),
    ("pss", "PSS after MB"), ("failed", "failed"), ("logged", "log lines per request"),
)

# These are shown beside nginx too, where it takes part.
BESIDE_NGINX = ("rps", "cpu_us", "p99")


def case_table(name, shows, runs):
    """One line for each contender, with only the columns that somebody has a figure for."""
    everything = [run for results in runs.values() for run in results]
    columns = [(key, title) for key, title in COLUMNS if any(run.get(key) is not None for run in everything)]
    head, lines = [""], []
    for key, title in columns:
        head += [title, "x nginx"] if compared(key, runs) else [title]
    for label, results in runs.items():
        line = [label]
        for key, _ in columns:
            line.append(middle([run[key] for run in results if run.get(key) is not None]))
            if compared(key, runs):
                line.append(middle(ratios(label, "nginx", key, runs)[0]))
        lines.append([*line, f"{len(results)} ({sum(map(is_noisy, results))} noisy)"])
    return f"\n### {name}\n\n{shows[:1].upper()}{shows[1:]}.\n\n" + markdown([*head, "runs"], lines)


def compared(key, runs):
    return key in BESIDE_NGINX and "nginx" in runs


def middle(values):
    return figure(statistics.median(values)) if values else "-"
