"""The generators against the original's numbers, and what they promise beyond them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gica_ops
from gica_ops.model import Generator, GeneratorConfig, complete, load_tf_variables, tf_names
from tests.golden_networks import fill, read, seeded, tensor

FILES = [
    "generator_v1_cnum32_64x64",
    "generator_v1_cnum32_64x96_batch2",
    "generator_v1_cnum8_32x48_layers",
    "generator_v2_cnum16_32x48_layers",
    "generator_v2_cnum48_64x64",
]
# A float64 derivation differs from the stored float32 by up to these.
OUTPUTS, ATTENTION = 8e-6, 2e-5


def golden(name: str, dtype: torch.dtype = torch.float64) -> tuple[Generator, dict]:
    data = read(name)
    make = Generator.v2 if "_v2_" in name else Generator.v1
    generator = make(int(data["cnum"]))
    fill(generator, data)
    return generator.to(dtype).eval(), data


@pytest.mark.parametrize("name", FILES)
def test_both_stages_are_the_originals(name, backend):
    generator, data = golden(name)
    generator.backend = backend
    seen = {}
    generator.fine.get_submodule("pmconv6").register_forward_hook(
        lambda module, args, y: seen.update(ca_in=y)
    )
    generator.fine.get_submodule("pmconv9").register_forward_hook(
        lambda module, args, y: seen.update(ca_out=args[0])
    )
    x, mask = (tensor(data, n, torch.float64) for n in ("x", "mask"))
    with torch.no_grad():
        stage1, stage2, offsets = generator(x, mask, return_offsets=True)
    for name, value, bound in (
        ("x_stage1", stage1, OUTPUTS),
        ("x_stage2", stage2, OUTPUTS),
        ("ca_in", seen["ca_in"], ATTENTION),
        ("ca_out", seen["ca_out"], ATTENTION),
    ):
        assert (value - tensor(data, name, torch.float64)).abs().max() <= bound, name
    clear = tensor(data, "argmax_margin")[:, None].expand_as(offsets) > 1e-4
    assert torch.equal(offsets[clear], tensor(data, "raw_offsets", torch.int64)[clear])
    assert clear.float().mean() > 0.9


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("layers")])
def test_every_layer_is_the_originals(name):
    generator, data = golden(name)
    outputs = {}
    for path, layer in generator.named_modules():
        if path.count(".") == 1:
            called = path.split(".")[1]
            called += "_conv" if "upsample" in called else ""
            layer.register_forward_hook(lambda m, a, y, called=called: outputs.update({called: y}))
    with torch.no_grad():
        generator(*(tensor(data, n, torch.float64) for n in ("x", "mask")))
    order = [str(n) for n in data["layer_order"]]
    assert sorted(outputs) == sorted(order) and len(order) == 42
    for layer in order:
        stored = tensor(data, f"layer:{layer}", torch.float64)
        assert outputs[layer].shape == stored.shape, layer
        assert (outputs[layer] - stored).abs().max() <= 2e-5, layer


def test_parameters_are_as_many_as_the_originals():
    for generator, count in ((Generator.v1(), 3_601_542), (Generator.v2(), 4_052_478)):
        assert sum(p.numel() for p in generator.parameters()) == count


def test_what_the_original_test_script_writes():
    data = read("server_v1_cnum32_64x96")
    generator = Generator.v1(int(data["cnum"])).eval()
    shapes = {tf_names.tf_name(n): _tf_shape(p) for n, p in generator.named_parameters()}
    options = int(data["seed"]), float(data["gain"]), float(data["bias_std"])
    load_tf_variables(generator, seeded(shapes, *options))
    image = tensor(data, "image") / 127.5 - 1  # blue, green, red: so were the weights trained
    mask = (tensor(data, "mask_image")[:, :1] > 127.5).float()
    with torch.no_grad():
        filled = complete(image, mask, generator(image, mask)[1])
    assert (filled - tensor(data, "batch_complete")).abs().max() < 2e-5
    # The script writes the channels in the order it read them, and truncates.
    written = ((filled + 1) * 127.5).clamp(0, 255).to(torch.uint8).int()
    off = (written - tensor(data, "output_uint8").int()).abs()
    assert off.max() <= 1 and (off > 0).float().mean() < 1e-3


def _tf_shape(p: Tensor) -> tuple[int, ...]:
    return tuple(p.permute(2, 3, 1, 0).shape) if p.dim() == 4 else tuple(p.shape)


def picture(size: tuple[int, int], batch: int = 1, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size[0] * 100 + size[1])
    image = torch.rand(batch, 3, *size, generator=generator).to(dtype) * 2 - 1
    mask = torch.zeros(batch, 1, *size, dtype=dtype)
    for i in range(batch):
        mask[i, :, size[0] // 4 + i : size[0] // 2 + i + 1, size[1] // 3 : size[1] // 2 + 1] = 1
    return image, mask


@given(
    st.sampled_from(["v1", "v2"]),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 3),
    st.sampled_from([1, 2]),
)
def test_any_size_and_batch(version, size, batch, rate):
    generator = Generator(GeneratorConfig(version, 4, rate=rate)).eval()
    image, mask = picture(size, batch)
    with torch.no_grad():
        stage1, stage2, offsets = generator(image, mask, return_offsets=True)
    assert stage1.shape == stage2.shape == image.shape
    assert stage2.isfinite().all() and stage2.abs().max() <= 1
    multiple = 4 * rate
    assert offsets.shape == (batch, 2, *(-(-n // multiple) for n in size))


def test_what_the_hole_holds_is_not_looked_at():
    generator = Generator.v1(4).eval()
    image, mask = picture((32, 40))
    clean = generator(image, mask)
    image[mask.expand_as(image) != 0] = torch.nan
    for a, b in zip(clean, generator(image, mask), strict=True):
        assert torch.equal(a, b)


def test_every_sample_has_its_own_mask():
    generator = Generator.v1(4).double().eval()
    image, mask = picture((32, 40), 3, torch.float64)
    together = generator(image, mask)[1]
    for i in range(3):
        alone = generator(image[i : i + 1], mask[i : i + 1])[1]
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-9, atol=1e-9)
    shared = generator(image, mask[:1])[1]
    torch.testing.assert_close(shared[:1], together[:1], rtol=1e-9, atol=1e-9)
    assert not torch.allclose(shared[2], together[2])


def test_the_mask_may_be_of_any_dtype_and_value():
    generator = Generator.v1(4).eval()
    image, mask = picture((16, 24))
    wanted = generator(image, mask)[1]
    for other in (mask.bool(), mask.to(torch.uint8) * 255, mask.double() * 0.1):
        assert torch.equal(generator(image, other)[1], wanted)


def test_guess_is_the_first_stage():
    generator = Generator.v2(8).eval()
    image, mask = picture((24, 19))
    assert torch.equal(generator.guess(image, mask), generator(image, mask)[0])


def test_gradients_reach_both_stages():
    generator = Generator.v1(4)
    image, mask = picture((16, 16))
    generator(image, mask)[1].square().sum().backward()
    for name, p in generator.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name


def test_initial_kernels_are_glorot_uniform_and_biases_0():
    torch.manual_seed(3)
    weight = Generator.v1().coarse.get_submodule("conv5").weight
    bound = (6 / (9 * (128 + 128))) ** 0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert abs(weight.std().item() / (bound / 3**0.5) - 1) < 0.01
    assert not any(p.any() for n, p in Generator.v1(4).named_parameters() if n.endswith("bias"))


def test_symmetric_padding_is_that_of_the_ports():
    image, mask = picture((16, 16))
    torch.manual_seed(0)
    tf = Generator.v1(4)
    port = Generator.v1(4, padding="symmetric", semantics="torch")
    port.load_state_dict(tf.state_dict())
    assert port.coarse.get_submodule("conv2_downsample").padding == (1, 1)
    assert not torch.allclose(tf(image, mask)[0], port(image, mask)[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": None}, "image must be a torch.Tensor, got NoneType"),
        ({"mask": [1]}, "mask must be a torch.Tensor, got list"),
        ({"image": torch.zeros(3, 16, 16)}, r"image must have shape \(B, 3, H, W\)"),
        ({"image": torch.zeros(1, 4, 16, 16)}, r"image must have shape \(B, 3, H, W\)"),
        ({"image": torch.zeros(1, 3, 16, 16, dtype=torch.uint8)}, "image must be floating point"),
        ({"mask": torch.zeros(1, 1, 16, 17)}, r"mask must have shape \(1 or 1, 1, 16, 16\)"),
        ({"mask": torch.zeros(2, 1, 16, 16)}, r"mask must have shape \(1 or 1, 1, 16, 16\)"),
        ({"image": torch.zeros(1, 3, 0, 16), "mask": torch.zeros(1, 1, 0, 16)}, "not be empty"),
    ],
)
def test_bad_input_is_a_sentence(change, words):
    arguments = {"image": torch.zeros(1, 3, 16, 16), "mask": torch.zeros(1, 1, 16, 16), **change}
    with pytest.raises((TypeError, ValueError), match=words):
        Generator.v1(2)(**arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"version": "v3"}, "version must be one of 'v1', 'v2', got 'v3'"),
        ({"cnum": 3}, "cnum must be a positive multiple of 2, got 3"),
        ({"version": "v2", "cnum": 6}, "cnum must be a positive multiple of 4, got 6"),
        ({"cnum": 0}, "cnum must be a positive"),
        ({"cnum": 8.0}, "cnum must be an int, got float"),
        ({"padding": "same"}, "padding must be one of"),
        ({"semantics": "jax"}, "semantics must be one of"),
        ({"ksize": 4}, "ksize must be odd"),
    ],
)
def test_bad_options_are_sentences(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        GeneratorConfig(**options)
    with pytest.raises(ValueError, match="backend must be one of"):
        Generator(backend="abacus")


def test_backends_agree():
    image, mask = picture((64, 48), dtype=torch.float64)
    generator = Generator.v1(16).double().eval()
    with torch.no_grad():
        results = {}
        for name, reason in gica_ops.available_backends("cpu").items():
            if reason is None:
                generator.backend = name
                results[name] = generator(image, mask)[1]
    for result in results.values():
        torch.testing.assert_close(result, results["reference"], rtol=0, atol=1e-12)


def test_channels_last_is_the_same_picture():
    image, mask = picture((64, 48))
    generator = Generator.v1(16).eval()
    with torch.no_grad():
        plain = generator(image, mask)[1]
        last = generator.to(memory_format=torch.channels_last)(
            image.to(memory_format=torch.channels_last), mask
        )[1]
    assert (plain - last).abs().max() < 1e-5
    np.testing.assert_array_equal(plain.shape, last.shape)
