"""What the functions around a network assume of it, held against every registered network, aligner and adapter.

The networks are those that the registry lists (`networks.NETWORKS`), so that a new one is swept as soon as it is there.
"""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import pixalign
from graphs import relative_error
from networks import CLASSES, NETWORKS, PEERS, image, network, randomized
from no_float64 import NoFloat64
from pixalign.data.samples import Samples
from pixalign.evaluating.biases import fit_biases
from pixalign.losses import total_loss
from pixalign.models import create_model, list_models
from pixalign.predicting.inference import predict_ids, predict_probabilities
from pixalign.runtime import open_runtime
from pixalign.training.config import DataConfig, LossConfig, OptimConfig, TrainConfig
from pixalign.training.initial import initialize
from pixalign.training.loop import train
from pixalign.training.parallel import mean_over_processes, synchronize_norms

KEYS = [*NETWORKS, *PEERS]
ENCODERS = {  # one of each kind, as small as it comes
    "test_resnet": {},
    "test_vit": {},
    "test_convnext": {},
    "hrnet_w18_small": {},
    "swin_tiny_patch4_window7_224": {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)},
}
NAMES = [f"class_{k}" for k in range(CLASSES)]


@pytest.fixture(scope="module", params=KEYS)
def key(request):
    return request.param


@pytest.fixture(scope="module")
def model(key):
    """Not to be changed."""
    return network(key)


def logits(model, x):
    with torch.inference_mode():
        return model(x)


