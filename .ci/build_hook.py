"""Hatch's hook: a wheel holds the kernel of its platform where a compiler is found.

Without a compiler the wheel is pure, and what it installs decodes with NumPy.
"""

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

BUILD = Path("aecodec", "decoder", "build_kernel.py")


class KernelHook(BuildHookInterface[Any]):
    """Compiles before a wheel is packed or an editable installation is made."""

    PLUGIN_NAME = "kernel"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatch calls this with "standard" or "editable"."""
        tools = runpy.run_path(str(Path(self.root, BUILD)))
        place = Path(tools["SOURCES"], tools["LIBRARY_NAME"])
        self._made = tempfile.TemporaryDirectory(prefix="aecodec-kernel-")
        target = place if version == "editable" else Path(self._made.name, place.name)
        try:
            tools["build_native"](target)
        except tools["BuildError"] as exc:
            self.app.display_warning(f"without a kernel, aecodec computes with NumPy: {exc}")
            return
        if version != "editable":
            build_data["force_include"][str(target)] = str(place.relative_to(self.root))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{next(iter(platform_tags()))}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Hatch calls this when the wheel is complete."""
        del version, build_data, artifact_path
        self._made.cleanup()
