"""The pages and the script for images in Chromium, as people use them."""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from browsers import ROOT, served
from conftest import make_picture
from exif_bytes import make_exif, short
from PIL import Image, ImageCms
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))

from check_decoder import KIT, Entry, expected_pixels, load_manifest

from aecodec.coding.lossless import encode_png
from aecodec.format.chunks import Header, PixelFormat
from aecodec.format.container import Stream, serialize
from aecodec.picture.metadata import Metadata
from aecodec.viewer.bundle import decoder_page, web_files

pytestmark = pytest.mark.slow

MANIFEST = load_manifest()
VALID: list[Entry] = MANIFEST["valid"]
INVALID: list[Entry] = MANIFEST["invalid"]
SAMPLE = ROOT / "samples" / "aec-1" / "chelsea.aec"
SECONDS = 60

Bytes = npt.NDArray[np.uint8]
Scheme = Literal["light", "dark"]

DECODE_ALL = """async ({files, limits}) => {
  const { DecoderClient } = await import("/client.js");
  const client = DecoderClient.served(new URL("/", location.href), limits);
  const found = {};
  for (const file of files) {
    const bytes = new Uint8Array(await (await fetch(`/kit/${file}`)).arrayBuffer());
    try {
      const { samples, width, height, channels, bits } = await client.decode(bytes);
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", samples));
      const text = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
      found[file] = [text, height, width, channels, bits];
    } catch (error) {
      found[file] = error.name;
    }
  }
  return found;
}"""
PIXELS_OF = """(image) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return [canvas.height, canvas.width, ...context.getImageData(0, 0, canvas.width, canvas.height)
    .data];
}"""


class Site:
    """A server with the scripts, the kit under `/kit/`, and pages that a test adds."""

    def __init__(self) -> None:
        self.files = {f"/{path}": data for path, data in web_files().items()}
        self.own: dict[str, bytes | None] = {}
        self.url = ""

    def answer(self, path: str) -> bytes | None:
        """The bytes of a path."""
        if path in self.own:
            return self.own[path]
        if path.startswith("/kit/"):
            return (KIT / path.removeprefix("/kit/")).read_bytes()
        if path == "/sample.aec":
            return SAMPLE.read_bytes()
        return self.files.get(path)


@pytest.fixture(scope="module")
def _site() -> Iterator[Site]:
    site = Site()
    with served(site.answer) as site.url:
        yield site


@pytest.fixture
def site(_site: Site) -> Site:
    _site.own = {"/empty.html": b"<!doctype html><title>Empty</title>"}
    return _site


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that asks nobody but loopback, and in which no error goes unnoticed."""
    context = browser.new_context(accept_downloads=True, viewport={"width": 1100, "height": 700})
    opened = context.new_page()
    opened.set_default_timeout(1000 * SECONDS)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "console",
        lambda said: faults.append(said.text)
        if said.type == "error" and "404" not in said.text else None,
    )  # fmt: skip
    local = ("http://127.0.0.1:", "file://", "blob:", "data:")
    context.on(
        "request",
        lambda asked: None if asked.url.startswith(local) else faults.append(asked.url),
    )
    yield opened
    context.close()
    assert faults == []


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of the page that works without a server."""
    path = tmp_path_factory.mktemp("page") / "decode.html"
    path.write_text(decoder_page(), encoding="utf-8")
    return path.as_uri()


def test_the_conformance_kit(site: Site, page: Page) -> None:
    page.goto(f"{site.url}empty.html")
    files = [entry["file"] for entry in (*VALID, *INVALID)]
    found: dict[str, Any] = page.evaluate(DECODE_ALL, {"files": files, "limits": {}})
    for entry in VALID:
        shape = [entry[name] for name in ("height", "width", "channels", "bits")]
        assert found[entry["file"]] == [entry["pixels_sha256"], *shape], entry["file"]
    for entry in INVALID:
        assert found[entry["file"]] in entry["errors"], entry["file"]
    assert len(page.workers) == 1


