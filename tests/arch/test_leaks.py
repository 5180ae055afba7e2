"""A suite that leaves a process behind fails, and the process is ended."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LEAK = """
import subprocess
def test_leak():
    print("PID", subprocess.Popen(["sleep", "60"]).pid)
"""


def test_a_process_left_behind_fails_the_suite(tmp_path: Path) -> None:
    shutil.copy(REPO / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_leak.py").write_text(LEAK)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    leaked = re.search(r"PID (\d+)", done.stdout)
    assert leaked is not None, done.stdout
    assert done.returncode == 1
    assert f"left behind by the tests: {leaked[1]} sleep 60" in done.stdout
    assert not Path(f"/proc/{leaked[1]}").exists()
