"""Render one short video with ffmpeg: its title over moving colour, with a tone."""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"
WIDTH, HEIGHT, FRAMES_PER_SECOND = 640, 360, 24
PALETTES = [
    ("0x0f172a", "0x6366f1"),
    ("0x042f2e", "0x14b8a6"),
    ("0x3b0764", "0xec4899"),
    ("0x431407", "0xf59e0b"),
    ("0x082f49", "0x38bdf8"),
]
# Rendering that takes this long is stuck; the video fails and can be retried.
LIMIT_SECONDS = 120


class RenderFailed(Exception):
    """ffmpeg did not make the video; the text is the end of what it said."""


@dataclass(frozen=True)
class Rendered:
    bytes: int
    wall_seconds: float
    cpu_seconds: float


def command(title_file: Path, seconds: int, seed: int, target: Path) -> list[str]:
    dark, bright = PALETTES[seed % len(PALETTES)]
    pitch = 220 + 20 * (seed % 12)
    picture = (
        f"gradients=size={WIDTH}x{HEIGHT}:rate={FRAMES_PER_SECOND}:speed=0.02"
        f":nb_colors=2:c0={dark}:c1={bright}:seed={seed}:duration={seconds}"
        f":x0=0:y0=0:x1={WIDTH}:y1={HEIGHT}"
    )
    tone = f"sine=frequency={pitch}:beep_factor=4:sample_rate=44100:duration={seconds}"
    # The title comes from a file, so that nothing in it is read as filter syntax.
    title = (
        f"drawtext=fontfile={FONT}:textfile={title_file}:expansion=none:fontcolor=white"
        ":fontsize=34:text_align=C:x=(w-text_w)/2:y=(h-text_h)/2:shadowcolor=black@0.5:shadowx=2:shadowy=2"
    )
    bar = "drawbox=x=0:y=ih-6:w=iw:h=6:color=white@0.35:t=fill"
    return [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *["-hide_banner", "-loglevel", "error", "-nostdin", "-y"],
        *["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone],
        *["-filter_complex", f"[0:v]{title},{bar},format=yuv420p[v];[1:a]volume=0.2[a]"],
        *["-map", "[v]", "-map", "[a]", "-t", str(seconds)],
        *["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-threads", "2"],
        *["-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart"],
        str(target),
    ]


def wrap(title: str, width: int = 28) -> str:
    lines: list[str] = []
    for word in title.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word[:width])
    return "\n".join(lines[:4])


def render(title: str, seconds: int, seed: int, target: Path) -> Rendered:
    """Write `target` whole or not at all."""
    partial = target.with_name(f".{target.stem}.partial.mp4")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        title_file = Path(folder) / "title.txt"
        title_file.write_text(wrap(title))
        cpu_seconds = run(command(title_file, seconds, seed, partial))
    os.replace(partial, target)
    return Rendered(target.stat().st_size, time.monotonic() - started, cpu_seconds)


def run(words: list[str]) -> float:
    """Run to the end and return the processor seconds it took."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors)
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            # wait4, not wait: it is what tells this one child's processor time.
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                process.kill()
                os.wait4(process.pid, 0)
                process.returncode = -9
                raise RenderFailed(f"ffmpeg ran for more than {LIMIT_SECONDS} s")
            time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace")[-500:].strip()
            raise RenderFailed(said or f"ffmpeg ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime
