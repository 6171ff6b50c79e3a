"""The order of things: rounds, contenders in random order within each, and what becomes of those that do not work."""
import random
import subprocess

import report
from cases import CASES
from lab import Broken
from peers import Plan
from recorder import unequal

# No target refers to these two, so they are measured less often.
BESIDE = ("Caddy", "Traefik")

# A process that dies under the measuring shows itself as a file or a connection that is gone.
TROUBLE = (Broken, OSError, subprocess.SubprocessError)


def measure_all(bench, chosen, tell):
    """All cases; what cannot be measured is a problem with a name, and the rest goes on."""
    results, problems = {}, []

    def problem(case, contender, why):
        problems.append({"case": case, "contender": contender, "why": str(why)})
        tell(f"NOT MEASURED: {case}, {contender}: {why}")

    for name, why in unequal(bench.peers, bench.lab, lambda target: Plan(upstream=target)):
        problem("equal settings", name, why)
    for case in CASES.values():
        if chosen.only and case.name not in chosen.only.split(","):
            continue
        results[case.name] = runs = {}
        contenders = proved(bench, case, problem)
        for turn in range(min(chosen.rounds, case.rounds)):
            for one in random.sample(contenders, len(contenders)):
                if one.peer in BESIDE and turn >= chosen.other_rounds:
                    continue
                try:
                    run = {"round": turn, **case.measure(bench, case, one)}
                except TROUBLE as why:
                    problem(case.name, one.label, why)
                    contenders = [other for other in contenders if other is not one]
                    continue
                runs.setdefault(one.label, []).append(run)
                tell(line(case, one, run))
        results[case.name] = {one.label: runs[one.label] for one in case.contenders if one.label in runs}
    return results, problems


def proved(bench, case, problem):
    """Those contenders that are here and do what they are measured for."""
    good = []
    for one in case.contenders:
        if one.peer not in bench.peers:
            continue
        try:
            if one.prove:
                one.prove(bench.peers, bench.lab, one.plan)
            good.append(one)
        except TROUBLE as why:
            problem(case.name, one.label, why)
    return good


def line(case, contender, run):
    shown = [f"{title} {report.figure(run[key])} {unit}".strip() for key, title, unit in report.FIGURES
             if run.get(key) is not None and key in ("rps", "cpu_us", "p99", "alive", "bytes_each", "failed")]
    noise = f"foreign {run['foreign']:.2f} cores" + (" NOISY" if report.is_noisy(run) else "")
    return f"{case.name:10} {contender.label:12} {', '.join(shown)}, {noise}"
