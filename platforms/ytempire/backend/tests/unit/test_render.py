import os
from pathlib import Path

import pytest

from app.render import RenderFailed, command, render, run, wrap


def test_a_long_title_is_wrapped_and_cut():
    assert wrap("Why the night sky is dark, in three seconds").count("\n") == 1
    assert wrap("word " * 100).count("\n") == 3


def test_the_title_never_becomes_filter_syntax():
    words = command(Path("/tmp/title.txt"), 3, 1, Path("/tmp/out.mp4"))
    assert any("textfile=/tmp/title.txt:expansion=none" in word for word in words)


def test_a_real_video_is_written_whole(tmp_path):
    target = tmp_path / "video.mp4"
    rendered = render("It's 100% real: [v]; %{n}", 1, 42, target)
    assert target.read_bytes()[4:8] == b"ftyp"
    assert rendered.bytes == target.stat().st_size > 5_000
    assert rendered.cpu_seconds > 0
    assert os.listdir(tmp_path) == ["video.mp4"]


def test_a_failed_render_says_why():
    with pytest.raises(RenderFailed, match="no-such-file"):
        run(command(Path("/no-such-file"), 1, 1, Path("/no-such-folder/out.mp4")))
