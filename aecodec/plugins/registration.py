"""Tells Pillow and imageio of `.aec` files, at once where they are loaded, else when they are.

Neither library looks for plugins of other packages by itself, and `import aecodec` must not load
them. What is registered here imports the plugins, and NumPy with them, on first use.

Source: Python's language reference, "The import system", section 5.3.4, "The meta path".
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import IO, Any

from aecodec.plugins.names import FORMAT, MIME_TYPE, NAME, SUFFIX

SIGNATURE_START = b"\x89AEC"
"""The part of the signature that no version of the format changes."""


def register() -> None:
    """Registers with the libraries that are loaded, and has the others registered with later."""
    waiting = {}
    for name, tell in _LIBRARIES.items():
        module = sys.modules.get(name)
        if module is None:
            waiting[name] = tell
        else:
            tell(module)
    if waiting and not any(isinstance(each, _Waiting) for each in sys.meta_path):
        sys.meta_path.insert(0, _Waiting(waiting))


def _tell_pillow(image: Any) -> None:  # noqa: ANN401  # the module `PIL.Image`
    image.register_open(FORMAT, _open, _accept)
    image.register_save(FORMAT, _save)
    image.register_extension(FORMAT, SUFFIX)
    image.register_mime(FORMAT, MIME_TYPE)


def _tell_imageio(config: Any) -> None:  # noqa: ANN401  # the module `imageio.config`
    others = dict(config.known_plugins)
    config.known_plugins.clear()  # to stand first: Pillow's would round 16 bits to 8
    config.known_plugins[NAME] = config.PluginConfig(
        name=NAME, class_name="AecPlugin", module_name="aecodec.plugins.imageio"
    )
    config.known_plugins.update(others)
    config.known_extensions[SUFFIX] = [
        config.FileExtension(name="aecodec", extension=SUFFIX, priority=[NAME])
    ]


_LIBRARIES: dict[str, Callable[[Any], None]] = {
    "PIL.Image": _tell_pillow,
    "imageio.config": _tell_imageio,
}
"""The modules that keep what is registered."""


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(SIGNATURE_START)


def _open(file: IO[bytes], name: str | bytes) -> Any:  # noqa: ANN401  # a picture of Pillow's
    from aecodec.plugins.pillow import AecImageFile

    return AecImageFile(file, name)


def _save(image: Any, file: IO[bytes], _name: str | bytes) -> None:  # noqa: ANN401  # the same
    from aecodec.plugins.pillow import save

    save(image, file)


class _Waiting:
    """Stands before the other finders until the last of the libraries is imported."""

    def __init__(self, waiting: dict[str, Callable[[Any], None]]) -> None:
        self._waiting = waiting

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification that the other finders give, for a library that is waited for."""
        tell = self._waiting.pop(name, None)
        if tell is None:
            return None
        others = [each for each in sys.meta_path if each is not self]
        if not self._waiting:
            sys.meta_path[:] = others
        for finder in others:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Telling(spec.loader, tell)  # type: ignore[assignment]  # the same
                return spec
        return None


class _Telling:
    """Loads a module as its own loader does, and tells of it."""

    def __init__(self, loader: Any, tell: Callable[[Any], None]) -> None:  # noqa: ANN401
        self._loader, self._tell = loader, tell

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever else a loader offers
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module, which then has its own loader."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._tell(module)
