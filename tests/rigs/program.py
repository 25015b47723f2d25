"""Our own smmapd, as a program that user cyrus can start.

`make venv` puts it beside the interpreter that runs the tests.  Where the
clone lies in a folder that only its owner may enter (`/root`, a private
TMPDIR), master could not start it: then a copy of the program and of what it
imports is made in a folder that can be reached, once a test run.  The same
for smmapd-gateway, whose processes go on as user cyrus.
"""

from __future__ import annotations

import atexit
import functools
import glob
import os
import shutil
import sys
import sysconfig

from tests.rigs.folders import make_folder
from tests.rigs.processes import account, complete
from tests.rigs.require import require_program

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What the copied launcher imports from the environment's packages.
_PACKAGES = ("gevent", "greenlet", "zope", "xxhash", "prometheus_client")

# Ends with 0 if the gateway's source in the folder $1 can be imported.
_IMPORTS = "import sys, gateway.worker.core as c; sys.exit(not c.__file__.startswith(sys.argv[1]))"

# EX_CONFIG: it ran, and did not find its imapd.conf.
_RAN = 78


@functools.cache
def gateway_python(user: str = "cyrus") -> tuple[str, str]:
    """The interpreter for `-m gateway.cli.main` and its PYTHONPATH, reachable for `user`."""
    argv = [sys.executable, "-c", _IMPORTS, ROOT]
    try:
        done = complete(argv, user=account(user), env={"PYTHONPATH": ROOT})
    except PermissionError:
        return os.path.realpath(sys.executable), _copied_source()
    if done.returncode == 0:
        return sys.executable, ROOT
    return os.path.realpath(sys.executable), _copied_source()


@functools.cache
def smmapd_program() -> str:
    """The absolute path of smmapd, reachable for user cyrus."""
    path = os.path.join(os.path.dirname(sys.executable), "smmapd")
    require_program(path, "run `make venv`")
    if _runs(path):
        return path
    folder = _copied_source()
    return copy_launcher(os.path.join(folder, "bin-smmapd"), folder)


def _runs(path: str) -> bool:
    try:
        done = complete([path, "-X", "-C", "/nonexistent"], user=account("cyrus"))
    except PermissionError:
        return False
    return done.returncode == _RAN


@functools.cache
def _copied_source() -> str:
    """A folder with a copy of our source and of the packages that it imports."""
    folder = make_folder("prog")
    atexit.register(shutil.rmtree, folder)
    for name in ("gateway", "smmapd"):
        _copy_tree(os.path.join(ROOT, name), os.path.join(folder, name))
    packages = sysconfig.get_path("platlib")
    for name in _PACKAGES:
        source = os.path.join(packages, name)
        if os.path.isdir(source):
            _copy_tree(source, os.path.join(folder, name))
    for path in glob.glob(os.path.join(packages, "milter.*.so")):  # pymilter's C module
        shutil.copy(path, folder)
    return folder


def _copy_tree(source: str, target: str) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "tests"))


def copy_launcher(path: str, folder: str) -> str:
    """Write a launcher of the program in `folder` to `path` and return that."""
    with open(os.path.join(ROOT, "contrib", "launcher.in"), encoding="utf-8") as file:
        text = file.read()
    interpreter = os.path.realpath(sys.executable)
    for mark, value in (("@PYTHON@", interpreter), ("@SOURCE@", folder), ("@SITE@", folder)):
        text = text.replace(mark, value)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)
    return path
