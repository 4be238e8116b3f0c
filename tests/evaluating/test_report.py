"""The report of an evaluation: what it holds, and that a browser shows it."""

import html
import re
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from markupsafe import escape
from PIL import Image
from torch import nn

import pixalign
from browser import open_page
from pixalign.cli import main
from pixalign.data.sets.streets import Streets
from pixalign.errors import InputError
from pixalign.evaluating import evaluate
from pixalign.evaluating.report import SHOWN, choose, crop_of_errors, image_miou, jpeg, shown_images, write_report
from pixalign.metrics.confusion import confusion_matrix, summary
from pixalign.palette import default_colors
from pixalign.predicting.inference import predict_ids
from pixalign.runtime import open_runtime

TINY = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}


class Oracle(nn.Module):
    """Reads the class from the first channel."""

    def __init__(self, classes, channels=3):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.config = {"mean": [0.0] * channels, "std": [1 / 255] * channels}
        self.classes = classes

    def forward(self, image):
        return nn.functional.one_hot(image[:, 0].round().long(), self.classes).permute(0, 3, 1, 2).float()


class Made:
    """Pairs held in memory, from predictions (held by the image) and labels."""

    name = "made/val"

    def __init__(self, pairs, classes, channels=3):
        self.pairs = [(np.repeat(ids[..., None], channels, -1), label) for ids, label in pairs]
        self.classes, self.colors = classes, default_colors(len(classes))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]

    def where(self, index):
        return f"masks/<{index}>.png"

    def fingerprint(self):
        return "0" * 16


