"""Intervals of differences, against plain loops, and on simulated data whose true difference is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from pixalign.errors import InputError
from pixalign.evaluating import evaluate
from pixalign.metrics.intervals import blocks_of, paired_interval, read_images

COLUMNS = {"miou": 3, "boundary_f": 4}


def drawn_counts(rng, images=12, classes=4, measure="miou"):
    """Counts of a run on images whose labels depend on nothing but their number."""
    label = np.random.default_rng(images).integers(0, 50, (images, classes)) * np.r_[1 : classes + 1]
    right = (label * rng.uniform(0.3, 1, label.shape)).astype(np.int64)
    if measure == "miou":
        return np.stack([right, right + rng.integers(0, 30, label.shape), label], 1)
    edges = rng.integers(1, 60, label.shape)
    return np.stack([(edges * rng.uniform(0.3, 1, label.shape)).astype(np.int64), edges, right, label], 1)


def plain_measure(counts, measure):
    """Of one list of counts (images, columns, classes), class by class; classes without label are left out."""
    scores = []
    for c in range(counts[0].shape[1]):
        sums = [sum(int(image[column, c]) for image in counts) for column in range(COLUMNS[measure])]
        if sums[-1] == 0:
            continue
        if measure == "miou":
            scores.append(sums[0] / (sums[1] + sums[2] - sums[0]))
        else:
            precision, recall = sums[0] / max(sums[1], 1), sums[2] / sums[3]
            scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0)
    return sum(scores) / len(scores) if scores else 0


@pytest.mark.parametrize("measure", ["miou", "boundary_f"])
@given(st.integers(0, 2**32 - 1), st.integers(3, 8))
@settings(max_examples=10, deadline=None)
def test_the_interval_is_that_of_a_loop_over_resamples_and_blocks(measure, seed, pieces):
    rng = np.random.default_rng(seed)
    first, second = (drawn_counts(rng, measure=measure) for _ in range(2))
    blocks = rng.permutation(np.arange(12) % pieces) * 3 + 5
    found = paired_interval([first], [second], blocks, measure, resamples=40, seed=seed)
    difference = plain_measure(first, measure) - plain_measure(second, measure)
    draws = np.random.default_rng(seed).multinomial(pieces - 1, [1 / pieces] * pieces, 40)
    drawn = []
    for weights in draws:
        images = [
            i for block, times in enumerate(weights) for i in np.nonzero(blocks == 3 * block + 5)[0].tolist() * times
        ]
        drawn.append(plain_measure(first[images], measure) - plain_measure(second[images], measure))
    stretch = t.ppf(0.975, pieces - 1) / norm.ppf(0.975)
    low, high = np.percentile(drawn, [2.5, 97.5]) - difference
    assert found == pytest.approx((difference, difference + stretch * low, difference + stretch * high), abs=1e-12)


def test_identical_runs_differ_by_exactly_nothing():
    rng = np.random.default_rng(0)
    runs = [drawn_counts(rng) for _ in range(3)]
    assert paired_interval(runs[:1], runs[:1], np.arange(12)) == (0, 0, 0)
    assert paired_interval(runs, runs, np.arange(12)) == (0, 0, 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_the_other_order_turns_the_interval_round(seed, seeds):
    rng = np.random.default_rng(seed)
    first, second = ([drawn_counts(rng) for _ in range(seeds)] for _ in range(2))
    blocks = np.arange(12) // 2
    one, other = (paired_interval(*pair, blocks, resamples=200) for pair in ((first, second), (second, first)))
    assert other == pytest.approx((-one.difference, -one.high, -one.low), abs=1e-12)


def test_equal_arguments_give_equal_intervals_and_another_seed_another():
    rng = np.random.default_rng(0)
    arguments = [drawn_counts(rng)], [drawn_counts(rng)], np.arange(12)
    assert paired_interval(*arguments, seed=1) == paired_interval(*arguments, seed=1)
    assert paired_interval(*arguments, seed=1).low != paired_interval(*arguments, seed=2).low


def rates(rng, images, likeness, classes=3):
    """Two runs whose share of right pixels is 0.52, wandering over time, and 0.5."""
    noise = rng.normal(0, 0.1, (images, classes))
    for i in range(1, images):
        noise[i] = likeness * noise[i - 1] + np.sqrt(1 - likeness**2) * noise[i]
    label = np.full((images, classes), 10**6)
    return [
        np.stack([(label * rate).astype(np.int64), label, label], 1)
        for rate in (np.clip(0.52 + noise, 0, 1), np.full_like(noise, 0.5))
    ]


TRUE = 0.52 / 1.48 - 0.5 / 1.5


@pytest.mark.parametrize("images", [100, 300])
def test_intervals_of_independent_images_hold_the_true_difference_as_often_as_they_say(images):
    rng = np.random.default_rng(1)
    blocks = blocks_of([f"x_{i}" for i in range(images)])
    inside = 0
    for _ in range(200):
        first, second = rates(rng, images, 0)
        found = paired_interval([first], [second], blocks, resamples=400)
        inside += found.low <= TRUE <= found.high
    assert 0.90 <= inside / 200 <= 0.99


def test_blocks_widen_the_interval_of_frames_that_resemble_each_other():
    rng = np.random.default_rng(2)
    inside = {1: 0, 20: 0}
    for _ in range(60):
        first, second = rates(rng, 300, 0.9)
        width = {}
        for length in inside:
            blocks = blocks_of([f"x_{i}" for i in range(300)], length)
            found = paired_interval([first], [second], blocks, resamples=200)
            width[length] = found.high - found.low
            inside[length] += found.low <= TRUE <= found.high
        assert width[20] > 1.3 * width[1]
    assert inside[1] < 36 < 48 < inside[20]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_over_seeds_that_spread_hold_the_true_difference(seeds):
    rng = np.random.default_rng(seeds)
    blocks = blocks_of([f"x_{i}" for i in range(100)])
    label = np.full((100, 2), 10**6)

    def run(rate):
        share = rate + rng.normal(0, 0.01) + rng.normal(0, 0.02, label.shape)
        return np.stack([(label * share).astype(np.int64), label, label], 1)

    inside = 0
    for _ in range(200):
        first, second = [run(0.52) for _ in range(seeds)], [run(0.5) for _ in range(seeds)]
        found = paired_interval(first, second, blocks, resamples=200)
        inside += found.low <= TRUE <= found.high
    assert 0.87 <= inside / 200 <= 0.99


def test_seeds_that_differ_widen_the_interval():
    rng = np.random.default_rng(0)
    label = np.full((30, 2), 1000)

    def run(share):
        return np.stack([(label * (share + rng.normal(0, 0.01, label.shape))).astype(np.int64), label, label], 1)

    blocks, second = np.arange(30), [run(0.5) for _ in range(4)]
    alike = paired_interval([run(0.6) for _ in range(4)], second, blocks)
    apart = paired_interval([run(share) for share in (0.5, 0.57, 0.63, 0.7)], second, blocks)
    assert apart.high - apart.low > 3 * (alike.high - alike.low)
    assert apart.low < 0.07 < apart.high


def test_different_numbers_of_seeds_are_compared_by_their_means():
    rng = np.random.default_rng(0)
    first, second = [drawn_counts(rng) for _ in range(2)], [drawn_counts(rng) for _ in range(3)]
    found = paired_interval(first, second, np.arange(12))
    means = [np.mean([plain_measure(counts, "miou") for counts in side]) for side in (first, second)]
    assert found.difference == pytest.approx(means[0] - means[1])
    assert found.low < found.difference < found.high


def test_a_class_that_the_labels_lack_changes_nothing():
    rng = np.random.default_rng(0)
    first, second = drawn_counts(rng), drawn_counts(rng)
    without = paired_interval([first], [second], np.arange(12))
    for counts in (first, second):
        counts[:, 0, 3] = counts[:, 2, 3] = 0
    kept = [counts[..., :3] for counts in (first, second)]
    assert paired_interval([first], [second], np.arange(12)) == paired_interval(kept[:1], kept[1:], np.arange(12))
    assert paired_interval([first], [second], np.arange(12)) != without


def test_a_class_on_one_image_alone_is_left_out_of_resamples_without_it():
    label = np.full((6, 2), 100)
    label[1:, 1] = 0
    first = np.stack([label, label, label], 1)  # all right, whatever is drawn
    second = np.stack([0 * label, label, label], 1)
    found = paired_interval([first], [second], np.arange(6))
    assert (found.difference, found.low, found.high) == pytest.approx((1, 1, 1))


def test_one_block_says_nothing_of_other_images():
    rng = np.random.default_rng(0)
    found = paired_interval([drawn_counts(rng)], [drawn_counts(rng)], np.zeros(12, int))
    assert (found.low, found.high) == (-1, 1)


def test_blocks_are_runs_of_frames_of_one_sequence():
    names = [f"0016E5_{7959 + 2 * i:05}.png" for i in range(30)] + [f"Seq05VD_f{30 * i:05}.png" for i in range(14)]
    blocks = blocks_of(names)
    assert blocks.tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 14
    assert blocks_of(names, length=7).tolist()[-14:] == [4] * 7 + [5] * 7
    order = np.random.default_rng(0).permutation(len(names))
    assert len({*zip(blocks[order], blocks_of([names[i] for i in order]))}) == 4


def test_frames_are_counted_by_their_number_and_names_without_one_stand_alone():
    assert blocks_of(["a_2.png", "a_10.png", "a_1.png", "a_9.png"], length=2).tolist() == [0, 1, 0, 1]
    assert (
        len(
            set(
                blocks_of(
                    ["rose.jpg", "house.jpg", "aachen_000001_000019_gtFine.png", "aachen_000002_000019_gtFine.png"]
                )
            )
        )
        == 4
    )
    assert blocks_of([]).tolist() == []


@given(st.integers(1, 200), st.integers(1, 40))
def test_blocks_differ_by_one_image_at_most(images, length):
    sizes = np.bincount(blocks_of([f"{i:03}" for i in range(images)], length))
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == max(1, round(images / length))


class Guess(torch.nn.Module):
    """Takes the red channel as the class, but shifted by three pixels."""

    def __init__(self):
        super().__init__()
        self.config = {"mean": [0.0] * 3, "std": [1 / 255] * 3}
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image):
        return torch.nn.functional.one_hot(image[:, 0].roll(3, 2).round().long(), 3).permute(0, 3, 1, 2).float()


class Squares:
    name, classes, colors = "squares/val", ["ground", "tree, tall", "Häuser"], [[0, 0, 0]] * 3

    def __len__(self):
        return 4

    def __getitem__(self, index):
        label = np.kron(np.random.default_rng(index).integers(0, 2, (6, 7)), np.ones((8, 8))).astype(np.uint8)
        return np.repeat(label[..., None], 3, -1), label

    def where(self, index):
        return f"masks/s_{index}.png"

    def fingerprint(self):
        return "0" * 16


def test_the_counts_of_images_are_read_back_and_give_the_figures_of_the_split(tmp_path):
    result = evaluate(Guess(), Squares(), boundary=True, per_image=tmp_path / "images.csv")
    names, classes, columns = read_images(tmp_path / "images.csv")
    assert (names, classes) == ([f"s_{i}.png" for i in range(4)], Squares.classes)
    none = {name: np.zeros_like(column) for name, column in columns.items()}

    def value(*wanted, measure):
        first = np.stack([columns[name] for name in wanted], 1)
        second = np.stack([none[name] for name in wanted[:-1]] + [columns[wanted[-1]]], 1)
        return paired_interval([first], [second], np.arange(4), measure, resamples=10).difference

    assert value("intersection", "prediction", "label", measure="miou") == pytest.approx(result["miou"])
    for radius, score in result["boundary"]["mean"].items():
        counts = f"matched_prediction_{radius}", "edges_prediction", f"matched_label_{radius}", "edges_label"
        assert value(*counts, measure="boundary_f") == pytest.approx(score)
    assert result["boundary"]["mean"]["1"] < 0.9 < result["boundary"]["mean"]["3"]
    for measure in ("iou", "trimap"):
        assert 0 < result["boundary"][measure]["mean"]["1"] < result["boundary"][measure]["mean"]["12"] < 1
        assert result["boundary"][measure]["by_class"]["12"]["Häuser"] is None


def test_without_boundaries_there_are_three_columns_and_equal_names_stay_apart(tmp_path):
    data = Squares()
    data.where = lambda index: "masks/same.png"
    evaluate(Guess(), data, per_image=tmp_path / "images.csv")
    names, _, columns = read_images(tmp_path / "images.csv")
    assert names == ["same.png"] * 4
    assert {name: column.shape for name, column in columns.items()} == dict.fromkeys(
        ("intersection", "prediction", "label"), (4, 3)
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image,class,label\n",
        "image,class,label\na,b\n",
        "image,class,label\na,b,1,2\n",
        "image,class,label\na,b,x\n",
        "class,image,label\na,b,1\n",
        "image,class,label\na,b,1\na,c,1\nd,b,1\n",
        "image,class,label\na,b,1\na,c,1\nd,b,1\ne,c,1\n",
        "image,class,label\na,b,\xff",
    ],
)
def test_a_file_that_is_no_table_of_images_is_refused_by_name(tmp_path, text):
    file = tmp_path / "images.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"images\.csv.*evaluate again") as error:
        read_images(file)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"nothing\.csv: cannot be read"):
        read_images(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measure": "accuracy"}, "'accuracy': expected one of miou, boundary_f"),
        ({"measure": "boundary_f"}, r"\(12, 3, 4\).*\(12, 4\)"),
        ({"level": 95}, "level 95"),
        ({"resamples": 0}, "0 resamples"),
        ({"blocks": np.arange(11)}, r"expected \(11, 3\)"),
        ({"second": []}, "without a run"),
        ({"second": [np.ones((12, 3, 5), int)]}, r"\(12, 3, 5\)"),
        ({"second": [np.ones((12, 3, 4), int)]}, "different labels"),
        ({"first": [np.zeros((12, 3, 4), int)], "second": [np.zeros((12, 3, 4), int)]}, "no class"),
    ],
)
def test_what_makes_no_interval_is_refused(change, message):
    rng = np.random.default_rng(0)
    arguments = {"first": [drawn_counts(rng)], "second": [drawn_counts(rng)], "blocks": np.arange(12)}
    with pytest.raises(InputError, match=message):
        paired_interval(**{**arguments, **change})


def test_a_block_length_below_one_is_refused():
    with pytest.raises(InputError, match="length 0"):
        blocks_of(["a_1.png"], 0)