def test_limits(site: Site, page: Page) -> None:
    page.goto(f"{site.url}empty.html")
    wish = {"files": ["valid/rgb-17x33.aec"], "limits": {"memoryBytes": 4096}}
    assert page.evaluate(DECODE_ALL, wish) == {"valid/rgb-17x33.aec": "LimitError"}


def test_a_linked_file_is_shown(site: Site, page: Page) -> None:
    page.goto(f"{site.url}decode.html?src=sample.aec")
    picture = page.get_by_role("img", name="sample.aec")
    expect(picture).to_be_visible()
    expect(page).to_have_title("sample.aec")
    facts = page.locator("#facts").inner_text()
    for fact in ("451 × 300", "12.3 kB", "0.724", "quality 75", "colour, 8 bits"):
        assert fact in facts
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [451, 300]


def test_a_file_of_another_origin_is_refused(site: Site, page: Page) -> None:
    page.goto(f"{site.url}decode.html?src=//localhost:1/x.aec")
    expect(page.get_by_role("alert")).to_contain_text("another origin")
    page.goto(f"{site.url}decode.html?src=none.aec")
    expect(page.get_by_role("alert")).to_contain_text("the server says 404")


def test_files_are_opened_without_a_server(page: Page, single: str) -> None:
    names = ("rgba-hidden", "gray16", "iccp")
    page.goto(single)
    page.set_input_files("#files", [KIT / "valid" / f"{name}.aec" for name in names])
    for name in names:
        if name != names[0]:
            page.get_by_role("button", name=f"{name}.aec").click()
        expect(page.get_by_role("img", name=f"{name}.aec")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("button", name="Save PNG").click()
        assert download.value.suggested_filename == f"{name}.png"
        with Image.open(download.value.path()) as saved:
            (entry,) = [each for each in VALID if each["file"] == f"valid/{name}.aec"]
            assert np.array_equal(np.asarray(saved), expected_pixels(entry))
            assert ("icc_profile" in saved.info) == (name == "iccp")
        expect(page.get_by_role("status")).to_have_text("Saved.")


def test_files_are_dropped(page: Page, single: str) -> None:
    page.goto(single)
    page.evaluate(
        """(bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(bytes)], "dropped.aec"));
          document.body.dispatchEvent(
            new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
        }""",
        list((KIT / "valid" / "rgb-17x33.aec").read_bytes()),
    )
    expect(page.get_by_role("img", name="dropped.aec")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cut-tile", "its end is missing"),
        ("signature-text", "not an .aec file"),
        ("bit-flipped", "The file is damaged"),
        ("words-left", "The file is damaged"),
        ("model-unknown", "does not know"),
        ("optional-endless", "too large"),
    ],
)
def test_faults_are_told_in_plain_words(page: Page, single: str, name: str, words: str) -> None:
    page.goto(single)
    page.set_input_files("#files", KIT / "invalid" / f"{name}.aec")
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_role("button", name="Save PNG")).to_be_disabled()
    page.set_input_files("#files", KIT / "valid" / "rgb-17x33.aec")
    expect(page.get_by_role("img", name="rgb-17x33.aec")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("/kernel.wasm", None),
        ("/kernel.wasm", b"\0asm\1\0\0\0"),
        ("/aec-1.safetensors", None),
        ("/aec-1.safetensors", b"damaged" * 1000),
        ("/resources.json", None),
        ("/resources.json", b"{}"),
        ("/resources.json", b"damaged"),
    ],
)
def test_a_damaged_decoder_is_told(site: Site, page: Page, name: str, data: bytes | None) -> None:
    site.own[name] = data
    page.goto(f"{site.url}decode.html?src=sample.aec")
    expect(page.get_by_role("alert")).to_contain_text("The decoder itself is not complete")


