"""Parts of the command line that need no centre."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil
import pytest

from cli import output, processes, wishes
from cli.connection import Connection, find
from suanwang.clock import SystemClock
from suanwang.errors import Unavailable


def test_wishes_that_were_not_said_are_left_out() -> None:
    metadata = wishes.metadata_of(units=2, origin=None, latency_ms=5.0, voucher=True)
    assert metadata == {"units": "2", "latency_ms": "5.0"}


def test_paying_cash_only_is_said() -> None:
    assert wishes.metadata_of(voucher=False) == {"voucher": "no"}


def test_equal_folders_make_equal_packages(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "__pycache__").mkdir(parents=True)
        (folder / "__pycache__" / "x.pyc").write_bytes(os.urandom(8))
        (folder / "train.py").write_text("print(1)")
        (folder / "train.py").chmod(0o644)
    uri_a, content = wishes.pack(tmp_path / "a")
    uri_b, _ = wishes.pack(tmp_path / "b")
    assert uri_a == uri_b
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["train.py"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        wishes.pack(tmp_path / "nothing")


def test_a_table_in_a_pipe_is_plain_and_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("site", "PUE"), [("崂山", "1.2"), ("zhongwei", "1.15")])
    assert capsys.readouterr().out == "site      PUE\n崂山      1.2\nzhongwei  1.15\n"


def test_a_saved_connection_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("SUANWANG_SERVER__STATE_DIR", str(tmp_path))
    saved = Connection(url="http://127.0.0.1:1", api_key="swk_saved")
    path = saved.save(tmp_path)
    assert path.stat().st_mode & 0o077 == 0
    assert find() == saved
    assert find(url="http://127.0.0.1:2", api_key="swk_other") == Connection(
        url="http://127.0.0.1:2", api_key="swk_other"
    )


def test_a_supervisor_leaves_no_process_behind(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "subprocess.Popen(sleep, start_new_session=True)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    told: list[str] = []
    with processes.Supervisor(SystemClock(), tmp_path, told.append) as supervisor:
        child = supervisor.start("child", ["-c", script])
        supervisor.wait_for("child", lambda: "up" in child.log.read_text(), 20)
        marker = supervisor.marker
    assert processes.sweep(marker) == 0
    assert "swept 1 process left behind" in told


def test_a_child_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with processes.Supervisor(SystemClock(), tmp_path, lambda _: None) as supervisor:
        supervisor.start("child", ["-c", "raise SystemExit('no disk')"])
        with pytest.raises(Unavailable, match="no disk"):
            supervisor.wait_for("child", lambda: False, 20)


def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from cli.processes import Supervisor\n"
        "from suanwang.clock import SystemClock\n"
        f"with Supervisor(SystemClock(), Path({str(tmp_path)!r}), print) as s:\n"
        "    c = s.start('child', ['-c', 'import time; time.sleep(600)'])\n"
        "    print(c.process.pid, flush=True)\n"
        "    SystemClock().sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    SystemClock().sleep(0.5)
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    gone, alive = psutil.wait_procs([child], timeout=10)
    assert gone
    assert not alive


def test_free_ports_are_consecutive_and_free() -> None:
    base = processes.free_port_block(3, 15_000)
    assert base >= 15_000


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["submit", "--help"]])
def test_help_imports_no_heavy_part(command: list[str]) -> None:
    script = (
        "import sys; sys.argv = ['suanwang', *sys.argv[1:]]\n"
        "from cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'fastapi', 'ray', 'sqlalchemy', 'numpy', 'httpx'} & set(sys.modules)\n"
        "raise SystemExit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
