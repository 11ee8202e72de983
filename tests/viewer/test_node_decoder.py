"""The decoder in JavaScript under node: the conformance kit, limits, and bad parts of itself."""

import base64
import sys
import zlib
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsers import MODEL, MODELS, SCRIPTS, TABLES, Node, Result, Task
from conftest import COARSE, export_tiny, make_busy_model, make_picture, make_sixteen_bit
from exif_bytes import make_exif, short
from mutation import LIMITS, Mutator, seeds, with_model
from PIL import Image
from safetensors.numpy import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))

from check_decoder import KIT, Entry, digest, expected_pixels, load_manifest

from aecodec.codec import Codec
from aecodec.coding.lossless import encode_png, webp_data
from aecodec.errors import AecError
from aecodec.format.chunks import Chunk, Header, LosslessTile, PixelCoder, PixelFormat
from aecodec.format.container import Stream, parse, serialize
from aecodec.format.tiling import Region
from aecodec.models.weights import model_digest
from aecodec.picture.metadata import Metadata, metadata_in, turned
from aecodec.picture.orientation import orientation_in
from aecodec.picture.pixels import Pixels, little_endian

if TYPE_CHECKING:
    import numpy.typing as npt

MANIFEST = load_manifest()
VALID: list[Entry] = MANIFEST["valid"]
INVALID: list[Entry] = MANIFEST["invalid"]
MIXED = KIT / "valid" / "tiles-mixed.aec"
LEARNED = KIT / "valid" / "rgb-17x33.aec"
CORPUS = sorted((Path(__file__).parents[1] / "data" / "mutated").glob("*.aec"))
SCALED = ("tiles-3x2", "tiles-gray", "tiles-mixed", "gray16", "layer-exact", "lossless-webp")


def name_of(entry: Entry) -> str:
    return str(entry["file"])


def shape_of(pixels: Pixels) -> list[int]:
    return [*pixels.shape, 1][:3]


def is_same(result: Result, pixels: Pixels) -> bool:
    """Whether a result has these pixels."""
    found = result["shape"], result["bits"], result["sha256"]
    return found == (shape_of(pixels), 8 * pixels.itemsize, digest(little_endian(pixels)))


@pytest.fixture(scope="module")
def whole() -> dict[str, Result]:
    """What became of each file of the kit."""
    entries = [*VALID, *INVALID]
    tasks: list[Task] = [{"file": KIT / entry["file"]} for entry in entries]
    return dict(zip(map(name_of, entries), Node().run(tasks), strict=True))


@pytest.mark.parametrize("entry", VALID, ids=name_of)
def test_pixels(whole: dict[str, Result], entry: Entry) -> None:
    result = whole[name_of(entry)]
    assert result["sha256"] == entry["pixels_sha256"]
    assert result["shape"] == [entry["height"], entry["width"], entry["channels"]]
    assert result["bits"] == entry["bits"]


@pytest.mark.parametrize("entry", INVALID, ids=name_of)
def test_errors(whole: dict[str, Result], entry: Entry) -> None:
    assert whole[name_of(entry)]["error"] in entry["errors"]


@pytest.mark.parametrize("entry", VALID, ids=name_of)
def test_metadata(whole: dict[str, Result], entry: Entry) -> None:
    result = whole[name_of(entry)]
    found = metadata_in(parse((KIT / entry["file"]).read_bytes()))
    for name in ("icc", "exif", "xmp", "iptc"):
        packet = getattr(found, name)
        assert result["metadata"][name] == (sha256(packet).hexdigest() if packet else None)
    assert result["orientation"] == orientation_in(found)
    assert result["resolution"] == (list(found.resolution) if found.resolution else None)
    assert result["text"] == [[key, text.decode("utf-8", "replace")] for key, text in found.text]


def test_regions() -> None:
    tasks, expected = [], []
    for entry in VALID:
        for x, y, width, height in entry.get("regions", ()):
            region = {"left": x, "top": y, "width": width, "height": height}
            tasks.append({"file": KIT / entry["file"], "options": {"region": region}})
            expected.append(expected_pixels(entry)[y : y + height, x : x + width])
    assert len(tasks) > 10
    results = Node().run(tasks)
    assert all(map(is_same, results, expected))


def test_a_region_outside_the_picture_is_refused() -> None:
    result = Node().decode(MIXED, region={"left": 190, "top": 0, "width": 11, "height": 1})
    assert result["error"] == "InputError"


@pytest.mark.parametrize("name", SCALED)
def test_smaller_pictures(name: str) -> None:
    path, codec = KIT / "valid" / f"{name}.aec", Codec()
    region = {"left": 3, "top": 5, "width": 30, "height": 21}
    tasks: list[Task] = [{"file": path, "options": {"scale": scale}} for scale in (2, 4, 8)]
    tasks.append({"file": path, "options": {"scale": 2, "region": region, "eightBit": True}})
    data = path.read_bytes()
    expected = [codec.decompress_array(data, scale=scale) for scale in (2, 4, 8)]
    part = codec.decompress_array(data, scale=2, region=Region(3, 5, 30, 21), depth=8)
    assert all(map(is_same, Node().run(tasks), [*expected, part]))


def test_hidden_colours_do_not_enter_means(tmp_path: Path) -> None:
    colour = np.full((4, 4, 3), 200, np.uint8)
    alpha = np.full((4, 4), 255, np.uint8)
    colour[:2, 1:3], alpha[:2, 1:3] = 0, 0
    alpha[2:, 2:] = 0
    path = tmp_path / "hidden.aec"
    path.write_bytes(lossless_file(colour, encode_png(colour), alpha=encode_png(alpha)))
    task = {"file": path, "options": {"scale": 2}, "png": "quick"}
    with Image.open(BytesIO(base64.b64decode(Node().run([task])[0]["png"]))) as image:
        assert np.asarray(image).tolist() == [
            [[200, 200, 200, 128], [200, 200, 200, 128]],
            [[200, 200, 200, 255], [200, 200, 200, 0]],
        ]


def lossless_file(
    pixels: Pixels, tile: LosslessTile, metadata: Metadata | None = None,
    alpha: LosslessTile | None = None,
) -> bytes:  # fmt: skip
    """A file of one tile of pixels, which needs no model."""
    form = PixelFormat.of(
        rgb=pixels.ndim == 3, sixteen_bit=pixels.dtype == np.uint16, alpha=alpha is not None
    )
    header = Header(pixels.shape[1], pixels.shape[0], form, 14, 300, b"none")
    chunks: tuple[Chunk, ...] = (metadata or Metadata()).chunks()
    return serialize(Stream(header, (tile,), chunks, () if alpha is None else (alpha,)))


def kinds_of_pictures() -> Iterator["npt.NDArray[np.uint8]"]:
    """Noise, photographs, few colours, gradients, blocks, repetitions, of odd sizes."""
    rng = np.random.default_rng(3)
    photograph = make_picture(140, 150)
    for number in range(18):
        height, width = rng.integers(1, 140, 2)
        palette = rng.integers(0, 256, (rng.integers(2, 60), 3))
        blocks = np.kron(rng.integers(0, 5, (20, 30, 3)) * 60, np.ones((7, 5, 1), np.int64))
        pixels: npt.NDArray[Any] = (
            rng.integers(0, 256, (height, width, 3)),
            photograph[:height, :width],
            rng.integers(0, 2, (height, width, 1)) * np.array([200, 7, 90]),
            palette[rng.integers(0, len(palette), (height, width))],
            np.add.outer(np.arange(height) * 3, np.arange(width))[:, :, None] * [1, 2, 3] % 256,
            blocks[:height, :width],
        )[number % 6]
        yield np.ascontiguousarray(pixels.astype(np.uint8))


