"""The page in a browser, as visitors use it: with a mouse, by keyboard alone, on a phone, in the dark."""

import base64
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from browser import listen
from pixalign import Predictor
from pixalign.data.sets.streets import draw_scene
from pixalign.predicting import Result

SCREENSHOTS = Path(__file__).parents[2] / "dist" / "screenshots"
PATIENCE = 60_000  # milliseconds for what the server computes
WIDE, PHONE = (1280, 900), (390, 844)
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("street") / "street.png"
    Image.fromarray(draw_scene(23)[0]).save(path)
    return path


@pytest.fixture(scope="module")
def truth(street: Path) -> Result:
    return Predictor("default")(street, probabilities=True)


@contextmanager
def visitors(served: Any, browser: Any) -> Iterator[Open]:
    """Open the page as a new visitor; at the end nothing was said in the console, and nobody else was asked."""
    contexts, said, asked = [], [], []

    def opened(size: tuple[int, int] = WIDE, dark: bool = False, **options: Any) -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        said.append(listen(page))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served.address)
        page.locator("#viewer .viewer-empty").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    said = [text for texts in said for text in texts if text != "warning: Method not implemented."]  # gradio's own
    assert not said
    assert not [url for url in asked if not url.startswith((served.address, "data:", "blob:"))]


@pytest.fixture
def open_app(served: Any, browser: Any) -> Iterator[Open]:
    with visitors(served, browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def segmented(served: Any, browser: Any, street: Path) -> Iterator[Any]:
    """A visitor's page with the street segmented, for tests that leave it so."""
    with visitors(served, browser) as opened:
        page = opened()
        segment(page, street)
        yield page


def upload(page: Any, *files: Path, where: str = "#image") -> None:
    """Give files to an input, and wait until the server has them."""
    with page.expect_response(lambda response: "/upload" in response.url and response.request.method == "POST"):
        page.locator(f"{where} input[type=file]").set_input_files(files)


def segment(page: Any, street: Path) -> None:
    upload(page, street)
    page.locator("#image img").wait_for()
    page.locator("#segment").click()
    page.locator("#viewer .stage").wait_for()


def kept(page: Any, name: str) -> Image.Image:
    """A picture of the whole page, kept for a look."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    shot = page.screenshot(path=SCREENSHOTS / f"app-{name}.png", full_page=True, animations="disabled")
    return Image.open(io.BytesIO(shot)).convert("RGB")


def seen(page: Any, x: int, y: int, truth: Result, viewer: str = "#viewer") -> np.ndarray:
    """RGB that a visitor sees where the result has pixel (x, y)."""
    shot = page.locator(f"{viewer} .stage").screenshot()
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    height, width = truth.ids.shape
    at = (int((x + 0.5) * picture.width / width), int((y + 0.5) * picture.height / height))
    return np.array(picture.getpixel(at), int)


def middle(truth: Result, name: str) -> tuple[int, int]:
    """x and y of the pixel of a class that lies farthest from others."""
    depth = ndimage.distance_transform_edt(np.pad(truth.ids == truth.classes.index(name), 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(x), int(y)


def point_at(page: Any, x: int, y: int, truth: Result) -> None:
    """Click on the pixel (x, y) of the result."""
    stage = page.locator("#viewer .stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    height, width = truth.ids.shape
    stage.click(position={"x": (x + 0.5) * box["width"] / width, "y": (y + 0.5) * box["height"] / height})


def slide(page: Any, key: str) -> None:
    page.locator("#viewer .opacity input").press(key)


def percents(page: Any, viewer: str = "#viewer") -> dict[str, str]:
    """The legend: what it says of each class, in its order."""
    rows = page.locator(f"{viewer} .classes button").all()
    return {row.locator(".class").inner_text(): row.locator(".percent").inner_text() for row in rows}


def complaint(page: Any, said: str) -> str:
    """The sentence with these words that appears when something cannot be done."""
    shown = page.locator(".toast-body.error", has_text=said)
    shown.wait_for()
    return shown.inner_text()


def scrolls_sideways(page: Any) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def test_the_legend_has_the_classes_by_area_in_percent(segmented, truth):
    page = segmented
    areas = sorted(((name, 100 * share) for name, share in truth.areas().items() if share), key=lambda pair: -pair[1])
    legend = percents(page)
    assert list(legend) == [name for name, _ in areas]
    for name, percent in areas:
        assert legend[name] in (f"{percent:.1f} %", "< 0.1 %" if percent < 0.1 else "")
    assert "default" in page.locator("#viewer .viewer-title").inner_text()
    kept(page, "result")


def test_segment_without_an_image_says_what_is_missing(open_app):
    page = open_app()
    assert "draw a street" in page.locator("#viewer .viewer-empty").inner_text()
    kept(page, "empty")
    page.locator("#segment").click()
    complaint(page, "No image: upload one, or draw a street")
    assert page.locator("#viewer .viewer-empty").is_visible()


def test_a_drawn_street_is_segmented_at_once(open_app):
    page = open_app()
    page.locator("#draw-street").click()
    page.locator("#viewer .stage").wait_for()
    assert page.locator("#image img").is_visible()
    assert "480 × 360" in page.locator("#viewer .viewer-title").inner_text()
    assert "road" in percents(page)


def test_an_image_can_be_pasted_or_taken_with_the_camera(open_app, street, truth):
    page = open_app(permissions=["clipboard-read", "clipboard-write", "camera"])
    page.evaluate(
        """async data => {
          const picture = await (await fetch(`data:image/png;base64,${data}`)).blob();
          await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
        }""",
        base64.b64encode(street.read_bytes()).decode(),
    )
    page.get_by_role("button", name="Paste from clipboard").click()
    page.locator("#image img").wait_for()
    page.locator("#segment").click()
    page.locator("#viewer .stage").wait_for()
    assert next(iter(percents(page))) == max(truth.areas(), key=lambda name: truth.areas()[name])
    page.get_by_role("button", name="Remove Image").click()
    page.get_by_role("button", name="Capture from camera").click()
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#image video')?.readyState >= 2")  # pictures come
    page.get_by_role("button", name="capture photo").click()
    page.wait_for_function("document.querySelector('#image img')?.naturalWidth > 0")
    assert page.get_by_role("button", name="Remove Image").is_visible()


def test_the_slider_fades_from_the_photograph_to_the_colors_without_the_server(segmented, truth):
    page = segmented
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    x, y = middle(truth, "sky")
    color, photo = np.array(truth.colors[truth.classes.index("sky")]), truth.image[y, x].astype(int)
    slide(page, "End")
    assert np.abs(seen(page, x, y, truth) - color).max() <= 2
    slide(page, "Home")
    assert np.abs(seen(page, x, y, truth) - photo).max() <= 30  # a JPEG, resized
    assert np.abs(photo - color).max() > 60
    assert page.locator("#viewer .opacity output").inner_text() == "0 %"
    assert not asked


def test_a_click_in_the_legend_leaves_one_class_and_a_second_brings_all_back(segmented, truth):
    page = segmented
    slide(page, "End")
    road, sky = (middle(truth, name) for name in ("road", "sky"))
    before = [seen(page, *place, truth) for place in (road, sky)]
    button = page.locator("#viewer .classes button", has_text="road")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert np.abs(seen(page, *road, truth) - before[0]).max() <= 2
    assert seen(page, *sky, truth).sum() < 0.6 * truth.image[sky[1], sky[0]].sum()  # dimmed
    kept(page, "isolated")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert np.abs(seen(page, *sky, truth) - before[1]).max() <= 2


def test_a_clicked_pixel_shows_its_probabilities_and_where_its_features_came_from(segmented, truth):
    page = segmented
    x, y = middle(truth, "building")
    point_at(page, x, y, truth)
    heading = page.locator("#pixel h2")
    heading.wait_for()
    found = re.fullmatch(r"Pixel (\d+), (\d+): (\w+)", heading.inner_text())
    assert found, heading.inner_text()
    assert abs(int(found[1]) - x) <= 1
    assert abs(int(found[2]) - y) <= 1
    shares = truth.probabilities[:, int(found[2]), int(found[1])]
    ranked = [truth.classes[i] for i in np.argsort(-shares)[:5]]
    assert [row.inner_text() for row in page.locator("#pixel dt").all()] == ranked
    assert page.locator("#pixel dd.number").first.inner_text() == f"{100 * shares.max():.1f} %"
    assert "1/32 to 1/16" in page.locator("#pixel figcaption").inner_text()
    page.wait_for_function("document.querySelector('#pixel figure img')?.naturalWidth > 100")
    kept(page, "pixel")


def test_two_models_side_by_side_with_the_share_at_which_they_differ(open_app, served, street, truth):
    page = open_app()
    upload(page, street)
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare").click()
    page.locator("#viewer-second .stage").wait_for()
    other = Predictor(served.models[1])(street)
    share = (truth.ids != other.ids).mean()
    assert f"differ at {100 * share:.1f} % of the pixels" in page.locator("#verdict").inner_text()
    assert page.locator("#disagreement img").is_visible()
    assert list(percents(page, "#viewer-first")) != list(percents(page, "#viewer-second"))
    assert "small" in page.locator("#viewer-second .viewer-title").inner_text()
    kept(page, "compare")


def test_downloads_are_what_the_predictor_gives(segmented, truth, tmp_path):
    page = segmented
    slide(page, "End")
    slide(page, "ArrowLeft")
    files = {}
    for kind in ("ids", "overlay", "probabilities"):
        with page.expect_download() as download:
            page.locator(f"#download-{kind}").click()
        files[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[kind])
    with Image.open(files["ids"]) as ids:
        assert (ids.format, ids.mode) == ("PNG", "P")
        assert np.array_equal(np.asarray(ids), truth.ids)
    with Image.open(files["overlay"]) as overlay:
        assert np.array_equal(np.asarray(overlay), np.asarray(truth.overlay(0.99)))
    with np.load(files["probabilities"]) as arrays:
        assert arrays["probabilities"].dtype == np.float16
        assert np.abs(arrays["probabilities"] - truth.probabilities).max() < 1e-3
    assert {name.suffix for name in files.values()} == {".png", ".npz"}


def test_a_batch_gives_a_zip(open_app, street, truth, tmp_path):
    page = open_app()
    page.get_by_role("tab", name="Batch").click()
    other, broken = tmp_path / "other.jpg", tmp_path / "broken.png"
    Image.fromarray(draw_scene(4)[0]).save(other)
    broken.write_text("no picture")
    upload(page, street, other, broken, where="#batch-images")
    page.locator("#batch-images").get_by_text("other").first.wait_for()
    page.locator("#batch").click()
    page.get_by_text("2 of 3 images segmented").wait_for()
    assert "broken.png" in page.locator("#batch-note").inner_text()
    with page.expect_download() as download:
        page.locator("#batch-file a[download]").first.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        names = archive.namelist()
        assert "areas.csv" in names
        with Image.open(io.BytesIO(archive.read(next(n for n in names if n.endswith("street.png"))))) as ids:
            assert np.array_equal(np.asarray(ids), truth.ids)
    kept(page, "batch")


def test_the_fused_back_end_gives_the_same_legend(open_app, street):
    page = open_app()
    segment(page, street)
    before = percents(page)
    page.locator("#backend input").click()
    page.get_by_role("option", name="PyTorch, fused").click()
    page.locator("#segment").click()
    page.locator("#viewer .viewer-title", has_text="fused").wait_for()
    assert percents(page) == before


def test_a_wrong_file_is_told_in_a_sentence_and_the_next_one_works(open_app, street, tmp_path):
    page = open_app()
    for kind, said in {"text": "text.png", "bomb": "pixels", "tiny": "32 x 32"}.items():
        wrong = tmp_path / f"{kind}.png"
        if kind == "text":
            wrong.write_text("This is no picture.")
        else:
            Image.new("L", (6000, 6000) if kind == "bomb" else (20, 20)).save(wrong)
        upload(page, wrong)
        page.locator("#image img").wait_for(state="attached")
        page.locator("#segment").click()
        sentence = complaint(page, said)
        assert not re.search(r"Traceback|\.py|/", sentence), sentence
        kept(page, f"wrong-{kind}")
        page.locator("#image").get_by_role("button", name="Remove Image").click()
    segment(page, street)


def test_on_a_phone_nothing_scrolls_sideways(open_app, street, truth):
    page = open_app(PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    assert scrolls_sideways(page) <= 0
    segment(page, street)
    point_at(page, *middle(truth, "road"), truth)
    page.locator("#pixel h2").wait_for()
    assert scrolls_sideways(page) <= 0
    kept(page, "phone-result")
    stage = page.locator("#viewer .stage").bounding_box()
    assert stage["width"] > 0.8 * PHONE[0]
    for row in page.locator("#viewer .classes button").all():
        box = row.bounding_box()
        assert box["height"] >= 24
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE[0]
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare").click()
    page.locator("#viewer-second .stage").wait_for()
    assert scrolls_sideways(page) <= 0
    kept(page, "phone-compare")
    page.get_by_role("tab", name="Batch").click()
    page.locator("#batch").wait_for()
    assert scrolls_sideways(page) <= 0


def focused(page: Any) -> str:
    """Which of the page's parts has the focus: the nearest named one."""
    return page.evaluate("document.activeElement.closest('[id]:not([id^=component]):not([id^=html])')?.id || ''")


def tab_to(page: Any, selector: str, most: int = 40) -> list[str]:
    """Press Tab until a part has the focus; what had it on the way."""
    passed = []
    for _ in range(most):
        page.keyboard.press("Tab")
        passed.append(focused(page))
        if page.locator(selector).evaluate("part => part.contains(document.activeElement)"):
            return passed
    raise AssertionError(f"{selector} is not reached by Tab, only {passed}")


def test_by_keyboard_alone_from_a_street_to_a_pixel(open_app):
    page = open_app()
    passed = tab_to(page, "#draw-street")
    assert "image" in passed
    page.keyboard.press("Enter")
    page.locator("#viewer .stage").wait_for()
    tab_to(page, "#model")
    page.locator("[role=option].active", has_text="default").wait_for()
    page.keyboard.press("ArrowDown")
    page.locator("[role=option].active", has_text="small").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("option").first.wait_for(state="hidden")
    tab_to(page, "#segment")
    page.keyboard.press("Enter")
    page.locator("#viewer .viewer-title", has_text="small").wait_for()
    tab_to(page, "#viewer .stage")
    outline = page.locator("#viewer .stage").evaluate("part => getComputedStyle(part).outlineStyle")
    assert outline != "none"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#pixel h2").wait_for()
    x, y = map(int, re.findall(r"\d+", page.locator("#pixel h2").inner_text()))
    assert x > 240
    assert y > 180
    tab_to(page, "#viewer .opacity input")
    page.keyboard.press("ArrowRight")
    assert page.locator("#viewer .opacity output").inner_text() == "56 %"
    tab_to(page, "#viewer .classes")
    page.keyboard.press("Space")
    assert page.locator("#viewer .classes button").first.get_attribute("aria-pressed") == "true"
    tab_to(page, "#download-ids")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrast_and_labels_pass_axe(open_app, street, truth, dark):
    Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
    page = open_app(dark=dark)
    found = {"empty": violations(Axe(), page)}
    segment(page, street)
    point_at(page, *middle(truth, "road"), truth)
    page.locator("#pixel h2").wait_for()
    page.locator("#viewer .classes button").first.click()
    found["result"] = violations(Axe(), page)
    background = np.asarray(kept(page, "dark" if dark else "light"))[-5, 5]
    assert (background.mean() < 60) == dark
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare").click()
    page.locator("#viewer-second .stage").wait_for()
    found["compare"] = violations(Axe(), page)
    page.get_by_role("tab", name="Batch").click()
    page.locator("#batch").wait_for()
    found["batch"] = violations(Axe(), page)
    assert not any(found.values()), found


def violations(axe: Any, page: Any) -> list[str]:
    """What axe-core finds of serious or critical impact: rule, and the first elements that break it."""
    page.wait_for_function(  # nothing is pale because it is still fading in
        """() => !document.querySelector(".pending") && document.getAnimations().every(
          motion => motion.playState !== "running" || motion.effect.getComputedTiming().iterations === Infinity)"""
    )
    return [
        f"{broken['id']}: {'; '.join(node['html'][:160] for node in broken['nodes'][:4])}"
        for broken in axe.run(page).response["violations"]
        if broken["impact"] in ("serious", "critical")
    ]


def test_another_visitor_sees_nothing_of_the_first(open_app, street):
    first = open_app()
    segment(first, street)
    second = open_app()
    assert second.locator("#viewer .viewer-empty").is_visible()
    assert second.locator("#image img").count() == 0
