"""The compiled modules of a start, read from one file, so that Python need not look for each.

A process that answers one question spends more time on finding, checking and reading forty
compiled files than on running them.  At installation they are put into one file
(contrib/writearchive.py), beside those that Python itself has written; the launcher lets Python
ask here first.

The source stays what counts.  A module is taken from here only while its source file has the
size and the time of change, in nanoseconds, that it had when it was compiled: what Python
asks of its own compiled files, in whole seconds.  Whatever differs or is not here,
and all of it where the file is missing, cut off, or of another version of Python or ours, comes as
without it.
"""

# Not from __future__: that module is one of those in the archive.
import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import CodeType, ModuleType

    # By a module's name: the source's path, below the root or absolute; its size in bytes and its
    # time of change in nanoseconds; whether it is a package; its code.
    Modules = Mapping[str, tuple[str, int, int, bool, CodeType]]

# The folder that holds our packages, as Python was told it.
ROOT = os.path.dirname(os.path.dirname(__file__))

# Each version of Python has its own, as it has its own compiled files.
PATH = f"{ROOT}/smmapd/__pycache__/start.{sys.implementation.cache_tag}.archive"

# What an archive begins with: the version of Python's bytecode, and that of `Modules`, to be raised
# where it changes: the file of another version of ours may still be there.
MAGIC = MAGIC_NUMBER + b"1"


class Archive:
    """Finds and loads the modules of `modules`, for `sys.meta_path`."""

    __slots__ = ("_modules",)

    def __init__(self, modules: "Modules") -> None:
        self._modules = modules

    def find_spec(
        self, name: str, _path: "Sequence[str] | None" = None, _target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """The module `name`, unless its source is another one than was compiled."""
        entry = self._modules.get(name)
        if entry is None:
            return None
        path, size, changed, package, _ = entry
        path = os.path.join(ROOT, path)
        try:
            status = os.stat(path)
        except OSError:
            return None
        if status.st_size != size or status.st_mtime_ns != changed:
            return None
        # typeshed wants a subclass of importlib.abc.Loader, which costs more than all this saves
        spec = ModuleSpec(name, self, origin=path)  # type: ignore[arg-type]
        if package:
            spec.submodule_search_locations = [os.path.dirname(path)]
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run its code."""
        spec = module.__spec__
        assert spec is not None
        module.__file__ = spec.origin
        exec(self._modules[module.__name__][4], module.__dict__)  # noqa: S102


def use() -> None:
    """Let Python ask the archive before it looks for files, if there is one of use."""
    try:
        descriptor = os.open(PATH, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        data = os.read(descriptor, os.fstat(descriptor).st_size)
    except OSError:
        return
    finally:
        os.close(descriptor)
    if data.startswith(MAGIC):
        try:
            modules = marshal.loads(memoryview(data)[len(MAGIC) :])  # noqa: S302
        except (EOFError, ValueError, TypeError):
            return
        if isinstance(modules, dict):
            sys.meta_path.insert(0, Archive(modules))
