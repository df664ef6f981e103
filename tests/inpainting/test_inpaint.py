"""`gica_ops.inpaint`: pictures of every kind in, the same kind out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import gica_ops
from gica_ops.inpainting import exemplar, inpaint, network
from gica_ops.inpainting.methods import choose
from gica_ops.model import Generator

HOLE = np.zeros((24, 32), bool)
HOLE[8:15, 10:20] = True
REALS = [
    torch.uint8, torch.int8, torch.uint16, torch.int16, torch.int32, torch.uint32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
]  # fmt: skip


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator.v1(4).eval()


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 120, shape, np.uint8)


def unlike(a, b) -> bool:
    """Whether some numbers differ: something was filled."""
    return not np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("method", ["exemplar", "network"])
@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "YCbCr", "HSV", "CMYK", "I", "F", "I;16"]
)
def test_images_of_every_mode(mode, method):
    if mode == "I;16":
        image = Image.fromarray(pixels(24, 32).astype(np.uint16) * 300)
    else:
        image = Image.fromarray(pixels(24, 32, 3)).convert(mode)
    image.info["dpi"] = (72, 72)
    before = np.array(image)
    filled = gica_ops.inpaint(image, HOLE, method=method)
    assert (
        isinstance(filled, Image.Image) and filled.mode == mode and filled.info["dpi"] == (72, 72)
    )
    assert np.array_equal(np.array(image), before)
    after = np.array(filled)
    assert np.array_equal(after[~HOLE], before[~HOLE]) and unlike(after, before)
    if mode in ("LA", "RGBA"):
        assert np.array_equal(after[..., -1], before[..., -1])
    if mode == "P":
        assert filled.getpalette() == image.getpalette()


@settings(max_examples=25)
@given(
    st.sampled_from(REALS),
    st.integers(1, 5),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from(["exemplar", "network"]),
    st.integers(0, 2**16),
)
def test_tensors_of_any_shape_and_dtype(dtype, channels, size, method, seed):
    dice = torch.Generator().manual_seed(seed)
    image = (torch.rand(channels, *size, generator=dice) * 120).to(dtype)
    hole = torch.rand(size, generator=dice) > 0.7
    hole.view(-1)[0] = False
    filled = gica_ops.inpaint(image, hole, method=method)
    assert filled.dtype == dtype and filled.shape == image.shape
    kept, known = filled.to(torch.float64)[:, ~hole], image.to(torch.float64)[:, ~hole]
    assert torch.equal(kept, known)
    assert filled.to(torch.float64).isfinite().all()


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 1), (24, 32, 2), (24, 32, 3), (24, 32, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u2", "uint32", "float16", "<f4", "float64"])
def test_arrays(shape, dtype):
    image = pixels(*shape).astype(dtype)
    for given_image in (image, image[::-1, ::-1]):  # of negative strides, too
        filled = gica_ops.inpaint(given_image, HOLE)
        assert filled.dtype == image.dtype and filled.shape == shape
        assert np.array_equal(filled[~HOLE], given_image[~HOLE]) and unlike(filled, given_image)


def test_all_kinds_are_filled_alike():
    image = pixels(24, 32, 3)
    wanted = gica_ops.inpaint(image, HOLE)
    assert np.array_equal(np.array(gica_ops.inpaint(Image.fromarray(image), HOLE)), wanted)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    filled = gica_ops.inpaint(tensor, HOLE)
    assert np.array_equal(filled.permute(1, 2, 0).numpy(), wanted)
    assert torch.equal(gica_ops.inpaint(tensor[None], HOLE), filled[None])
    direct = exemplar.fill(tensor.contiguous(), torch.from_numpy(HOLE))
    assert torch.equal(direct.values, filled)


@pytest.mark.parametrize("method", ["exemplar", "network"])
def test_a_batch_is_as_one_by_one(method, generator):
    weights = generator if method == "network" else None
    images = [pixels(24, 32, 3), pixels(40, 32, 3), pixels(24, 32, 3)[::-1].copy(), pixels(24, 32)]
    masks = [HOLE, np.roll(np.pad(HOLE, ((0, 16), (0, 0))), 5, 0), HOLE[::-1].copy(), HOLE]
    for kind in (np.asarray, Image.fromarray):
        batch = [kind(image) for image in images]
        together = gica_ops.inpaint(batch, masks, method=method, weights=weights)
        assert isinstance(together, list)
        for image, mask, filled in zip(batch, masks, together, strict=True):
            alone = gica_ops.inpaint(image, mask, method=method, weights=weights)
            assert type(filled) is type(alone)
            # Products of several pictures are summed in another order.
            apart = np.abs(np.asarray(filled).astype(int) - np.asarray(alone).astype(int))
            assert apart.max() <= (1 if weights else 0)


def test_a_batch_of_tensors_is_a_tensor(generator):
    images = torch.rand(3, 3, 24, 32)
    masks = torch.from_numpy(HOLE).expand(3, 1, 24, 32).clone()
    masks[1] = masks[1].roll(3, 2)
    filled = gica_ops.inpaint(images, masks, weights=generator)
    assert filled.shape == images.shape
    for i in range(3):
        alone = gica_ops.inpaint(images[i], masks[i], weights=generator)
        assert torch.allclose(filled[i], alone, atol=1e-5)
    for mask in (masks[:1], masks[0], masks[0, 0]):
        one = gica_ops.inpaint(images, mask, weights=generator)
        assert torch.allclose(one[0], filled[0], atol=1e-5)
    details = gica_ops.inpaint(images, masks, weights=generator, details=True)
    assert [type(one) for one in details] == [inpaint.Inpainted] * 3
    assert torch.equal(torch.stack([one.image for one in details]), filled)


def test_pictures_that_the_network_fills_go_through_it_together(generator, monkeypatch):
    calls = []
    fill_many = network.fill_many

    def watched(images, masks, **options):
        calls.append([tuple(image.shape) for image in images])
        return fill_many(images, masks, **options)

    monkeypatch.setattr(network, "fill_many", watched)
    images = [pixels(24, 32, 3), pixels(30, 32, 3), pixels(24, 32, 3), pixels(24, 32, 3)]
    masks = [np.ones((len(image), 32), bool) for image in images]
    for mask in masks:
        mask[:, 5:] = False
    gica_ops.inpaint(images, masks, weights=generator)
    assert calls == [[(3, 24, 32)] * 3, [(3, 30, 32)]]


def test_details_say_how_it_came_about(generator):
    image = pixels(24, 32, 3)
    found = gica_ops.inpaint(image, HOLE, details=True)
    assert (found.method, found.why) == choose(torch.from_numpy(HOLE))
    assert np.array_equal(found.image, gica_ops.inpaint(image, HOLE))
    sources = found.sources.numpy()
    assert sources.shape == (2, 24, 32) and (sources[:, ~HOLE] == -1).all()
    assert not HOLE[tuple(sources[:, HOLE])].any()
    assert gica_ops.inpaint(image, HOLE, method="exemplar", details=True)[1:3] == ("exemplar", "")
    assert gica_ops.inpaint(image, HOLE, weights=generator, details=True)[1:3] == ("network", "")


def test_the_choice_is_made_for_each_picture(monkeypatch):
    from gica_ops.inpainting import methods

    def by_size(mask):
        return ("network" if mask.float().mean() > 0.07 else "exemplar"), "of its size"

    monkeypatch.setattr(methods, "choose", by_size)
    small = HOLE & (np.arange(32) < 14)
    found = gica_ops.inpaint([pixels(24, 32)] * 3, [small, HOLE, small], details=True)
    assert [one.method for one in found] == ["exemplar", "network", "exemplar"]
    assert np.array_equal(found[0].image, found[2].image)


@pytest.mark.parametrize(
    "mask",
    [
        HOLE * np.uint8(255),
        (HOLE * 65535).astype(np.uint16),
        HOLE.astype(np.float32),
        HOLE[None],
        HOLE[..., None],
        torch.from_numpy(HOLE),
        torch.from_numpy(HOLE)[None, None].half(),
        Image.fromarray(HOLE),
        Image.fromarray(HOLE * np.uint8(200)).convert("RGB"),
        np.where(HOLE, 128, 127).astype(np.uint8),
        np.where(HOLE, 0.51, 0.5),
    ],
)
def test_masks_of_every_kind(mask):
    image = pixels(24, 32)
    assert np.array_equal(gica_ops.inpaint(image, mask), gica_ops.inpaint(image, HOLE))


def test_other_options_reach_what_they_are_for(generator, tmp_path):
    image, large = pixels(24, 32, 3), pixels(240, 320)
    hole = HOLE.repeat(10, 0).repeat(10, 1)
    assert unlike(gica_ops.inpaint(large, hole, seed=1), gica_ops.inpaint(large, hole, seed=2))
    generator.save_pretrained(tmp_path)
    wanted = gica_ops.inpaint(image, HOLE, weights=generator)
    assert np.array_equal(gica_ops.inpaint(image, HOLE, weights=tmp_path, device="cpu"), wanted)
    narrow = gica_ops.inpaint(image, HOLE, weights=generator, dtype=torch.bfloat16)
    apart = np.abs(narrow.astype(int) - wanted)[HOLE]
    assert 0 < apart.max() <= 30
    with pytest.raises(ValueError, match="max_memory must be at least"):
        gica_ops.inpaint(image, HOLE, weights=generator, max_memory=1000)
    with pytest.raises(ValueError, match="backend='cuda' cannot run here"):
        gica_ops.inpaint(torch.from_numpy(image).permute(2, 0, 1), HOLE, backend="cuda")


def test_progress_goes_from_0_to_1(generator):
    shares: list[float] = []
    images = [pixels(24, 32), pixels(24, 32, 3), pixels(26, 32)]
    masks = [HOLE, HOLE, np.pad(HOLE, ((0, 2), (0, 0)))]
    for weights in (None, generator):
        gica_ops.inpaint(images, masks, weights=weights, progress=shares.append)
        assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
        assert all(0 <= share <= 1 + 1e-9 for share in shares)
        shares.clear()


def test_gradients_end_here_and_inputs_stay(generator):
    image = torch.rand(3, 24, 32, requires_grad=True)
    before = image.detach().clone()
    filled = gica_ops.inpaint(image, HOLE, weights=generator)
    assert not filled.requires_grad and torch.equal(image.detach(), before)
    factor = torch.ones((), requires_grad=True)
    (filled * factor).sum().backward()  # the result may be trained with
    assert torch.isclose(factor.grad, filled.sum())


def test_an_empty_hole_changes_nothing():
    for method in ("exemplar", "network"):
        image = pixels(24, 32, 3)
        filled = gica_ops.inpaint(image, np.zeros((24, 32), bool), method=method)
        assert np.array_equal(filled, image) and filled is not image


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"image": "a.png"}, TypeError, "image must be a PIL image, a NumPy array, a tensor, or a"),
        ({"image": []}, ValueError, "image must hold at least one picture, got none"),
        ({"image": pixels(24)}, ValueError, r"image must be a non-empty array of shape \(H, W\)"),
        ({"image": torch.rand(24, 32)}, ValueError, r"non-empty tensor of shape \(C, H, W\) or"),
        ({"image": [torch.rand(1, 3, 24, 32)]}, ValueError, r"image 0 must be a non-empty tensor"),
        ({"image": pixels(24, 32) > 9}, TypeError, "real dtype, uint8 to int64 or float16 to"),
        ({"image": pixels(24, 32) * 1j}, TypeError, "real dtype, uint8 to int64 or float16 to"),
        ({"image": torch.rand(3, 24, 32).to_sparse()}, TypeError, "must be a plain dense tensor"),
        ({"image": [pixels(24, 32), pixels(9, 9)]}, ValueError, r"mask must have the height and"),
        ({"image": np.full((24, 32), np.nan)}, ValueError, "image must be finite outside the hole"),
        ({"mask": [HOLE]}, ValueError, "mask must be one mask for one image, got 1 masks"),
        ({"image": [pixels(24, 32)] * 2, "mask": [HOLE] * 3}, ValueError, "for each of the 2, got"),
        ({"mask": HOLE[1:]}, ValueError, r"height and width of its image, \(24, 32\), got shape"),
        ({"mask": "a.png"}, TypeError, "mask must be a PIL image, a NumPy array or a tensor"),
        ({"mask": HOLE.astype(int)}, TypeError, "got torch.int64: pass mask != 0"),
        ({"mask": HOLE.astype(np.uint8)}, ValueError, "hole above 127, but its largest number is"),
        ({"mask": HOLE * 255.0}, ValueError, "must lie in 0 to 1, hole where above 0.5"),
        ({"mask": HOLE * 1j}, TypeError, "mask must be bool or real numbers"),
        ({"mask": ~HOLE | HOLE}, ValueError, "mask must leave some pixels to copy from"),
        ({"method": "magic"}, ValueError, "method must be one of 'auto', 'exemplar', 'network'"),
        ({"method": "exemplar", "weights": "x"}, ValueError, "weights are for method 'network'"),
        ({"weights": "/missing/folder"}, ValueError, "must be a folder"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 1.5}, TypeError, "seed must be an int, got float"),
        ({"dtype": torch.int8}, ValueError, "dtype must be one of torch.float32, torch.bfloat16"),
        ({"device": "abacus", "method": "network"}, ValueError, "device must be one that is here"),
        ({"backend": "abacus"}, ValueError, "backend must be one of"),
        ({"max_memory": 0}, ValueError, "max_memory must be at least 1, got 0"),
        ({"max_memory": "2GiB"}, TypeError, "max_memory must be an int, got str"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(changes, error, match):
    arguments = {"image": pixels(24, 32), "mask": HOLE} | changes
    with pytest.raises(error, match=match):
        gica_ops.inpaint(arguments.pop("image"), arguments.pop("mask"), **arguments)


def test_a_generator_keeps_its_backend_unless_another_is_asked_for(generator, monkeypatch):
    asked = []
    attend = generator.fine.attend

    def watched(features, hole, offsets, backend=None, **options):
        asked.append(backend or generator.backend)
        return attend(features, hole, offsets, backend, **options)

    monkeypatch.setattr(generator.fine, "attend", watched)
    monkeypatch.setattr(generator.fine, "backend", "reference")
    gica_ops.inpaint(pixels(24, 32), HOLE, weights=generator)
    assert asked == ["reference"]
    gica_ops.inpaint(pixels(24, 32), HOLE, weights=generator, backend="cpu")
    assert asked[1:] == ["cpu"] and generator.backend == "reference"


def test_a_generator_on_another_device_is_refused(generator, monkeypatch):
    monkeypatch.setattr(inpaint, "_device", torch.device)
    with pytest.raises(ValueError, match="device must be that of the generator given, cpu, got"):
        gica_ops.inpaint(pixels(24, 32), HOLE, weights=generator, device="meta")