def test_the_page_is_used_by_keyboard(page: Page, single: str) -> None:
    files = [SAMPLE, KIT / "valid" / "rgba.aec"]
    page.on("filechooser", lambda chooser: chooser.set_files(files))
    page.goto(single)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Open…")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("img", name="chelsea.aec")).to_be_visible()
    page.get_by_role("radio", name="Fit").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="200 %")).to_be_checked()
    box = page.locator("#picture").bounding_box()
    assert box
    assert (box["width"], box["height"]) == (902, 600)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Save PNG")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("region", name="Picture")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("img", name="rgba.aec")).to_be_visible()
    expect(page.get_by_role("button", name="rgba.aec")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(browser: Browser, single: str, scheme: Scheme) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 360, "height": 700})
    page = context.new_page()
    page.goto(single)
    page.set_input_files("#files", KIT / "valid" / "rgba.aec")
    expect(page.locator("#facts dt").first).to_be_visible()
    for selector in ("h1", "dt", "dd", "#open", "h2"):
        ratio = page.locator(selector).first.evaluate(CONTRAST)
        assert ratio >= 4.5, selector
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


CONTRAST = """(element) => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = numbers(text).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let ground = element;
  while (numbers(getComputedStyle(ground).backgroundColor)[3] === 0) {
    ground = ground.parentElement;
  }
  const [one, other] = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor]
    .map(light).sort((a, b) => b - a);
  return (one + 0.05) / (other + 0.05);
}"""


def stored(pixels: Bytes, alpha: Bytes | None = None, metadata: Metadata | None = None) -> bytes:
    """A lossless file of one tile."""
    form = PixelFormat.of(rgb=True, sixteen_bit=False, alpha=alpha is not None)
    header = Header(pixels.shape[1], pixels.shape[0], form, 14, 300, b"none")
    alphas = () if alpha is None else (encode_png(alpha),)
    tiles = (encode_png(pixels),)
    return serialize(Stream(header, tiles, (metadata or Metadata()).chunks(), alphas))


def image_page(body: str) -> bytes:
    script = '<script type="module" src="/aec-img.js"></script>'
    return f"<!doctype html><title>Images</title>{script}{body}".encode()


def pixels_of(page: Page, selector: str) -> Bytes:
    expect(page.locator(selector)).to_have_attribute("data-aec-state", "done")
    page.wait_for_function(
        "(selector) => { const image = document.querySelector(selector);"
        " return image.complete && image.naturalWidth; }", arg=selector,
    )  # fmt: skip
    height, width, *values = page.locator(selector).evaluate(PIXELS_OF)
    return np.array(values, np.uint8).reshape(height, width, 4)


def test_images_of_all_kinds_are_shown(site: Site, page: Page) -> None:
    pixels, alpha = make_picture(20, 30), np.full((20, 30), 255, np.uint8)
    alpha[:, :7] = 0
    site.own["/turned.aec"] = stored(pixels, metadata=Metadata(exif=make_exif({274: short(6)})))
    site.own["/alpha.aec"] = stored(pixels, alpha)
    site.own["/x.html"] = image_page(
        '<img id="plain" src="/turned.aec"><img id="alpha" src="alpha.aec?version=2">'
        '<img id="data" src="/none.png" data-aec="/kit/valid/rgb-17x33.aec">'
        '<picture><source type="image/aec" srcset="/alpha.aec"><img id="source" src="/none.png">'
        "</picture>"
    )
    page.goto(f"{site.url}x.html")
    turned = np.rot90(pixels, -1)
    assert np.array_equal(pixels_of(page, "#plain")[..., :3], turned)
    for name in ("#alpha", "#source"):
        shown = pixels_of(page, name)
        assert np.array_equal(shown[..., 3], alpha)
        assert np.array_equal(shown[:, 7:, :3], pixels[:, 7:])
    (entry,) = [each for each in VALID if each["file"] == "valid/rgb-17x33.aec"]
    assert np.array_equal(pixels_of(page, "#data")[..., :3], expected_pixels(entry))