class Parsed(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def made(images, classes, used=None, channels=3, size=(40, 56)):
    """Images of blocks, of which a part is predicted as another class and a part has no label."""
    rng = np.random.default_rng(0)
    used = used or len(classes)
    pairs = []
    for i in range(images):
        label = np.kron(rng.integers(0, used, (5, 7)), np.ones((8, 8))).astype(np.uint8)[: size[0], : size[1]]
        ids = label.copy()
        ids[10 : 14 + i % 20] = rng.integers(0, used)
        label[:3] = 255
        pairs.append((ids, label))
    return Made(pairs, classes, channels)


def report(data, folder, boundary=True, **options):
    model = Oracle(len(data.classes), data[0][0].shape[-1])
    result = evaluate(model, data, boundary=boundary, per_image=folder / "images.csv")
    options = {"model": "mine", "per_image": folder / "images.csv", **options}
    return write_report(
        result, data, partial(predict_ids, open_runtime(model, device=None)), folder, **options
    ).read_text(encoding="utf-8")


def text_of(page):
    return " ".join(" ".join(Parsed(page).words).split())


def figures_of(page):
    return [float(number) for number in re.findall(r"<dd>([\d.]+)<small>", page)]


@pytest.fixture(scope="module")
def streets_page(tmp_path_factory):
    """The report of a tiny, untrained network on two drawn scenes."""
    folder = tmp_path_factory.mktemp("streets")
    torch.manual_seed(0)
    data = Streets("val", 2, (96, 128))
    model = pixalign.create_model("sfnet", num_classes=len(data.classes), **TINY).eval()
    result = evaluate(model, data, boundary=True, per_image=folder / "images.csv")
    predict, seen = partial(predict_ids, open_runtime(model, device=None)), []
    page = write_report(
        result, data, predict, folder, per_image=folder / "images.csv", model="tiny", about="a network",
        advance=seen.append,
    )  # fmt: skip
    assert sum(seen) == shown_images(data) == 2
    again = folder / "again"
    other = write_report(result, data, predict, again, per_image=folder / "images.csv", model="tiny", about="a network")
    assert other.read_bytes() == page.read_bytes()
    return page, result


def test_a_report_holds_figures_classes_confusions_borders_and_images(streets_page):
    path, result = streets_page
    page = path.read_text(encoding="utf-8")
    figures = [round(100 * result[key], 1) for key in ("miou", "pixel_accuracy", "class_accuracy")]
    assert figures_of(page)[:4] == [*figures, round(100 * result["boundary"]["mean"]["3"], 1)]
    text = text_of(page)
    for heading in ("tiny", "a network", "Where it fails", "Classes", "What is called what", "Borders", "Images"):
        assert heading in text
    assert page.count("<article") == 2
    assert page.count("src='data:image/jpeg;base64,") == 2 * 5
    assert page.count("<tr data-n=") == len(result["iou"])
    assert [name for name in result["iou"] if name not in text] == []
    assert "http" not in page
    assert "src='/" not in page


def test_the_heat_map_and_the_words_hold_the_confusion_matrix(tmp_path):
    label = np.zeros((40, 50), np.uint8)
    label[20:] = 1
    ids = label.copy()
    ids[20:25] = 0
    page = report(Made([(ids, label)], ["fence", "building"]), tmp_path)
    cells = [int(number) for number in re.findall(r"<td[^>]* data-n=(\d+)", page)]
    assert cells == [1000, 0, 250, 750]
    assert "<b>25.0 %</b><span>of building is called fence" in page
    assert "most often building called fence" in text_of(page)


def test_classes_are_listed_from_the_lowest_iou_on_and_absent_ones_last(tmp_path):
    data = made(3, ["a", "b", "c", "absent one"], used=3)
    page = report(data, tmp_path)
    values = re.findall(r"<tr data-id=\d+ data-share=\S+ data-iou='([^']*)'", page)
    assert values[-1] == ""
    assert list(map(float, values[:-1])) == sorted(map(float, values[:-1]))
    assert "left out of the means: absent one" in text_of(page)
    assert page.count("class=none") == 4


def test_without_boundaries_the_rest_is_there(tmp_path):
    page = report(made(3, ["a", "b"]), tmp_path, boundary=False)
    assert "Borders" not in text_of(page)
    assert "oundary" not in text_of(page)
    assert page.count("<article") == 3


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_image_of_any_channels_makes_a_report(tmp_path, channels):
    page = report(made(1, ["a", "b"], channels=channels), tmp_path)
    assert "The image" in text_of(page)
    assert "Images by their mIoU" not in page
    assert page.count("<article") == 1


def test_a_perfect_prediction_fails_nowhere(tmp_path):
    label = np.eye(48, dtype=np.uint8)
    page = report(Made([(label, label)] * 3, ["a", "b"]), tmp_path)
    assert "Nowhere" in text_of(page)
    assert figures_of(page)[0] == 100


def test_images_without_a_label_are_left_out(tmp_path):
    data = made(3, ["a", "b"])
    data.pairs[1][1][:] = 255
    page = report(data, tmp_path)
    assert page.count("<article") == 2
    assert "1 image without a labeled pixel" in text_of(page)


def test_many_images_and_classes_stay_below_5_megabytes(tmp_path):
    rng = np.random.default_rng(0)
    classes = [f"class {i}" for i in range(60)]
    noisy = [(rng.integers(0, 60, (160, 200), np.uint8), rng.integers(0, 60, (160, 200), np.uint8)) for _ in range(3)]
    page = report(Made([noisy[i % 3] for i in range(25)], classes), tmp_path, boundary=False)
    assert len(page.encode()) < 5_000_000
    assert page.count("<article") == 2 * SHOWN
    assert len(re.findall(r"<td[^>]* data-n=", page)) == 30 * 30
    assert "30 of 60 classes" in text_of(page)


def test_names_of_any_script_are_shown_and_none_becomes_markup(tmp_path):
    names = ["<script>alert(1)</script>", "' onclick='alert(1)' x='", "</script></style>&amp;", "Straße 街道 🚗"]
    page = report(made(3, names), tmp_path, model="<b>model</b>", about="<img src=x>")
    parsed = Parsed(page)
    assert [parsed.tags.count(tag) for tag in ("script", "style", "title")] == [1, 1, len(re.findall("<title>", page))]
    assert not [value for key, value in parsed.attributes if key == "onclick"]
    assert parsed.tags.count("img") == 3 * 5
    for name in names:
        assert ("title", name) in parsed.attributes
        assert str(escape(name)) in page
    assert "<b>model</b> on made/val" in parsed.words
    assert "<0>.png" in parsed.words


def test_counts_of_another_split_are_refused(tmp_path):
    data = made(3, ["a", "b"])
    report(data, tmp_path)
    (tmp_path / "images.csv").rename(tmp_path / "other.csv")
    for other in (made(2, ["a", "b"]), made(3, ["a", "c"])):
        with pytest.raises(InputError, match=r"other\.csv.*evaluate it again"):
            report(other, tmp_path, per_image=tmp_path / "other.csv")


def test_a_prediction_of_another_size_is_compared_at_the_pixel_centers(tmp_path):
    label = np.kron(np.eye(24), np.ones((2, 2))).astype(np.uint8)
    data = Made([(label, label)], ["a", "b"])
    result = evaluate(Oracle(2), data, per_image=tmp_path / "images.csv")
    page = write_report(
        result, data, lambda image: label[::2, ::2], tmp_path, per_image=tmp_path / "images.csv", model="mine"
    )
    assert "0.0 % of its pixels wrong" in text_of(page.read_text(encoding="utf-8"))


def test_the_command_leaves_a_report_beside_the_figures(folder_data, tmp_path, capsys):
    network = pixalign.create_model("sfnet", num_classes=3, **TINY)
    pixalign.save(network, tmp_path / "model")
    arguments = ["evaluate", str(tmp_path / "model"), "--data.root", str(folder_data), "--flip"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert str(tmp_path / "out/index.html") in capsys.readouterr().out
    text = text_of((tmp_path / "out/index.html").read_text(encoding="utf-8"))
    assert "sfnet with encoder" in text
    assert "flip" in text


@given(arrays.arrays(np.float64, st.integers(0, 40), elements=st.floats(0, 1) | st.just(np.nan)))
def test_the_worst_and_the_best_images_are_chosen_once_each(scores):
    worst, best = choose(scores)
    chosen = worst + best
    assert len(chosen) == len(set(chosen)) == min(np.isfinite(scores).sum(), 2 * SHOWN)
    assert 0 <= len(worst) - len(best) <= 1
    assert list(scores[worst]) == sorted(scores[worst])
    assert list(scores[best]) == sorted(scores[best], reverse=True)
    for other in set(np.flatnonzero(np.isfinite(scores)).tolist()) - set(chosen):
        assert scores[worst[-1]] <= scores[other] <= scores[best[-1]]


@given(arrays.arrays(np.uint8, (3, 2, 6), elements=st.sampled_from([0, 1, 2, 255])))
def test_the_miou_of_an_image_is_that_of_a_split_of_it_alone(maps):
    ids, labels = np.where(maps[:, 0] == 255, 0, maps[:, 0]), maps[:, 1]
    matrices = [confusion_matrix(i, label, 3) for i, label in zip(ids, labels)]
    counts = np.array([[m.diagonal(), m.sum(0), m.sum(1)] for m in matrices])
    for score, matrix in zip(image_miou(*np.moveaxis(counts, 1, 0)), matrices):
        if matrix.any():
            assert score == pytest.approx(summary(matrix, list("abc"))["miou"])
        else:
            assert np.isnan(score)


@given(arrays.arrays(np.uint8, (2, 12, 15), elements=st.sampled_from([0, 0, 0, 1, 255])))
def test_no_other_crop_holds_more_errors_near_borders(maps):
    ids, label = np.where(maps[0] == 255, 0, maps[0]), maps[1]
    near = np.zeros(label.shape, bool)  # within 3 pixels of one whose right or lower neighbor has another label
    for y, x in np.ndindex(label.shape):
        beside = label[y : y + 2, x].tolist()[1:] + label[y, x : x + 2].tolist()[1:]
        if label[y, x] != 255 and any(other not in (label[y, x], 255) for other in beside):
            near[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = True
    errors = near & (label != 255) & (ids != label)
    crop = crop_of_errors(ids, label, (4, 5))
    assert errors[crop].shape == (4, 5)
    assert errors[crop].sum() == max(errors[y : y + 4, x : x + 5].sum() for y in range(9) for x in range(11))


def test_pictures_stay_small_whatever_they_show():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 480, 3), np.uint8))
    plain = Image.new("RGB", (480, 360), "white")
    assert len(jpeg(noise)) <= 30_000
    assert len(jpeg(plain)) < 5_000


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (400, False)])
def test_a_browser_shows_the_page_without_a_complaint(streets_page, tmp_path, width, dark):
    opened = open_page(streets_page[0], tmp_path, width, 2400, dark)
    assert opened.console == []
    pixels = np.asarray(opened.picture)
    assert pixels.shape[1] == width
    assert (pixels[0, 0].mean() < 60) == dark
    written = (np.abs(pixels.astype(int) - pixels[0, 0]).max(-1) > 60).mean(1) > 0
    assert written[:800].mean() > 0.3


