"""What SECURITY.md promises of the source: calls that do not occur in it, or in one named place.

The table says which module may do what a mail server's helper rarely needs;
an addition to it has its reason in SECURITY.md.
"""

from __future__ import annotations

import ast
import re

import pytest

from tests.sources import ROOT, SOURCES, dotted, prefixes, tree, uses

# smmapd's option -D runs imapd.conf's debug_command by the shell, as every Cyrus service does.
DEBUGGER = "smmapd/main.py"
# Our own modules, compiled by the installation, as Python has them in files of its own.
ARCHIVE = "smmapd/archive.py"

# Call or import, by its dotted name, and the modules in which it may stand.
ALLOWED: dict[str, frozenset[str]] = {
    # Bytes of others never become code or objects.
    "eval": frozenset(),
    "exec": frozenset({ARCHIVE}),
    "compile": frozenset(),
    "__import__": frozenset(),
    "pickle": frozenset(),
    "marshal": frozenset({ARCHIVE}),
    "shelve": frozenset(),
    "xml": frozenset(),
    "yaml": frozenset(),
    # No shell; other programs by a list of words: our own children, and Postfix' postconf,
    # postmap and postalias.
    "os.system": frozenset(),
    "os.popen": frozenset(),
    "pty": frozenset(),
    "subprocess": frozenset(
        {
            "gateway/supervisor/children.py",
            "gateway/mta/programs.py",
            DEBUGGER,
        }
    ),
    "os.fork": frozenset({"gateway/cli/checks/access.py", "gateway/cli/checks/asuser.py"}),
    # Names in the file system: our own Unix sockets.
    "os.unlink": frozenset({"gateway/supervisor/unixsockets.py"}),
    "os.remove": frozenset(),
    "os.rmdir": frozenset(),
    "os.mkdir": frozenset(),
    "os.makedirs": frozenset(),
    "os.rename": frozenset(),
    "os.replace": frozenset(),
    "os.link": frozenset(),
    "os.symlink": frozenset(),
    "os.truncate": frozenset(),
    "os.ftruncate": frozenset(),
    "os.chmod": frozenset({"gateway/supervisor/unixsockets.py"}),
    "os.chown": frozenset({"gateway/supervisor/unixsockets.py"}),
    "shutil.copyfile": frozenset(),
    "shutil.copy": frozenset(),
    "shutil.move": frozenset(),
    "shutil.rmtree": frozenset(),
    "tempfile": frozenset(),
    # The C library by hand: inotify(7), the access check of libwrap, and posix_spawn(3), which
    # starts a program without keeping Python's lock until it runs.
    "ctypes": frozenset(
        {
            "gateway/cyrus/inotify.py",
            "gateway/mta/spawn.py",
            "gateway/server/affinity.py",
            "smmapd/access.py",
        }
    ),
}

# Flags of os.open that write, and modes of open().
WRITING_FLAGS = frozenset({"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC"})
# Standard output of a command whose reader has gone is turned to the null device, and so are
# standard descriptors that are closed, and those of a process that says nothing.  A process that
# others can do without tells the kernel so.
WRITING = frozenset(
    {
        "gateway/cli/main.py",
        "gateway/cli/__init__.py",
        "gateway/server/builderprocess.py",
        "gateway/worker/indexbuilder.py",
    }
)


@pytest.mark.parametrize("path", SOURCES)
def test_dangerous_calls_stand_where_they_are_expected(path: str) -> None:
    """Nothing of the table stands in a module that it does not name."""
    found = [
        f"{path}:{line}: {name}"
        for line, used in uses(path)
        for name in prefixes(used)
        if name in ALLOWED and path not in ALLOWED[name]
    ]
    assert found == []


@pytest.mark.parametrize("path", SOURCES)
def test_no_file_is_written(path: str) -> None:
    """Files are opened for reading; logs, counts and answers go to descriptors that are handed in."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and node.attr in WRITING_FLAGS and path not in WRITING:
            found.append(f"{path}:{node.lineno}: {node.attr}")
        if isinstance(node, ast.Call) and dotted(node.func) in ("open", "io.open"):
            modes = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "mode")]
            found += [
                f"{path}:{node.lineno}: open for writing"
                for mode in modes
                if not isinstance(mode, ast.Constant) or set(str(mode.value)) & set("wax+")
            ]
        if isinstance(node, ast.keyword) and node.arg == "shell" and path != DEBUGGER:
            found.append(f"{path}:{node.value.lineno}: shell=")
    assert found == []


def test_every_exception_is_still_needed() -> None:
    """What the table allows is there; else the exception goes."""
    for name, paths in ALLOWED.items():
        for path in paths:
            used = {each for _line, found in uses(path) for each in prefixes(found)}
            assert name in used, (name, path)


def test_what_holds_a_promise_is_there() -> None:
    """Every file that SECURITY.md names exists."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests/|constraints)[^`]*)`", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
