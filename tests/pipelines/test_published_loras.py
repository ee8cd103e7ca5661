"""LoRAs as they are published: every number of a file acts, and leaves again bit for bit.

The oracle is Wan's own arithmetic: a weight plus strength times (alpha / rank) up down, a bias, norm or modulation plus
strength times its difference. The files are made of random numbers in the layouts of CausVid's, AccVideo's and
LightX2V's LoRAs and those of Wan2.2's distilled models.
"""

import layout_parts as parts
import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file

from emogen.models.lora import LoraFormatError, read_lora, write_lora
from emogen.pipelines.composition import LoraError, add_loras

RANK, ALPHA = 4, 6.0
ATTENTION = [f"{kind}.{name}" for kind in ("self_attn", "cross_attn") for name in "qkvo"]
PAIRS = [*ATTENTION, "ffn.0", "ffn.2"]
DIRECT = {"self_attn.norm_q.diff": "self_attn.norm_q.weight", "self_attn.norm_k.diff": "self_attn.norm_k.weight",
          "cross_attn.norm_q.diff": "cross_attn.norm_q.weight", "cross_attn.norm_k.diff": "cross_attn.norm_k.weight",
          "norm3.diff": "norm3.weight", "norm3.diff_b": "norm3.bias", "diff_m": "modulation"}  # fmt: skip
OUTSIDE = [
    "text_embedding.0",
    "text_embedding.2",
    "time_embedding.0",
    "time_embedding.2",
    "time_projection.1",
    "head.head",
]
LAYOUTS = {  # what each family of files holds beside the pairs of the blocks
    "lightx2v": {"biases", "direct", "outside", "head modulation", "patch"},
    "causvid": {"biases", "norms", "outside"},
    "accvid": {"biases", "norms", "time projection's bias alone"},
    "wan2.2 distill": {"biases", "direct", "head whole", "patch"},
    "zeros": {"biases", "norms", "zeros"},
}


def distilled(name, seed=0, blocks=2):
    """A file's tensors, and what they add to each parameter at strength 1, by Wan's names."""
    holds, noise = LAYOUTS[name], torch.Generator().manual_seed(seed)
    weights = parts.wan_names(parts.transformer())
    file, added = {}, {}

    def draw(*shape):
        return 0.1 * torch.randn(*shape, generator=noise)

    def pair(layer):
        out, inside = weights[f"{layer}.weight"].shape
        down, up = draw(RANK, inside), draw(out, RANK)
        file.update({f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up})
        if layer.startswith("blocks."):  # stock diffusers refuses an alpha elsewhere
            file[f"{layer}.alpha"] = torch.tensor(ALPHA)
        added[f"{layer}.weight"] = (ALPHA / RANK if layer.startswith("blocks.") else 1) * up @ down
        difference(f"{layer}.diff_b", f"{layer}.bias")

    def difference(key, parameter):
        value = draw(*weights[parameter].shape)
        if "zeros" in holds:
            value.zero_()
        file[key], added[parameter] = value, value

    for block in range(blocks):
        for layer in PAIRS:
            pair(f"blocks.{block}.{layer}")
        for key, parameter in DIRECT.items():
            if "direct" in holds or ("norms" in holds and "norm" in key):
                difference(f"blocks.{block}.{key}", f"blocks.{block}.{parameter}")
    for layer in OUTSIDE if "outside" in holds else ():
        pair(layer)
    if "time projection's bias alone" in holds:
        difference("time_projection.1.diff_b", "time_projection.1.bias")
    if "head modulation" in holds:
        difference("head.diff_m", "head.modulation")
    if "head whole" in holds:
        difference("head.head.diff", "head.head.weight")
        difference("head.head.diff_b", "head.head.bias")
    if "patch" in holds:
        difference("patch_embedding.diff", "patch_embedding.weight")
        difference("patch_embedding.diff_b", "patch_embedding.bias")
    return {f"diffusion_model.{key}": value for key, value in file.items()}, added


def changed(added, weight=1.0, seed=0):
    """The transformer with differences added to its weights."""
    state = {
        name: value + weight * added.get(name, 0)
        for name, value in parts.wan_names(parts.transformer(seed=seed)).items()
    }
    model = WanTransformer3DModel(**parts.SIZES).eval()
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    return model


def forward(model):
    noise = torch.Generator().manual_seed(3)
    inputs = {"hidden_states": torch.randn(1, 16, 2, 4, 4, generator=noise), "timestep": torch.tensor([700]),
              "encoder_hidden_states": torch.randn(1, 12, 16, generator=noise)}  # fmt: skip
    with torch.no_grad():
        return model(**inputs, return_dict=False)[0]