def labels(height, width, batch=1, classes=CLASSES):
    """Stripes of classes, with a corner that is not labeled."""
    rows = torch.arange(height).view(1, -1, 1) // 5 + torch.arange(batch).view(-1, 1, 1)
    target = (rows % classes).expand(batch, height, width).clone()
    target[:, : height // 3, : width // 3] = 255
    return target


def picture(height=48, width=64, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def data():
    """Two labeled pictures."""
    masks = labels(48, 64, batch=2).numpy().astype(np.uint8)
    return Samples([(picture(seed=i), masks[i]) for i in range(2)], NAMES)


def state(model):
    """All that a caller can see of a network."""
    modules = [
        (type(m), m.training, len(m._forward_hooks), len(m._forward_pre_hooks), sorted(m.__dict__))
        for m in model.modules()
    ]
    tensors = {
        name: (x.data_ptr(), x.dtype, x.device, x.stride(), x.requires_grad, x.grad is None, x._version)
        for name, x in [*model.named_parameters(), *model.named_buffers()]
    }
    values = {name: x.clone() for name, x in model.state_dict().items()}
    return modules, tensors, copy.deepcopy(model.config), values


def assert_same(before, after):
    for ours, theirs in zip(before[:3], after[:3]):
        assert ours == theirs
    for name, x in before[3].items():
        assert torch.equal(x, after[3][name]), name


# --- any image


@pytest.mark.parametrize("size", [(33, 65), (97, 161)])
def test_logits_of_odd_sizes_have_the_images_size_in_either_memory_layout(model, size):
    x = image(*size)
    expected = logits(model, x)
    assert expected.shape == (1, CLASSES, *size)
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    assert relative_error(logits(other, x.contiguous(memory_format=torch.channels_last)), expected) < 1e-4
    assert relative_error(logits(other, x), expected) < 1e-4


def test_images_of_one_channel_are_taken(key):
    model = network(key, in_channels=1)
    assert len(model.config.mean) == len(model.config.std) == 1
    assert logits(model, image(64, 96, channels=1)).shape == (1, CLASSES, 64, 96)
    assert pixalign.Predictor(model, "cpu")(picture(channels=1)).ids.shape == (48, 64)


# --- copies


def test_copies_pickles_and_folders_are_the_network(key, model, tmp_path):
    x = image(64, 96)
    expected = logits(model, x)
    in_training = copy.deepcopy(model).train()
    before = state(in_training)
    loaded = pixalign.load(pixalign.save(in_training, tmp_path / "model"))
    assert_same(before, state(in_training))
    assert not loaded.training
    copies = [copy.deepcopy(model), loaded]
    if not key.startswith("hf/"):  # whose first call leaves hooks that cannot be pickled
        copies.append(pickle.loads(pickle.dumps(model)))
    for other in copies:
        assert torch.equal(logits(other, x), expected)
        assert replace(other.config, more={}) == model.config
        assert other.config.classes is not model.config.classes


# --- another network's classes


@pytest.mark.parametrize("classes", ["edcba", "xbe"])
@pytest.mark.parametrize("key", PEERS)  # for ours, tests/training/test_initial.py
def test_a_network_started_from_another_has_its_logits_for_the_classes_that_both_know(key, classes):
    source, started = network(key), network(key, num_classes=len(classes))
    source.config.classes, started.config.classes = list("abcde"), list(classes)
    with torch.no_grad():
        for x in started.parameters():
            x.mul_(0.5)
    left, new = initialize(started, source)
    assert (left, new) == ([], [c for c in classes if c not in "abcde"])
    ours, theirs = logits(started, image(64, 96)), logits(source, image(64, 96))
    for k, name in enumerate(classes):
        if name not in new:
            torch.testing.assert_close(ours[:, k], theirs[:, "abcde".index(name)], rtol=1e-4, atol=1e-4)


def test_fitted_biases_shift_the_logits_of_each_class_and_nothing_else_changes(model):
    in_training = copy.deepcopy(model).train()
    before = state(in_training)
    adjusted, biases = fit_biases(in_training, data())
    assert_same(before, state(in_training))
    assert any(biases)
    adjusted.eval()
    x = image(64, 96)
    shift = (logits(adjusted, x) - logits(model, x)).squeeze(0).flatten(1)
    expected = torch.tensor(biases)[:, None].expand_as(shift)
    torch.testing.assert_close(shift, expected, rtol=1e-3, atol=1e-3)
    changed = [n for n, x in adjusted.state_dict().items() if not torch.equal(x, model.state_dict()[n])]
    assert len(changed) == 1
    assert dict(adjusted.named_parameters())[changed[0]] is adjusted.class_layer.bias


# --- inference


@pytest.mark.parametrize("key", PEERS)  # for ours, tests/fusing/test_fuse.py
def test_a_fused_network_has_the_same_logits_and_is_a_copy(key):
    model = network(key)
    in_training = copy.deepcopy(model).train()
    before = state(in_training)
    quick = pixalign.fuse(in_training)
    assert_same(before, state(in_training))
    for size in ((64, 96), (33, 65)):
        assert relative_error(logits(quick, image(*size)), logits(model, image(*size))) < 1e-4


# --- the caller's network


FUNCTIONS = {  # what comes out of a network
    "Predictor": lambda model: pixalign.Predictor(model, "cpu", mode=pixalign.Mode(tile=64))(picture(80, 96)).ids,
    "evaluate": lambda model: pixalign.evaluate(model, data())["confusion"],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_callers_network_is_as_before_also_in_the_middle_of_training(model, name):
    expected = FUNCTIONS[name](copy.deepcopy(model))
    in_training = copy.deepcopy(model).train()
    before = state(in_training)
    assert np.array_equal(FUNCTIONS[name](in_training), expected)
    assert_same(before, state(in_training))


# --- devices without float64


def test_nothing_needs_64_bit_floats(key, model):
    pixels = torch.from_numpy(picture()).permute(2, 0, 1)[None]
    trained = network(key).train()
    x, target = image(33, 47, batch=2), labels(33, 47, batch=2)
    losses = {"edge": 25, "edge_guided": 1} if "edge" in dict(trained.named_children()) else {}
    with NoFloat64():
        runtime = open_runtime(model, device=None)
        runtime.logits(pixels)
        predict_ids(runtime, picture(), pixalign.Mode(flip=True, scales=(1, 1.5)))
        predict_probabilities(runtime, picture())
        for name, share in (("cross_entropy", lambda x: x), ("ohem", None)):
            outputs = trained(x, heads=True)
            loss, _ = total_loss(
                outputs, target, name=name, dice=1, lovasz=1, distill=1, teacher=outputs["logits"].detach(),
                weight=torch.ones(CLASSES), mean_over_processes=share, **losses,
            )  # fmt: skip
            loss.backward()
        pixalign.evaluate(model, data(), boundary=True)


def test_a_64_bit_float_is_found():
    x = torch.ones(2)
    with NoFloat64(), pytest.raises(TypeError, match="float64, which this device does not have"):
        x.double()


# --- training


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", list_models())
def test_every_parameter_gets_a_gradient_whatever_the_encoder(name, encoder):
    options = {"encoder_options": ENCODERS[encoder]}
    model = create_model(name, encoder=encoder, num_classes=2, channels=16, **options)
    assert no_gradient(model, image(64, 64, batch=2), labels(64, 64, batch=2, classes=2)) == []


@pytest.mark.parametrize("key", PEERS)
def test_every_parameter_of_other_packages_networks_gets_a_gradient_or_wants_none(key):
    encoders = ("test_resnet", "mobilenetv3_small_050") if key.startswith("smp/") else ("test_resnet",)
    for encoder in encoders:
        model = network(key, encoder)
        assert no_gradient(model, image(64, 64, batch=2), labels(64, 64, batch=2)) == []


def no_gradient(model, x, target):
    """The names of the parameters that a training step leaves without one."""
    loss, _ = total_loss(model.train()(x, heads=True), target)
    loss.backward()
    return [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize("name", list_models())
def test_two_batches_accumulated_make_the_step_of_the_batch_of_both(name, tmp_path):
    start = randomized(create_model(name, encoder="test_resnet", num_classes=3, channels=16))
    pixalign.save(start, tmp_path / "start")
    masks = labels(64, 64, batch=4, classes=3).numpy().astype(np.uint8)
    for mask, labeled in zip(masks, (4, 64, 8, 30)):
        mask[labeled:] = 255
    items = [(picture(64, 64, seed=i), mask) for i, mask in enumerate(masks)]
    moved = []
    for size, count in ((4, 1), (2, 2)):
        config = TrainConfig(
            init=str(tmp_path / "start"), data=DataConfig(crop=(64, 64), workers=0, check=False),
            loss=LossConfig(class_weights="enet"), optim=OptimConfig("sgd", lr=0.5, warmup=0.0),
            freeze=",".join({n.split(".")[0] for n, _ in start.named_parameters()} - {"classify"}),
            epochs=1, batch_size=size, accumulate=count, precision="fp32", ema=0.0, pictures_every=0,
            out=str(tmp_path / f"{size}"), device="cpu",
        )  # fmt: skip
        train(config, dataset=Samples(items, start.config.classes), val=Samples(items[:1], start.config.classes))
        after = pixalign.load(tmp_path / f"{size}" / "last").classify.weight
        moved.append((after - start.classify.weight).detach())
    assert relative(moved[1], moved[0]) < 1e-3
    assert moved[0].abs().max() > 1e-3


PAIRED = [  # network, encoder: a plain ViT, whose pyramid is ours, for each; other kinds for some
    *((key, "test_vit") for key in NETWORKS),
    *((key, "test_resnet") for key in (*PEERS, "sfnet", "bialignnet")),
    ("bialignnet", "hrnet_w18_small"),
]


def stepped(model, x, target, step):
    """The weights and statistics of ``model`` after one step of SGD on a batch, without dropout."""
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
        elif hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss, _ = total_loss(step(x), target, mean_over_processes=mean_over_processes())
    loss.backward()
    optimizer.step()
    return model.state_dict()


def batch(key):
    """Four images for a step; the first two have fewer labels."""
    target = labels(33, 47, batch=4)
    target[:2, 12:] = 255
    return image(33, 47, batch=4), target


def untrained(key, encoder):
    """The network as it starts, the same each time: a step of one whose flows are large depends on rounding."""
    torch.manual_seed(0)
    return network(key, encoder, randomize=False).train()


def both_processes(rank, folder):
    """One of two processes: a step of each network with half of its batch."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for key, encoder in PAIRED:
        model = synchronize_norms(untrained(key, encoder), torch.device("cpu"))
        wrapped = DistributedDataParallel(model, broadcast_buffers=False)
        x, target = (part[2 * rank : 2 * rank + 2] for part in batch(key))
        weights = stepped(model, x, target, lambda x, wrapped=wrapped: wrapped(x, heads=True))
        name = f"{key.replace('/', '_')} {encoder} {rank}"
        save_file({k: v.contiguous().clone() for k, v in weights.items()}, f"{folder}/{name}.safetensors")
        del wrapped
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A folder of what two processes made of each network: started once for all."""
    folder = tmp_path_factory.mktemp("together")
    torch.multiprocessing.spawn(both_processes, (str(folder),), nprocs=2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("key", "encoder"), PAIRED)
def test_a_step_of_two_processes_is_that_of_one_with_the_batch_of_both(together, key, encoder):
    model = untrained(key, encoder)
    alone = stepped(model, *batch(key), lambda x: model(x, heads=True))
    parts = [load_file(together / f"{key.replace('/', '_')} {encoder} {rank}.safetensors") for rank in (0, 1)]
    start = untrained(key, encoder).state_dict()
    for name, x in alone.items():
        if not x.is_floating_point():
            continue
        assert torch.equal(parts[0][name], parts[1][name]), name
        assert relative(parts[0][name] - start[name], x - start[name]) < 0.02, name


def relative(got, expected):
    """Length of the difference over the length of what is expected; 0 where that is next to nothing."""
    length = expected.norm()
    return float((got - expected).norm() / length) if length > 1e-6 else 0.0


@pytest.mark.parametrize("key", NETWORKS)
def test_networks_of_enlarged_images_have_the_images_size_and_are_fused_and_explained_as_any(key):
    """At 1.5 the cells of the maps are no whole pixels."""
    model = network(key, encoder_options={"enlarge": 1.5})
    x = torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, plain = model(x), network(key)(x)
        fused = pixalign.fuse(model)(x)
    assert logits.shape == plain.shape == (1, CLASSES, 65, 97)
    assert not torch.allclose(logits, plain, atol=1e-2)
    assert (logits - fused).abs().max() <= 1e-4 * logits.abs().max()
    photo = np.random.default_rng(0).integers(0, 256, (65, 97, 3), np.uint8)
    assert pixalign.explain(model, photo)
