"""Fuzzes each target for some seconds, guided by coverage: `python -m tests.fuzz --seconds 60`.

Each target is a process of its own, because libFuzzer never comes back.  An
input that fails is left in the folder `--findings`, and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Bytes; longer inputs show nothing that these do not.
MAX_INPUT = 4096

# Seconds that one input may take.
SLOW = 10


def main() -> int:
    """Run what the command line names; all targets by default."""
    words = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    words.add_argument("targets", nargs="*")
    words.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    words.add_argument("--findings", default=tempfile.gettempdir(), help="folder for what fails")
    words.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.child:
        _fuzz(given.targets[0], given.seconds, given.findings)
        return 0
    try:
        import atheris as _  # noqa: F401
    except ImportError:
        print(
            "atheris is not installed: pip install --require-hashes -r constraints-fuzz.txt",
            file=sys.stderr,
        )
        return 69
    from tests.fuzz.targets import TARGETS

    failed = False
    for name in given.targets or TARGETS:
        command = [sys.executable, "-m", "tests.fuzz", "--child", name]
        command += ["--seconds", str(given.seconds), "--findings", given.findings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = re.search(r"Done (\d+) runs", done.stdout + done.stderr)
        print(f"{name}: {runs[1] + ' runs' if runs else 'FAILED'}", flush=True)
        if done.returncode or not runs:
            # The exception, and where libFuzzer has left the input.
            print(done.stdout[-4000:], done.stderr[-1000:], flush=True)
            failed = True
    return 1 if failed else 0


def _fuzz(name: str, seconds: int, findings: str) -> None:
    import atheris

    # Before anything of the gateway is imported.
    with atheris.instrument_imports(include=["gateway"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus = tempfile.mkdtemp()
    for number, seed in enumerate(target.seeds):
        Path(corpus, str(number)).write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT}",
        f"-timeout={SLOW}",
        f"-artifact_prefix={findings}/{name}-",
        corpus,
    ]
    atheris.Setup([sys.argv[0], *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