@pytest.fixture
def wide(make_pipe):
    """An emotion pipeline around the transformer of `layout_parts`."""

    def make(**more):
        return make_pipe(transformer=parts.transformer(), vae=parts.vae(), **more)

    return make


@pytest.mark.parametrize("weight", [1.0, 0.5])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_number_of_a_distilled_lora_acts(name, weight, wide, tmp_path):
    tensors, added = distilled(name)
    file = parts.save(tensors, tmp_path / f"{name.replace(' ', '_')}.safetensors")
    pipe = wide()
    before = {key: value.clone() for key, value in pipe.transformer.state_dict().items()}
    loaded = add_loras(pipe, [f"{file}:{weight}"])
    expected = forward(changed(added, weight))
    torch.testing.assert_close(forward(pipe.transformer), expected, rtol=2e-5, atol=2e-5)
    (label,) = loaded
    pipe.set_adapters([label], [0.25])
    torch.testing.assert_close(forward(pipe.transformer), forward(changed(added, 0.25)), rtol=2e-5, atol=2e-5)
    pipe.delete_adapters([label])
    after = plain_state(pipe.transformer)
    assert after.keys() == before.keys() and all(torch.equal(after[key], before[key]) for key in before)


def plain_state(model):
    """Its tensors by their own names, where peft has left its wrappers."""
    return {key.replace(".base_layer", ""): value for key, value in model.state_dict().items()}


@pytest.mark.parametrize(("name", "dropped"), [("lightx2v", 17), ("causvid", 12), ("wan2.2 distill", 16)])
def test_what_stock_diffusers_leaves_out(name, dropped, tmp_path):
    """How many of the transformer's parameters stock diffusers leaves as they are, and says nothing. A release that
    changes them makes this fail, and the table in docs/compatibility.md wrong."""
    tensors, added = distilled(name)
    file = parts.save(tensors, tmp_path / "x.safetensors")
    pipe = WanPipeline(None, None, None, None, transformer=parts.transformer())
    pipe.load_lora_weights(str(file))
    pipe.fuse_lora()
    found, expected = plain_state(pipe.transformer), changed(added).state_dict()
    left = [key for key, value in expected.items() if not torch.allclose(found[key], value, rtol=1e-4, atol=1e-5)]
    assert len(left) == dropped and len(added) > 45


def test_zeros_are_no_reason_to_refuse(tmp_path):
    """A file that adds nothing but zeros to norms and biases is an ordinary LoRA, for every program."""
    tensors, _ = distilled("zeros")
    lora = read_lora(parts.save(tensors, tmp_path / "x.safetensors"))
    assert not lora.deltas and not any("bias" in key for key in lora.weights) and len(lora.ranks) == 20
    for form in ("diffusers", "comfyui", "diffsynth"):
        write_lora(lora, tmp_path / "y.safetensors", form)


def test_deltas_go_into_comfyuis_form_alone(wide, tmp_path):
    tensors, added = distilled("lightx2v")
    lora = read_lora(parts.save(tensors, tmp_path / "x.safetensors"))
    for form in ("diffusers", "diffsynth"):
        with pytest.raises(
            LoraFormatError, match=f"is changed directly, which is no LoRA: {form} leaves such changes out"
        ):
            write_lora(lora, tmp_path / "y.safetensors", form)
    write_lora(lora, tmp_path / "y.safetensors", "comfyui")
    keys = load_file(tmp_path / "y.safetensors").keys()
    assert "diffusion_model.blocks.0.modulation.diff" in keys and "diffusion_model.blocks.1.norm3.diff_b" in keys
    pipe = wide()
    add_loras(pipe, [str(tmp_path / "y.safetensors")])
    torch.testing.assert_close(forward(pipe.transformer), forward(changed(added)), rtol=2e-5, atol=2e-5)


def test_several_and_an_emotion(wide, config, train, generate, tmp_path):
    files, sums = [], {}
    for seed, weight in ((1, 0.7), (2, -0.4)):
        tensors, added = distilled("lightx2v", seed)
        files.append(f"{parts.save(tensors, tmp_path / f'd{seed}.safetensors')}:{weight}")
        sums = {key: sums.get(key, 0) + weight * value for key, value in added.items()}
    pipe = wide()
    train(pipe.add_emotion_adapter(config))
    pipe.save_emotion_adapter(tmp_path / "adapter")
    assert add_loras(pipe, files) == {"d1": 0.7, "d2": -0.4}
    torch.testing.assert_close(forward(pipe.transformer), forward(changed(sums)), rtol=5e-5, atol=5e-5)
    pipe.load_emotion_adapter(tmp_path / "adapter")
    torch.testing.assert_close(forward(pipe.transformer), forward(changed(sums)), rtol=5e-5, atol=5e-5)
    call = {"height": 32, "width": 32, "guidance_scale": 1.0}
    assert (generate(pipe, emotion="fear", **call) - generate(pipe, **call)).abs().mean() > 1e-4
    pipe.unload_lora_weights()
    assert torch.equal(forward(pipe.transformer), forward(parts.transformer()))


