"""The viewer's page in Chromium, as people use it: of the server, and exported."""

import functools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from browsers import ROOT, served
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect
from shell import Shell

from aecodec.codec import Codec
from aecodec.format.chunks import DEFAULT_LIMITS
from aecodec.viewer.exhibits import load_exhibits
from aecodec.viewer.server import ViewerServer
from aecodec.viewer.studio import Studio

pytestmark = pytest.mark.slow

SAMPLES = ROOT / "samples"
NAMES = ("chelsea.png", "aec-1/chelsea.aec", "aec-1/camera.aec")
FILES = [str(SAMPLES / name) for name in NAMES]
SECONDS = 60
RIVALS = ("JPEG", "WebP", "AVIF")

Server = TypeVar("Server", bound=ThreadingHTTPServer)

CLIP = "image => getComputedStyle(image).clipPath"
PLACE = "element => new DOMMatrix(getComputedStyle(element).transform).toFloat64Array().join()"
STEAL = """async ([url, token]) => {
  const headers = token ? { "X-Aec-Token": token } : {};
  const asked = [
    fetch(`${url}data/pictures.json`, { headers }).then((answer) => answer.text()),
    fetch(`${url}data/pictures?name=x`, { method: "POST", body: "x", headers })
      .then((answer) => answer.text()),
    import(`${url}viewer/figures.js`),
  ];
  const found = await Promise.allSettled(asked);
  return found.map(({ status, value }) => (status === "rejected" ? "refused" : String(value)));
}"""
DROP = """([bytes, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], name));
  document.body.dispatchEvent(
    new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[ViewerServer]:
    studio = Studio(Codec(), load_exhibits(FILES, DEFAULT_LIMITS))
    with running(ViewerServer(studio)) as started:
        yield started


@contextmanager
def running(server: Server) -> Iterator[Server]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def opened(
    browser: Browser, url: str, *, scheme: Literal["light", "dark"] = "light", width: int = 1100,
    allowed: tuple[str, ...] = (),
) -> Iterator[Page]:  # fmt: skip
    """A page that asks nobody else, and in which no error but the allowed goes unnoticed."""
    viewport = ViewportSize(width=width, height=700)
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(1000 * SECONDS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda said: faults.append(said.text)
        if said.type == "error" and not any(each in said.text for each in allowed) else None,
    )  # fmt: skip
    own = (url.partition("#")[0], "blob:", "data:")
    context.on(
        "request", lambda asked: None if asked.url.startswith(own) else faults.append(asked.url)
    )
    page.goto(url)
    yield page
    context.close()
    assert faults == []


@pytest.fixture
def page(browser: Browser, server: ViewerServer) -> Iterator[Page]:
    with opened(browser, server.url) as found:
        is_shown(found, "File as given")
        yield found


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small original, which every format encodes at once."""
    path = tmp_path / "small.png"
    with Image.open(SAMPLES / "chelsea.png") as image:
        image.crop((150, 80, 310, 200)).save(path)
    return path


def is_shown(page: Page, words: str) -> None:
    """Waits until all figures of a file have been told."""
    expect(page.get_by_role("status")).to_contain_text(words, timeout=1000 * SECONDS)


def figures(page: Page) -> dict[str, str]:
    terms = page.locator("#figures dt").all_inner_texts()
    return dict(zip(terms, page.locator("#figures dd").all_inner_texts(), strict=True))


def drop(page: Page, name: str, data: bytes) -> None:
    page.evaluate(DROP, [list(data), name])


def test_a_pair_is_shown_with_its_figures(page: Page, server: ViewerServer) -> None:
    expect(page).to_have_title("chelsea.png – aecodec view")
    for name in ("chelsea.png, original", "chelsea.png, decoded"):
        image = page.get_by_role("img", name=name)
        expect(image).to_be_visible()
        assert image.evaluate("each => [each.naturalWidth, each.naturalHeight]") == [451, 300]
    found = figures(page)
    told = json.loads(server.studio.answer("0/given/figures.json").data)
    assert found["Size"] == f"{Path(FILES[1]).stat().st_size:,} bytes"
    assert found["Bits per pixel"] == f"{told['bpp']:.3f}"
    assert found["PSNR"] == f"{told['psnr']:.2f} dB"
    assert 50 < float(found["SSIMULACRA2"]) < 100
    assert re.fullmatch(r"[\d.]+ m?s", found["Decoded here in"])
    assert len(page.workers) == 1
    assert page.url.endswith("/")
    page.reload()
    is_shown(page, "File as given")


