"""How regions of interest and masks are written on the command line."""

from typing import TYPE_CHECKING

import click

from aecodec.errors import InputError
from aecodec.format.interest import Roi, RoiMask
from aecodec.format.tiling import Region
from aecodec.storage.arguments import load

if TYPE_CHECKING:
    _RoiType = click.ParamType[Roi]
    _MaskType = click.ParamType[RoiMask]
else:
    _RoiType = _MaskType = click.ParamType


class RoiArgument(_RoiType):
    """A region with its offset, as in 10,20,300,200:+20."""

    name = "X,Y,W,H:OFFSET"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Roi:
        """The region; refuses anything else."""
        if isinstance(value, Roi):
            return value
        place, _, offset = str(value).rpartition(":")
        try:
            left, top, width, height = (int(number) for number in place.split(","))
            region = Region(left, top, width, height)
            change = float(offset)
        except ValueError:
            self.fail(
                f"{value!r} is no region; write X,Y,W,H:OFFSET, as in 10,20,300,200:+20",
                param, ctx,
            )  # fmt: skip
        try:
            region.check(left + width, top + height)  # of any picture, for now
            return Roi(region, change)
        except InputError as exc:
            self.fail(str(exc), param, ctx)


class MaskArgument(_MaskType):
    """A mask with its offset, as in mask.png:+20."""

    name = "FILE:OFFSET"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> RoiMask:
        """The mask, which is read; refuses what names none.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(value, RoiMask):
            return value
        name, _, offset = str(value).rpartition(":")
        try:
            change = float(offset)
        except ValueError:
            change = None
        if not name or change is None:
            self.fail(f"{value!r} is no mask; write FILE:OFFSET, as in mask.png:+20", param, ctx)
        try:
            RoiMask(b"", change)
        except InputError as exc:
            self.fail(str(exc), param, ctx)
        return RoiMask(load(name), change, name)