@pytest.mark.slow
def test_own_webp_and_png_decoders(tmp_path: Path) -> None:
    pictures = list(kinds_of_pictures())
    tasks: list[Task] = []
    expected: list[Pixels] = []
    for pixels in pictures:
        gray = np.ascontiguousarray(pixels[:, :, 1])
        wide = pixels.astype(np.uint16) * np.uint16(251) + np.uint16(7)
        crc = zlib.crc32(pixels.tobytes())
        coded: list[tuple[Pixels, LosslessTile]] = [
            (pixels, LosslessTile(crc, PixelCoder.WEBP, webp_data(pixels, *settings)))
            for settings in ((0, 0), (4, 75), (6, 100))
        ]
        coded += [(each, encode_png(each)) for each in (pixels, gray, wide)]
        for each, tile in coded:
            path = tmp_path / f"{len(tasks)}.aec"
            path.write_bytes(lossless_file(each, tile))
            tasks.append({"file": path})
            expected.append(each)
    results = Node(models={}, tables={}).run(tasks)
    assert all(map(is_same, results, expected))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_and_png_files(tmp_path: Path, orientation: int) -> None:
    pixels = make_sixteen_bit(5, 7, 3) if orientation % 2 else make_picture(5, 7)
    exif = make_exif({274: short(orientation)})
    profile, xmp = bytes(range(200)), b'<x tiff:Orientation="3"/>'
    metadata = Metadata(profile, exif, xmp, (72.0, 300.0), (("Comment", b"a note"),))
    path = tmp_path / "turned.aec"
    path.write_bytes(lossless_file(pixels, encode_png(pixels), metadata))
    tasks: list[Task] = [{"file": path, "png": kind} for kind in ("quick", "small")]
    upright = turned(pixels, orientation)
    for result in Node().run(tasks):
        assert is_same(result, np.ascontiguousarray(upright))
        data = base64.b64decode(result["png"])
        with Image.open(BytesIO(data)) as image:
            shown = np.asarray(image)
            assert image.info["icc_profile"] == profile
            assert image.getexif().get(274) == 1
            assert image.info["Comment"] == "a note"
            assert b'tiff:Orientation="1"' in image.info["xmp"]
            assert image.info["dpi"] == pytest.approx((72, 300), abs=0.02)
        eight_bit = upright >> 8 if upright.dtype == np.uint16 else upright
        assert np.array_equal(shown, eight_bit)


@pytest.fixture(scope="module")
def mutator(tiny_weights: Path) -> Mutator:
    codec = Codec(tiny_weights, limits=LIMITS)
    return Mutator(codec, seeds(codec), 11)


def test_mutated_files_end_as_in_python(
    mutator: Mutator, tiny_weights: Path, tmp_path: Path
) -> None:
    """The same pixels or an error of the same name, for a model of other sizes, too."""
    tasks: list[Task] = [{"file": path} for path in CORPUS]
    for number in range(600):
        path = tmp_path / f"{number}.aec"
        path.write_bytes(mutator.input(number))
        tasks.append({"file": path})
    model_id = mutator.codec.encoder.decoder.model_id.hex()
    limits = {
        "pixels": LIMITS.pixels, "fileBytes": LIMITS.file_bytes,
        "metadataBytes": LIMITS.metadata_bytes,
    }  # fmt: skip
    results = Node(models={model_id: tiny_weights}, limits=limits).run(tasks)
    expected = [outcome(mutator.codec, task["file"].read_bytes()) for task in tasks]
    for number, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        if isinstance(wanted, str):
            assert result.get("error") == wanted, (number, result)
        else:
            assert is_same(result, wanted), (number, result)
    assert sum(not isinstance(each, str) for each in expected) > 20


def outcome(codec: Codec, data: bytes) -> Pixels | str:
    """The pixels of a file, or the name of its error."""
    try:
        return codec.decompress_array(data)
    except AecError as exc:
        return type(exc).__name__


def test_lossless_files_need_neither_kernel_nor_weights(tmp_path: Path) -> None:
    bare = Node(kernel=tmp_path / "none", models={}, tables={})
    entry = next(each for each in VALID if each["file"] == "valid/lossless-webp.aec")
    assert bare.decode(KIT / entry["file"])["sha256"] == entry["pixels_sha256"]