def test_a_failure_takes_the_deltas_off_again(wide, tmp_path, monkeypatch):
    for seed in (1, 2):
        parts.save(distilled("lightx2v", seed)[0], tmp_path / f"d{seed}.safetensors")
    pipe, load = wide(), WanPipeline.load_lora_weights

    def fail_at_the_second(self, *args, adapter_name, **kwargs):
        if adapter_name == "d2":
            raise RuntimeError("no memory")
        return load(self, *args, adapter_name=adapter_name, **kwargs)

    monkeypatch.setattr(WanPipeline, "load_lora_weights", fail_at_the_second)
    with pytest.raises(RuntimeError, match="no memory"):
        add_loras(pipe, [str(tmp_path / "d1.safetensors"), str(tmp_path / "d2.safetensors")])
    assert torch.equal(forward(pipe.transformer), forward(parts.transformer()))
    deeper = {key.replace("blocks.1.", "blocks.7."): value for key, value in distilled("lightx2v")[0].items()}
    for change, message in (
        (deeper, r"it changes blocks.7.*, which this model has not"),
        ({"diffusion_model.blocks.0.norm3.diff": torch.ones(64)}, r"norm2.weight is \(64,\) there and \(128,\)"),
    ):
        with pytest.raises(LoraError, match=message):
            add_loras(pipe, [str(parts.save(change, tmp_path / "bad.safetensors"))])


def test_an_image_branch_is_left_out_with_a_warning(wide, tmp_path):
    """As LightX2V's files for Wan2.2 hold layers that Wan2.2 has not."""
    tensors, added = distilled("lightx2v")
    tensors["diffusion_model.blocks.0.cross_attn.k_img.lora_down.weight"] = torch.ones(4, 128)
    tensors["diffusion_model.blocks.0.cross_attn.k_img.lora_up.weight"] = torch.ones(128, 4)
    tensors["diffusion_model.blocks.0.cross_attn.norm_k_img.diff"] = torch.ones(128)
    tensors["diffusion_model.img_emb.proj.0.diff"] = torch.ones(1280)
    file = parts.save(tensors, tmp_path / "x.safetensors")
    pipe = wide()
    with pytest.warns(UserWarning, match="3 of its layers are of the image branch .* they are left out"):
        add_loras(pipe, [str(file)])
    torch.testing.assert_close(forward(pipe.transformer), forward(changed(added)), rtol=2e-5, atol=2e-5)


def test_each_of_wan22s_transformers_gets_its_own(wide, tmp_path):
    changes = {}
    for seed, mark in ((1, "high_noise"), (2, "low_noise"), (3, "style")):
        tensors, changes[mark] = distilled("wan2.2 distill", seed)
        parts.save(tensors, tmp_path / f"wan22_{mark}.safetensors")
    pipe = wide(transformer_2=parts.transformer(seed=9), boundary_ratio=0.9)
    assert add_loras(pipe, [str(tmp_path / f"wan22_{mark}.safetensors") for mark in changes]) == {
        f"wan22_{mark}": 1.0 for mark in changes
    }
    for place, mark, seed in (("transformer", "high_noise", 0), ("transformer_2", "low_noise", 9)):
        both = {
            key: changes[mark].get(key, 0) + changes["style"].get(key, 0) for key in changes["style"] | changes[mark]
        }
        expected = forward(changed(both, seed=seed))
        torch.testing.assert_close(forward(getattr(pipe, place)), expected, rtol=2e-5, atol=2e-5)


