"""Labels at points, and the loss of a network that answers at points."""

import torch

from pixalign.losses import (
    cross_entropy,
    dice_loss,
    label_at,
    label_at_points,
    lovasz_softmax,
    ohem_cross_entropy,
    total_loss,
)


def labels() -> torch.Tensor:
    target = torch.randint(0, 4, (2, 12, 20), generator=torch.Generator().manual_seed(0))
    target[:, :3] = 255
    return target


def centers(height: int, width: int) -> torch.Tensor:
    y, x = ((2 * torch.arange(n) + 1) / n - 1 for n in (height, width))
    return torch.stack((x.expand(height, width), y.unsqueeze(1).expand(height, width)), -1).view(1, -1, 2)


def test_pixel_centers_have_their_pixels_labels():
    target = labels()
    assert torch.equal(label_at_points(target, centers(12, 20).expand(2, -1, -1)), target.view(2, -1, 1))


def test_centers_of_another_grid_have_the_labels_that_a_map_of_its_size_meets():
    target = labels()
    got = label_at_points(target, centers(5, 7).expand(2, -1, -1))
    assert torch.equal(got.view(2, 5, 7), label_at(target, (5, 7)))


def test_points_on_the_rim_have_the_outermost_labels():
    target = labels()
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]).expand(2, 4, 2)
    assert torch.equal(label_at_points(target, corners)[..., 0], target[:, [0, 0, 11, 11], [0, 19, 0, 19]])


def test_logits_at_points_meet_the_labels_there_in_every_part():
    generator = torch.Generator().manual_seed(0)
    target, points = labels(), 2 * torch.rand(2, 50, 2, generator=generator) - 1
    logits, auxiliary = torch.randn(2, 4, 50, 1, generator=generator), torch.randn(2, 4, 2, 3, generator=generator)
    outputs = {"logits": logits, "points": points, "auxiliaries": [auxiliary]}
    here = label_at_points(target, points)
    assert (here == 255).any()
    _, parts = total_loss(outputs, target, dice=1.0, lovasz=1.0)
    torch.testing.assert_close(parts["cross_entropy"], cross_entropy(logits, here))
    torch.testing.assert_close(parts["auxiliary"], cross_entropy(auxiliary, label_at(target, (2, 3))))
    torch.testing.assert_close(parts["dice"], dice_loss(logits, here))
    torch.testing.assert_close(parts["lovasz"], lovasz_softmax(logits, here))
    _, parts = total_loss(outputs, target, name="ohem", threshold=0.01, min_kept=48)  # of 480 pixels: 10 of 100 points
    torch.testing.assert_close(parts["ohem"], ohem_cross_entropy(logits, here, 0.01, 10))