def test_a_damaged_or_foreign_kernel(tmp_path: Path) -> None:
    kernel = (SCRIPTS / "kernel.wasm").read_bytes()
    damaged = bytearray(kernel)
    damaged[len(kernel) // 2] ^= 1
    foreign = b"\0asm\1\0\0\0"
    for number, data in enumerate((bytes(damaged), foreign, kernel[:-1], b"")):
        path = tmp_path / str(number)
        path.write_bytes(data)
        result = Node(kernel=path).decode(LEARNED)
        assert result["error"] == "WeightsError"
        assert "kernel.wasm" in result["message"]


def test_damaged_weights(tmp_path: Path) -> None:
    data = (MODELS / "aec-1.safetensors").read_bytes()
    flipped = bytearray(data)
    flipped[data.index(b'"prior.') + len(data) // 2] ^= 1
    tables = (MODELS / "residual-1.safetensors").read_bytes()
    for number, bad in enumerate((bytes(flipped), data[:-1], data[:5], b"", tables)):
        path = tmp_path / str(number)
        path.write_bytes(bad)
        result = Node(models={MODEL: path}).decode(LEARNED)
        assert result["error"] == "WeightsError", number
    for number, bad in enumerate((tables[:-4] + bytes(4), tables[:100], data)):
        path = tmp_path / f"tables{number}"
        path.write_bytes(bad)
        result = Node(tables={TABLES: path}).decode(KIT / "valid" / "layer-gray.aec")
        assert result["error"] == "WeightsError", number


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prior.passes.0.entry.shift", 25),
        ("synthesis.first.mix_in.fraction", 13),
        ("synthesis.first.expand.bias", 2**24),
        ("synthesis.blocks.1.mix_in.weight", 32767),
        ("prior.tables.base", 1536),
        ("prior.tables.hyper_counts", 0),
    ],
)
def test_weights_that_break_a_bound(tmp_path: Path, name: str, value: int) -> None:
    released = MODELS / "aec-1.safetensors"
    tensors = load_file(released)
    tensors[name] = np.full_like(tensors[name], value)
    path, file = tmp_path / "bad.safetensors", tmp_path / "file.aec"
    config = '{"channels": 128, "latent_channels": 320, "hyper_channels": 64, '
    config += '"context_channels": 128, "synthesis_blocks": 5}'
    save_file(tensors, path, {"format": "aecodec-weights-1", "config": config})
    model_id = model_digest(tensors)
    file.write_bytes(with_model(LEARNED.read_bytes(), model_id))
    result = Node(models={model_id.hex(): path}).decode(file)
    assert result["error"] == "WeightsError"
    assert "cannot be used" in result["message"]


def test_a_model_of_other_sizes(tmp_path: Path) -> None:
    """Tiles smaller than the halo, with several blocks at stride 16."""
    path, file = tmp_path / "coarse.safetensors", tmp_path / "file.aec"
    model_id = export_tiny(make_busy_model(COARSE), path)
    codec = Codec(path)
    file.write_bytes(codec.compress(make_picture(150, 201), 70, tile_exponent=6))
    node = Node(models={model_id.hex(): path})
    for scale in (1, 4):
        expected = codec.decompress_array(file.read_bytes(), scale=scale)
        assert is_same(node.decode(file, scale=scale), expected)


def test_limits() -> None:
    for limits in ({"memoryBytes": 2**12}, {"pixels": 100}, {"fileBytes": 100}):
        assert Node(limits=limits).decode(LEARNED)["error"] == "LimitError"
    many = KIT / "valid" / "optional-many.aec"
    assert Node(limits={"metadataChunks": 10}).decode(many)["error"] == "LimitError"


def test_a_huge_picture_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    pixel = np.zeros((1, 1, 3), np.uint8)
    header = Header(13000, 13000, PixelFormat.RGB8, 14, 300, b"none")
    flat = LosslessTile(zlib.crc32(pixel.tobytes()), PixelCoder.FLAT, pixel.tobytes())
    path = tmp_path / "huge.aec"
    path.write_bytes(serialize(Stream(header, (flat,))))
    result = Node(limits={"memoryBytes": 2**29}).decode(path)
    assert result["error"] == "LimitError"
    assert "MiB" in result["message"]