NAMES = {
    "raw peft": lambda layer, slot: f"base_model.model.{layer}.{slot}",
    "raw peft, of the whole": lambda layer, slot: f"base_model.model.model.{layer}.{slot.replace('A.', 'A.default.')}",
    "DiffSynth's pipeline": lambda layer, slot: f"pipe.dit.{layer}.{slot}",
    "a full checkpoint's prefix": lambda layer, slot: f"model.diffusion_model.{layer}.{slot}",
    "kohya": lambda layer, slot: f"lora_unet_{layer.replace('.', '_')}.{slot}",
    "hybrid": lambda layer, slot: f"lora_unet_{layer.replace('blocks.0.', 'blocks_0.').replace('ffn.', 'ffn_')}.{slot}",
    "LyCORIS": lambda layer, slot: f"lycoris_{layer.replace('.', '_')}.{slot}",
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name, tmp_path):
    noise = torch.Generator().manual_seed(0)
    tensors = {}
    for layer in (f"blocks.0.{pair}" for pair in PAIRS):
        tensors[NAMES[name](layer, "lora_A.weight")] = torch.randn(4, 8, generator=noise)
        tensors[NAMES[name](layer, "lora_B.weight")] = torch.randn(8, 4, generator=noise)
    lora = read_lora(parts.save(tensors, tmp_path / "x.safetensors"))
    layers = [f"blocks.0.attn{n}.to_{c}" for n in "12" for c in ("q", "k", "v", "out.0")]
    assert set(lora.ranks) == {*layers, "blocks.0.ffn.net.0.proj", "blocks.0.ffn.net.2"}
    assert {tuple(value.shape) for value in lora.weights.values()} == {(4, 8), (8, 4)}


def products(rank, noise):
    """LoKr and LoHa of a [128, 128] layer: their tensors, and the matrix that ComfyUI makes of them."""

    def draw(*shape):
        return torch.randn(*shape, generator=noise) / 4

    w1, w2, a1, b1, a2, b2 = draw(8, 8), draw(16, 16), draw(8, rank), draw(rank, 8), draw(16, rank), draw(rank, 16)
    wide = [draw(128, rank), draw(rank, 128), draw(128, rank), draw(rank, 128)]
    alpha = torch.tensor(3.0)
    loha = (wide[0] @ wide[1]) * (wide[2] @ wide[3]) * 3 / rank
    hada = dict(zip(("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), wide, strict=True))
    return {
        "loha": (hada | {"alpha": alpha}, loha),
        "lokr, both whole": ({"lokr_w1": w1, "lokr_w2": w2, "alpha": alpha}, torch.kron(w1, w2)),
        "lokr, the second small": (
            {"lokr_w1": w1, "lokr_w2_a": a2, "lokr_w2_b": b2, "alpha": alpha}, 3 / rank * torch.kron(w1, a2 @ b2)),
        "lokr, both small": (
            {"lokr_w1_a": a1, "lokr_w1_b": b1, "lokr_w2_a": a2, "lokr_w2_b": b2, "alpha": alpha},
            3 / rank * torch.kron(a1 @ b1, a2 @ b2)),
        "lokr, the first small": ({"lokr_w1_a": a1, "lokr_w1_b": b1, "lokr_w2": w2}, torch.kron(a1 @ b1, w2)),
    }  # fmt: skip


@pytest.mark.parametrize("rank", [2, 12])
@pytest.mark.parametrize("name", products(2, torch.Generator()))
def test_lokr_and_loha_become_lora(name, rank, wide, tmp_path):
    factors, matrix = products(rank, torch.Generator().manual_seed(5))[name]
    file = parts.save(
        {f"lora_unet_blocks_0_self_attn_q.{slot}": value for slot, value in factors.items()}, tmp_path / "x.safetensors"
    )
    small = len(read_lora(file).weights) == 2
    assert small == (
        name in ("loha", "lokr, the second small", "lokr, both small", "lokr, the first small") and rank == 2
    )
    pipe = wide()
    add_loras(pipe, [f"{file}:0.5"])
    expected = forward(changed({"blocks.0.self_attn.q.weight": matrix}, 0.5))
    torch.testing.assert_close(forward(pipe.transformer), expected, rtol=2e-5, atol=2e-5)
    assert (expected - forward(parts.transformer())).abs().mean() > 1e-4


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"lokr_w1": torch.ones(2, 2)}, "there is no lokr_w2_a"),
        ({"hada_w1_a": torch.ones(4, 2), "hada_w1_b": torch.ones(2, 4)}, "there is no hada_w2_a"),
        ({"lokr_w1": torch.ones(2, 2), "lokr_w2": torch.ones(2, 2, 1, 1)}, ".*only factors of matrices are read"),
    ],
)
def test_half_a_product_is_refused(factors, message, tmp_path):
    file = parts.save(
        {f"diffusion_model.blocks.0.ffn.0.{k}": v for k, v in factors.items()}, tmp_path / "x.safetensors"
    )
    with pytest.raises(LoraFormatError, match=f"blocks.0.ffn.net.0.proj: {message}"):
        read_lora(file)