def test_pages_without_the_token_show_nothing(browser: Browser, server: ViewerServer) -> None:
    bare = server.url.partition("#")[0]
    for url in (bare, f"{bare}#wrong"):
        with opened(browser, url, allowed=("403",)) as page:
            expect(page.get_by_role("alert")).to_contain_text("token")


def test_the_wipe_is_moved_by_keyboard_and_mouse(page: Page) -> None:
    decoded = page.get_by_role("img", name="decoded")
    before = decoded.evaluate(CLIP)
    slider = page.get_by_role("slider", name="Wipe")
    slider.focus()
    page.keyboard.press("Home")
    assert decoded.evaluate(CLIP) == "inset(0px)"
    page.keyboard.press("End")
    assert decoded.evaluate(CLIP) == "inset(0px 0px 0px 451px)"
    assert page.get_by_role("img", name="original").evaluate(CLIP) == "inset(0px)"
    box = page.locator(".frame").bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(*middle)
    expect(slider).to_have_value("50")
    assert decoded.evaluate(CLIP) == before


def test_pixels_are_seen_by_keyboard_and_mouse(page: Page) -> None:
    panes, picture = page.locator("#panes"), page.locator(".picture")
    panes.focus()
    page.keyboard.press("1")
    expect(page.get_by_role("radio", name="100 %")).to_be_checked()
    for _ in range(3):
        page.keyboard.press("+")
    expect(page.get_by_role("radio", name="800 %")).to_be_checked()
    image = page.get_by_role("img", name="decoded")
    assert image.evaluate("each => getComputedStyle(each).imageRendering") == "pixelated"
    places = [picture.evaluate(PLACE)]
    assert places[0].startswith("8,")
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowLeft"):
        page.keyboard.press(key)
        places.append(picture.evaluate(PLACE))
    box = page.locator(".frame").bounding_box()
    assert box
    x, y = box["x"] + 60, box["y"] + 60
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20)
    page.mouse.up()
    places.append(picture.evaluate(PLACE))
    page.mouse.wheel(0, -100)
    places.append(picture.evaluate(PLACE))
    assert len(set(places)) == len(places)
    panes.focus()
    page.keyboard.press("0")
    expect(page.get_by_role("radio", name="Fit")).to_be_checked()
    page.get_by_role("radio", name="Fit").focus()
    page.keyboard.press("ArrowRight")
    assert picture.evaluate(PLACE).startswith("1,")


def test_another_quality_is_encoded_and_the_latest_wins(page: Page, server: ViewerServer) -> None:
    slider = page.get_by_role("slider", name="Quality")
    before = figures(page)
    slider.focus()
    for _ in range(5):
        page.keyboard.press("PageDown")
    quality = int(slider.input_value())
    assert quality < 75
    is_shown(page, f"Quality {quality}:")
    found = figures(page)
    assert int(found["Size"].split()[0].replace(",", "")) == len(
        server.studio.answer(f"0/q{4 * quality}/picture.aec").data
    )
    assert float(found["PSNR"].split()[0]) < float(before["PSNR"].split()[0])
    assert "Encoded in" in found
    page.get_by_role("button", name="File as given").click()
    is_shown(page, "File as given")
    assert figures(page)["Size"] == before["Size"]


def test_heat_maps_lie_over_the_picture(page: Page) -> None:
    for name, unit in (("Bits", "bits per pixel"), ("Error", "steps of 255")):
        page.get_by_role("radio", name=name).check(force=True)
        expect(page.locator("#legend-unit")).to_have_text(unit)
        heat = page.locator("img.heat")
        expect(heat).to_be_visible()
        assert heat.evaluate("each => [each.naturalWidth, each.naturalHeight]") == [451, 300]
    page.get_by_role("slider", name="Strength").fill("20")
    expect(heat).to_have_css("opacity", "0.2")
    page.get_by_role("radio", name="None").check(force=True)
    expect(heat).to_be_hidden()


