"""CompressAI's models without their trained weights, which it would have to download.

For times only: the transforms take their usual time, but the bytes and the pictures mean nothing,
and the entropy coder meets other symbols than a trained model would give it.
"""

import struct

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import pad

from benchmarks.codecs import CodecUnavailableError, ImageCodec, describe
from benchmarks.contestants import PREFIX

QUALITY = 4
INSTALL = "pip install compressai"
_HEAD = struct.Struct("<4HI")
_STRIDE = 64


def untrained(name: str) -> ImageCodec:
    """A model of CompressAI's zoo with one hyperprior, at quality 4 of 8, with random weights.

    Raises:
        CodecUnavailableError: CompressAI cannot be imported.
    """
    try:
        from compressai import zoo
    except Exception as exc:  # a build for another NumPy or PyTorch fails in its own ways
        raise CodecUnavailableError(f"{describe(exc)}; {INSTALL}") from exc
    torch.manual_seed(0)
    net = getattr(zoo, name)(quality=QUALITY, pretrained=False).eval()
    net.update()

    def encode(image: Image.Image, _quality: float) -> bytes:
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255  # (1, 3, H, W)
        padding = (0, -image.width % _STRIDE, 0, -image.height % _STRIDE)
        with torch.inference_mode():
            coded = net.compress(pad(x, padding, mode="replicate"))
        (y,), (z,) = coded["strings"]
        return b"".join([_HEAD.pack(*image.size, *coded["shape"], len(y)), y, z])

    def decode(data: bytes) -> Image.Image:
        width, height, *shape, length = _HEAD.unpack_from(data)
        y, z = data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]
        with torch.inference_mode():
            x_hat = net.decompress([[y], [z]], shape)["x_hat"]
        pixels = (x_hat[0, :, :height, :width] * 255).round().clamp(0, 255)
        return Image.fromarray(pixels.to(torch.uint8).permute(1, 2, 0).numpy())

    return ImageCodec(PREFIX + name.replace("_", "-"), (), encode, decode)