def test_nothing_sticks_out_at_the_side_of_any_screen(tmp_path):
    classes = ["a_name_without_a_space_" * 3, "many words in the name of a class " * 3, "c"]
    text = report(made(3, classes), tmp_path, model="runs/" + "long" * 40)
    frames = "".join(f"<iframe srcdoc='{html.escape(text)}' width={width}></iframe>" for width in (320, 400, 800, 1400))
    page = tmp_path / "frames.html"
    page.write_text(
        f"""<!doctype html><meta charset=utf-8><body>{frames}<script>addEventListener("load", () => {{
        document.body.dataset.over = [...document.querySelectorAll("iframe")].map(frame =>
          frame.contentDocument.documentElement.scrollWidth - frame.contentWindow.innerWidth).join(" ") }})</script>""",
        encoding="utf-8",
    )
    assert 'data-over="0 0 0 0"' in open_page(page, tmp_path).document


def test_a_click_sorts_the_classes_and_a_cell_tells_its_numbers(tmp_path):
    data = made(3, ["zebra", "ape", "<i>cat</i>"])
    text = report(data, tmp_path)
    acts = """<script>
    const order = () => [...document.querySelectorAll(".classes tbody tr")].map(row => row.dataset.id).join("");
    const click = n => { document.querySelectorAll(".classes button")[n].click(); return order(); };
    document.body.dataset.orders = [click(0), click(0), click(1)].join(" ");
    document.querySelector(".heat tbody tr:nth-child(3) td:nth-of-type(1)").click();
    </script></body>"""
    page = tmp_path / "acted.html"
    page.write_text(text.replace("</body>", acts), encoding="utf-8")
    opened = open_page(page, tmp_path)
    assert opened.console == []
    rows = dict(re.findall(r"<tr data-id=(\d) data-share=\S+ data-iou='([^']*)'", text))
    by_iou = "".join(sorted(rows, key=lambda i: float(rows[i])))
    assert f'data-orders="012 210 {by_iou}"' in opened.document
    readout = re.search(r'aria-live="polite">(.*?)</p>', opened.document).group(1)
    counts = np.array([int(n) for n in re.findall(r"<td[^>]* data-n=(\d+)", text)]).reshape(3, 3)
    expected = f"{100 * counts[2, 0] / counts[2].sum():.2f} % of <i>cat</i> is called zebra: {counts[2, 0]} of"
    assert html.unescape(readout).startswith(expected)
