"""Tiles: where they lie, and that blending their answers gives the whole image's."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixalign import InputError
from pixalign.predicting.tiles import STEP, blend, spans

SIDES, TILES, OVERLAPS = st.integers(32, 700), st.integers(64, 300), st.floats(0, 0.9)


@given(SIDES, TILES, OVERLAPS, st.integers(16, 1500))
def test_weights_add_up_to_one_at_every_pixel(side, tile, overlap, output):
    total = np.zeros(output)
    for span in spans(side, tile, overlap, output):
        assert span.origin <= span.first < span.last <= span.origin + span.length
        assert (span.weights > 0).all()
        total[span.first : span.last] += span.weights.numpy()
    assert np.allclose(total, 1)


@given(SIDES, TILES, OVERLAPS)
def test_tiles_begin_at_multiples_of_32_reach_both_ends_and_overlap_as_asked(side, tile, overlap):
    found = spans(side, tile, overlap, side)
    assert (found[0].start, found[-1].stop) == (0, side)
    wanted = min(tile * overlap, tile - STEP)
    for first, second in pairwise(found):
        assert first.stop - first.start == tile
        assert second.start > first.start
        assert second.start % STEP == 0
        assert first.stop - second.start >= int(wanted)
    assert tile - STEP < found[-1].stop - found[-1].start <= tile or len(found) == 1


@given(SIDES, TILES, OVERLAPS)
def test_an_outer_quarter_of_the_overlap_is_used_at_the_edges_of_the_image_alone(side, tile, overlap):
    found = spans(side, tile, overlap, side)
    margin = (tile - max(STEP, int(tile * (1 - overlap)) // STEP * STEP)) // 4
    assert [span.first - span.start for span in found] == [0] + [margin] * (len(found) - 1)
    assert [span.stop - span.last for span in found] == [margin] * (len(found) - 1) + [0]


@settings(deadline=None)
@given(st.integers(32, 260), st.integers(32, 260), st.integers(64, 130), OVERLAPS, st.integers(1, 5), st.data())
def test_blending_an_image_with_itself_gives_it_back_each_pixel_once(height, width, tile, overlap, batch, data):
    image = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, (height, width, 2), dtype=np.uint8)
    calls = []

    def answer(tiles, size):
        assert all(part.shape[:2] == size and max(size) <= tile for part in tiles)
        calls.append(len(tiles))
        return torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).float()

    seen = np.zeros((height, width), int)
    for row, column, block in blend(answer, image, tile, overlap, (height, width), batch):
        where = slice(row, row + block.shape[1]), slice(column, column + block.shape[2])
        seen[where] += 1
        assert np.allclose(block.permute(1, 2, 0), image[where], rtol=1e-5)
    assert (seen == 1).all()
    assert max(calls) <= batch


def test_an_output_of_less_than_a_pixel_per_tile_is_refused():
    with pytest.raises(InputError, match="output size 2 is too small for 31 tiles"):
        spans(1000, 64, 0.3, 2)