def test_other_formats_stand_side_by_side(page: Page) -> None:
    page.get_by_role("radio", name="Side by side").check(force=True)
    panes = page.get_by_role("figure")
    expect(panes).to_have_count(5)
    for name in RIVALS:
        expect(page.get_by_role("img", name=f"as {name}")).to_be_visible()
        expect(panes.filter(has_text=name)).to_contain_text("dB · SSIMULACRA2")
    page.get_by_role("radio", name="400 %").check(force=True)
    places = {each.evaluate(PLACE) for each in page.locator(".picture").all()}
    assert len(places) == 1
    page.get_by_role("radio", name="Wipe").check(force=True)
    expect(panes).to_have_count(1)


def test_a_file_without_original_is_shown_alone(page: Page) -> None:
    page.get_by_role("button", name="camera.aec").click()
    expect(page.get_by_role("img", name="camera.aec, decoded")).to_be_visible()
    is_shown(page, "Size 29,000 bytes")
    assert "PSNR" not in figures(page)
    for hidden in ("#wiping", "#coding", "#layout", "#heat-error"):
        expect(page.locator(hidden)).to_be_hidden()


def test_own_pictures_are_tried(browser: Browser, server: ViewerServer, small: Path) -> None:
    with opened(browser, server.url, allowed=("422",)) as page:
        is_shown(page, "File as given")
        drop(page, "mine.png", small.read_bytes())
        expect(page.get_by_role("heading", name="mine.png")).to_be_visible()
        is_shown(page, "Quality 75:")
        drop(page, "broken.png", b"no picture at all")
        expect(page.get_by_role("alert")).to_contain_text("broken.png: ")
        page.set_input_files("#files", FILES[1])
        expect(page.get_by_role("img", name="chelsea.aec, decoded")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_hold_it(
    browser: Browser, server: ViewerServer, scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, server.url, scheme=scheme, width=360) as page:
        is_shown(page, "File as given")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("radio", name="Side by side").check(force=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        unnamed = page.evaluate(
            "[...document.querySelectorAll('input:not([hidden]), button, select')]"
            ".filter((each) => !each.labels?.length && !each.ariaLabel && !each.textContent)"
            ".map((each) => each.id)"
        )
        assert unnamed == []


def test_other_sites_in_the_browser_get_nothing(browser: Browser, server: ViewerServer) -> None:
    url, _, token = server.url.partition("#")
    context = browser.new_context()
    page = context.new_page()
    with served(lambda _: b"<!doctype html><title>Other</title>") as other:
        page.goto(f"{other}page.html")
        assert page.evaluate(STEAL, [url, token]) == ["refused"] * 3
        assert page.evaluate(STEAL, [url, ""]) == ["refused"] * 3
    context.close()


class Quiet(SimpleHTTPRequestHandler):
    """A plain server of files."""

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_an_exported_page_needs_only_files(
    browser: Browser, shell: Shell, tmp_path: Path, small: Path
) -> None:
    folder = tmp_path / "deep" / "page"
    names = [str(small), FILES[2]]
    done = shell.run("view", "--export", str(folder), *names)
    assert done.code == 0, done.err
    assert re.search(r"\d+ files, \d+ bytes", done.out)
    assert shell.run("view", "--export", str(folder), *names).code == 1
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        url = f"http://127.0.0.1:{server.server_port}/deep/page/"
        with opened(browser, url) as page:
            is_shown(page, "Quality 75:")
            expect(page.get_by_role("button", name="Try a picture")).to_be_hidden()
            page.get_by_role("slider", name="Wipe").fill("100")
            image = page.get_by_role("img", name="decoded")
            assert image.evaluate(CLIP) == "inset(0px 0px 0px 160px)"
            slider = page.get_by_role("slider", name="Quality")
            slider.focus()
            page.keyboard.press("Home")
            is_shown(page, "Quality 25:")
            size = (folder / "data" / "0" / "q100" / "picture.aec").stat().st_size
            assert figures(page)["Size"] == f"{size:,} bytes"
            page.get_by_role("radio", name="Bits").check(force=True)
            expect(page.locator("img.heat")).to_be_visible()
            page.get_by_role("radio", name="Side by side").check(force=True)
            for name in RIVALS:
                expect(page.get_by_role("img", name=f"as {name}")).to_be_visible()
            page.get_by_role("button", name="camera.aec").click()
            expect(page.get_by_role("img", name="camera.aec, decoded")).to_be_visible()
            is_shown(page, "Size 29,000 bytes")