def test_images_that_come_and_change_later_are_shown(site: Site, page: Page) -> None:
    one, two = make_picture(9, 8), make_picture(8, 9, seed=1)
    site.own |= {"/one.aec": stored(one), "/two.aec": stored(two), "/x.html": image_page("")}
    page.goto(f"{site.url}x.html")
    page.evaluate(
        'document.body.innerHTML = \'<p><img id="a" src="/one.aec"></p>\';'
        "window.faults = []; addEventListener('aecerror', e => faults.push(e.detail.name))"
    )
    assert np.array_equal(pixels_of(page, "#a")[..., :3], one)
    page.evaluate("document.querySelector('#a').src = '/two.aec'")
    page.wait_for_function("document.querySelector('#a').naturalWidth === 9")
    assert np.array_equal(pixels_of(page, "#a")[..., :3], two)
    page.evaluate("document.querySelector('#a').src = '/one.aec'")
    page.wait_for_function("document.querySelector('#a').naturalWidth === 8")
    page.evaluate("document.querySelector('#a').src = '/kit/invalid/cut-tile.aec'")
    expect(page.locator("#a")).to_have_attribute("data-aec-state", "error")
    assert page.evaluate("faults") == ["TruncatedError"]


def test_a_fallback_is_shown_where_decoding_fails(site: Site, page: Page) -> None:
    shown = BytesIO()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(shown, "PNG")
    site.own["/kept.png"] = shown.getvalue()
    bad = "/kit/invalid/bit-flipped.aec"
    site.own["/x.html"] = image_page(
        f'<img id="src" src="{bad}" data-fallback="/kept.png">'
        f'<img id="data" src="/kept.png" data-aec="{bad}"><img id="none" src="/none.aec">'
    )
    page.goto(f"{site.url}x.html")
    for name in ("#src", "#data"):
        expect(page.locator(name)).to_have_attribute("data-aec-state", "error")
        page.wait_for_function(f"document.querySelector('{name}').naturalWidth === 5")
    expect(page.locator("#none")).to_have_attribute("data-aec-state", "error")


def test_lazy_images_wait_until_they_are_near(site: Site, page: Page) -> None:
    site.own["/one.aec"] = stored(make_picture(9, 8))
    site.own["/x.html"] = image_page(
        '<div style="height: 9000px"></div><img id="far" loading="lazy" width="8" height="9" '
        'src="/one.aec"><img id="now" src="/one.aec">'
    )
    page.goto(f"{site.url}x.html")
    expect(page.locator("#now")).to_have_attribute("data-aec-state", "done")
    assert page.locator("#far").get_attribute("data-aec-state") is None
    page.locator("#far").scroll_into_view_if_needed()
    expect(page.locator("#far")).to_have_attribute("data-aec-state", "done")


def test_colour_profiles_count(site: Site, page: Page) -> None:
    pixels = np.full((4, 4, 3), (200, 30, 90), np.uint8)
    site.own["/plain.aec"] = stored(pixels)
    site.own["/profile.aec"] = stored(pixels, metadata=Metadata(icc=swapped()))
    site.own["/x.html"] = image_page('<img id="a" src="/plain.aec"><img id="b" src="/profile.aec">')
    page.goto(f"{site.url}x.html")
    assert pixels_of(page, "#a")[0, 0].tolist() == [200, 30, 90, 255]
    assert pixels_of(page, "#b")[0, 0, :3].tolist() == pytest.approx([30, 200, 90], abs=3)


def swapped() -> bytes:
    """The profile of sRGB with red and green in each other's place."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for one, other in ((b"rXYZ", b"gXYZ"), (b"rTRC", b"gTRC")):
        first, second = profile.index(one, 128), profile.index(other, 128)
        profile[first : first + 4], profile[second : second + 4] = other, one
    return bytes(profile)
