"""What a command does before it imports torch, so that it starts and runs fast.

Only here, in a process of our own: a library must not change torch for the programs that use it.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

DEFERRED = "torch._meta_registrations"
"""Shapes of results without results, for compilers: a quarter of the time to import torch."""
SPIN_COUNT = "1000"
"""Rounds that GNU OpenMP's threads wait in a loop before they sleep, by default 300,000.

Where another process holds one of two cores, decoding 768x512 pixels took 4 s with the default and
0.4 s so; where none does, it takes 4 % longer.
"""
_CHOICES = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}


def prepare_torch() -> None:
    """To be called before torch is imported, by commands that only code pictures."""
    if "torch" in sys.modules:
        return
    if not _CHOICES & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    sys.meta_path.insert(0, _Deferring())


class _Deferring(MetaPathFinder):
    """Finds the deferred module as one that loads when something of it is first asked for.

    `importlib.util.LazyLoader` would load it when it is asked for its file, as `inspect` does.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != DEFERRED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LateLoader(spec.loader)
        return spec


class _LateLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _LateModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["_late_loader"] = self._loader


class _LateModule(ModuleType):
    def __getattr__(self, name: str) -> object:
        loader = None if name.startswith("__") else self.__dict__.pop("_late_loader", None)
        if loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        loader.exec_module(self)
        return getattr(self, name)
