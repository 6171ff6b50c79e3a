"""What /proc says: CPU and memory of processes, how much of the machine others use."""
import os
import pathlib
import platform
import resource
import socket
import time

TICK = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))


def family(pid):
    """The process and all its children."""
    pids = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # A thread that ended between the listing and the look.
        for child in children:
            pids += family(int(child))
    return pids


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def pss_kb(pid):
    """Proportional memory: what several processes share is counted once."""
    total = 0
    for one in family(pid):
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def busy_seconds(stat=None):
    """User, nice, system and stolen time of all cores.

    Interrupts are left out: on loopback they belong to the load itself, and /proc charges them to no process.
    """
    fields = (stat or pathlib.Path("/proc/stat").read_text()).splitlines()[0].split()
    return sum(int(fields[n]) for n in (1, 2, 3, 8)) / TICK


class Window:
    """A stretch of time: CPU of the processes named, and of everybody who is not one of ours."""

    def __init__(self, measured, others):
        """`measured` is the peer's process id, `others` are ours that run beside it (the upstream)."""
        self.measured, self.others = measured, others
        self.before = self._look()

    def _look(self):
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)  # The load tool, once it has ended.
        ours = spent.ru_utime + spent.ru_stime + time.process_time() + sum(map(cpu_seconds, self.others))
        return time.monotonic(), cpu_seconds(self.measured), ours, busy_seconds()

    def end(self):
        """Seconds, the peer's CPU seconds, and the cores that foreign work took."""
        began, now = self.before, self._look()
        seconds, cpu, ours, busy = (after - before for before, after in zip(began, now))
        return seconds, cpu, max(0.0, (busy - cpu - ours) / seconds)


def raise_file_limit():
    """The soft limit becomes the hard one, for this process and all that it starts; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def facts():
    """The machine, in the words of the report."""
    text = pathlib.Path("/proc/meminfo").read_text()
    memory = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("MemTotal:"))
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": CORES,
        "processor": _processor(),
        "memory_gb": memory // 1_000_000,
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
