"""The node pack without ComfyUI: what it imports, its nodes and workflows, emotions, keys, and what a call is told."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from parts import TINY_WAN

from emogen.emotion import EmotionArc, EmotionState
from emogen.models.encoder import EmotionEncoder

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "comfyui" / "workflows").glob("*.json"))
OF_COMFYUI = {
    "CLIPLoader", "CLIPTextEncode", "CLIPVisionEncode", "CLIPVisionLoader", "EmptyHunyuanLatentVideo", "KSampler",
    "KSamplerAdvanced", "LoadImage", "ModelSamplingSD3", "PreviewAny", "SaveAnimatedWEBP", "UNETLoader", "VAEDecode",
    "VAELoader", "WanImageToVideo",
}  # fmt: skip
"""Nodes that come with ComfyUI; `test_comfyui.py` shows the workflows to ComfyUI itself."""


@pytest.fixture
def no_folders(monkeypatch, pack):
    """ComfyUI's folders of models, of which there are none here."""
    monkeypatch.setattr(import_module("emogen_nodes.adapter"), "adapter_folders", dict)


def test_neither_diffusers_nor_comfyui_is_imported_with_the_pack():
    code = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("pack", sys.argv[1])
sys.modules["pack"] = pack = module_from_spec(spec)
spec.loader.exec_module(pack)
emotion, text = pack.NODE_CLASS_MAPPINGS["EmogenWords"]().make("0:neutral 1:joy", 1.0)
from pack.adapter import LoadedAdapter, EMBEDDED
LoadedAdapter(EMBEDDED["embedded"]())
import torch
read = pack.NODE_CLASS_MAPPINGS["EmogenJudge"]().judge(torch.rand(5, 96, 96, 3), "embedded", emotion)
assert read["result"][2].count("%") == 5
print(sorted(sys.modules.keys() & {"diffusers", "peft", "accelerate", "comfy", "gradio"}))
"""
    command = [sys.executable, "-c", code, str(ROOT / "comfyui" / "__init__.py")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=ROOT)
    assert (found.stdout.strip(), found.returncode) == ("[]", 0), found.stderr


def test_nodes_are_whole(pack, no_folders):
    """Every input is an argument of the node's function, with a default where it is optional; every node has a name."""
    assert pack.NODE_CLASS_MAPPINGS.keys() == pack.NODE_DISPLAY_NAME_MAPPINGS.keys()
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        inputs = node.INPUT_TYPES()
        parameters = inspect.signature(getattr(node(), node.FUNCTION)).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        assert takes_any or set(parameters) == {*inputs["required"], *inputs.get("optional", {})}, name
        assert all(parameters[key].default is not inspect.Parameter.empty for key in inputs.get("optional", {})), name
        assert isinstance(node.RETURN_TYPES, tuple) and node.CATEGORY.startswith("emogen") and node.DESCRIPTION, name
        for kind, *options in (inputs["required"] | inputs.get("optional", {})).values():
            assert isinstance(kind, (str, list)) and all(isinstance(o, dict) for o in options), name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_hold_known_nodes_whose_links_fit(file, pack, no_folders):
    workflow = json.loads(file.read_text())
    for name, node in workflow.items():
        links = {key: value for key, value in node["inputs"].items() if isinstance(value, list)}
        assert all(source in workflow for source, _ in links.values()), name
        own = pack.NODE_CLASS_MAPPINGS.get(node["class_type"])
        if own is None:
            assert node["class_type"] in OF_COMFYUI, name
            continue
        required, optional = own.INPUT_TYPES()["required"], own.INPUT_TYPES().get("optional", {})
        assert set(required) <= set(node["inputs"]) <= {*required, *optional}, name
        for key, (source, slot) in links.items():
            giver = pack.NODE_CLASS_MAPPINGS.get(workflow[source]["class_type"])
            if giver is not None:
                assert giver.RETURN_TYPES[slot] == (required | optional)[key][0], (name, key)
        for key, value in node["inputs"].items():
            kind = (required | optional)[key][0]
            if key not in links and isinstance(kind, list) and value != "my_adapter":
                assert value in kind, (name, key)
    used = {node["class_type"] for file in WORKFLOWS for node in json.loads(file.read_text()).values()}
    assert used >= set(pack.NODE_CLASS_MAPPINGS)


@pytest.mark.parametrize(
    ("node", "inputs", "expected"),
    [
        ("EmogenWords", {"text": "awe", "intensity": 0.5}, "awe:0.5"),
        ("EmogenWords", {"text": "0:neutral 1:fear@hold", "intensity": 2.0}, "0:neutral 1:fear:2@hold"),
        ("EmogenMixture", {"awe": 0.25, "fear": 0.75, "intensity": 0.5}, {"awe": 0.25, "fear": 0.75}),
        ("EmogenMixture", {"awe": 0.0, "intensity": 1.0}, "neutral"),
        ("EmogenPoint", {"valence": 0.8, "arousal": 0.3, "intensity": 1.0}, "va:0.8,0.3"),
    ],
)
def test_emotions(pack, node, inputs, expected):
    from emogen.emotion.given import read_emotion

    emotion, text = pack.NODE_CLASS_MAPPINGS[node]().make(**inputs)
    assert emotion == read_emotion(
        {"distribution": expected, "intensity": 0.5} if isinstance(expected, dict) else expected
    )
    assert read_emotion(text) == emotion


def test_arcs_are_put_behind_one_another(pack):
    words, arc = (pack.NODE_CLASS_MAPPINGS[name]() for name in ("EmogenWords", "EmogenArc"))
    calm, fear, joy = (words.make(text, 1.0)[0] for text in ("contentment", "fear", "joy"))
    turn, _ = arc.make(calm, fear, 0.2, 0.4, "ease")
    whole, text = arc.make(turn, joy, 0.6, 0.8, "linear")
    assert whole == EmotionArc.parse("0:contentment 0.2:contentment@ease 0.4:fear 0.6:fear 0.8:joy")
    assert EmotionArc.parse(text) == whole
    assert [whole.at(time).dominant for time in (0.0, 0.5, 1.0)] == ["contentment", "fear", joy.dominant]
    with pytest.raises(ValueError, match="'next' changes over the clip itself"):
        arc.make(calm, turn, 0.0, 1.0, "linear")
    with pytest.raises(ValueError, match=r"leaves at 0.5 and arrives at 0.5; let it arrive later"):
        arc.make(calm, fear, 0.5, 0.5, "linear")


def test_wrong_words_are_refused_before_anything_runs(pack):
    words = pack.NODE_CLASS_MAPPINGS["EmogenWords"]
    assert words.VALIDATE_INPUTS(text="awe") is True
    assert "'jooy'" in words.VALIDATE_INPUTS(text="jooy")
    assert "at most 100" in words.VALIDATE_INPUTS(text="awe:1000")


def test_the_curve_shows_every_latent_frame(pack):
    curve = import_module("emogen_nodes.curve")
    arc = EmotionArc.parse("0:neutral 1:fear")
    found = curve.curves(arc, [0.0, 0.5, 1.0])
    assert found["fear"] == pytest.approx([0.0, 0.5, 1.0]) and found["awe"] == [0.0] * 3
    empty, full = (curve.draw(emotion, 21).getdata() for emotion in (EmotionState.neutral(), arc))
    fear = tuple(bytes.fromhex(curve.COLOURS["fear"][1:]))
    assert fear in set(full) and fear not in set(empty)


@pytest.mark.parametrize("kind", ["t2v", "i2v", "flf2v", "vace"])
def test_weights_have_the_names_that_diffusers_reads_as_wans_own(kind, pack):
    image = {"image_dim": 24, "added_kv_proj_dim": 64, "in_channels": 9}
    extra = {"i2v": image, "flf2v": image | {"pos_embed_seq_len": 10}}.get(kind, {})
    with torch.device("meta"):
        if kind == "vace":
            model = WanVACETransformer3DModel(**TINY_WAN, vace_layers=[0, 1], vace_in_channels=6)
        else:
            model = WanTransformer3DModel(**(TINY_WAN | extra))
    state = {name: torch.full((1,), float(i)) for i, name in enumerate(model.state_dict())}
    back = convert_wan_transformer_to_diffusers(import_module("emogen_nodes.keys").comfyui_weights(state))
    if kind == "flf2v":  # which diffusers' reader of single files does not know
        back["condition_embedder.image_embedder.pos_embed"] = back.pop("img_emb.emb_pos")
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())


class Network(torch.nn.Module):
    """What `EmotionCall` asks of ComfyUI's `WanModel`; the class's name counts."""

    def __init__(self):
        super().__init__()
        self.text_embedding = torch.nn.Linear(8, 8)


@pytest.fixture
def call(pack):
    """Calls a model of one cross-attention with an emotion, and gives what that was asked."""
    patch = import_module("emogen_nodes.patch")
    torch.manual_seed(0)
    encoder = EmotionEncoder(num_tokens=2, text_dim=8, hidden_dim=4)
    torch.nn.init.normal_(encoder.null)

    def run(wish, rows=2, frames=4, options=None, kind="WanModel", answers=True, **conditions):
        torch.manual_seed(1)
        network = type(kind, (Network,), {})()
        sampling = SimpleNamespace(percent_to_sigma=lambda share: 1 - share)
        latents = SimpleNamespace(temporal_downscale_ratio=4)
        base = SimpleNamespace(
            diffusion_model=network, model_sampling=sampling, latent_format=latents, manual_cast_dtype=None,
            get_dtype=lambda: torch.float32,
        )  # fmt: skip
        seen = []

        def apply_model(x, t, concat, context, control, transformer_options, **kwargs):
            asked = transformer_options.get("emogen_0")
            seen.append(asked)
            if asked is not None and answers:
                asked.answered.add("blocks.0.attn2")
            return x

        apply_model.class_obj = base
        wrapper = patch.EmotionCall("emogen_0", wish, encoder, {"blocks.0.attn2"})
        options = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([0.4])} | (options or {})
        with torch.no_grad():
            wrapper(apply_model, torch.zeros(rows, 16, frames, 2, 2), None, None, None, None, options, **conditions)
        return seen[0]

    return run


def wish(emotion="fear", negative="neutral", strength=1.0, start=0.0, end=1.0):
    from emogen.emotion.given import read_emotion

    return import_module("emogen_nodes.patch").Wish(read_emotion(emotion), read_emotion(negative), strength, start, end)


def test_a_call_asks_for_the_emotion_in_the_prompt_s_rows_alone(call):
    asked = call(wish(), rows=4)
    assert asked.delta.shape == (4, 2, 8) and asked.frames == 1
    assert asked.delta[:2].abs().max() == 0 and asked.delta[2:].abs().max() > 0.01
    both = call(wish(negative="awe"), rows=2)
    assert both.delta[0].abs().max() > 0.01 and not torch.equal(both.delta[0], both.delta[1])
    text_only = call(wish(negative="awe"), rows=2, options={"emogen_text_only": True})
    torch.testing.assert_close(text_only.delta[0], text_only.delta[1])
    torch.testing.assert_close(text_only.delta[0], both.delta[0])


@pytest.mark.parametrize(
    ("wanted", "options"),
    [
        ({"strength": 0.0}, {}),
        ({"emotion": "neutral"}, {}),
        ({"start": 0.0, "end": 0.5}, {}),  # the noise level 0.4 lies after it
        ({"start": 0.7}, {}),
        ({}, {"cond_or_uncond": [1, 1]}),
        ({}, {"emogen_text_only": True}),
    ],
)
def test_a_call_asks_for_nothing(wanted, options, call):
    assert call(wish(**wanted), options=options) is None


def test_arcs_follow_the_frames_of_the_sequence(call):
    arc = wish("0:neutral 1:fear")
    asked = call(arc, frames=4)
    whole = asked.delta.unflatten(1, (4, 2))
    assert asked.frames == 4 and whole[1, 0].abs().max() == 0 and whole[1, 3].abs().max() > whole[1, 1].abs().max()
    appended = call(arc, frames=4, time_dim_concat=torch.zeros(1, 16, 2, 2, 2))
    assert appended.frames == 6
    torch.testing.assert_close(appended.delta[:, 8:12], torch.cat([asked.delta[:, 6:]] * 2, 1))
    window = {"context_window": SimpleNamespace(index_list=[2, 3]), "emogen_latent_frames": 4}
    part = call(arc, frames=2, options=window)
    assert part.frames == 2
    torch.testing.assert_close(part.delta, asked.delta[:, 4:])
    with pytest.raises(NotImplementedError, match="cannot run on ComfyUI's WanModel_S2V"):
        call(arc, kind="WanModel_S2V")
    assert call(wish(), kind="WanModel_S2V").frames == 1


def test_cross_attentions_that_were_not_told_are_missed(call):
    with pytest.raises(RuntimeError, match=r"1 cross-attentions, blocks.0.attn2 first.*older than 0.3.60"):
        call(wish(), answers=False)


@pytest.mark.parametrize(
    ("part", "sizes", "message"),
    [
        (
            "transformer",
            {"inner_dim": 1536, "num_layers": 30, "text_dim": 4096},
            "has inner_dim 1536 where .* needs 320",
        ),
        (
            "transformer_2",
            {"inner_dim": 320, "num_layers": 6, "text_dim": 128},
            "no weights for transformer_2; turn low_noise_model off",
        ),
    ],
)
def test_an_adapter_of_another_model_is_refused(part, sizes, message, pack):
    adapters = import_module("emogen_nodes.adapter")
    adapter = adapters.LoadedAdapter(adapters.EMBEDDED["embedded"]())
    with pytest.raises(ValueError, match=message):
        adapter.for_model(part, sizes, [f"blocks.{i}.attn2" for i in range(6)], torch.float32)


def test_a_part_of_the_sampling_that_ends_before_it_starts_is_refused(pack):
    for node, arguments in (("EmogenApply", (None, None, None, 1.0)), ("EmogenGuidance", (None, 4.0))):
        with pytest.raises(ValueError, match=r"start_percent is 0.6 and end_percent 0.5; end after the start"):
            pack.NODE_CLASS_MAPPINGS[node]().apply(*arguments, 0.6, 0.5)


def test_other_guiders_are_refused(pack):
    patch = import_module("emogen_nodes.patch")
    guider = SimpleNamespace(conds={"positive": 0, "middle": 0, "negative": 0}, model_options={})

    def sample(noise):
        return noise

    sample.class_obj = guider
    with pytest.raises(ValueError, match="'middle' it is not known which emotion it has; use CFGGuider"):
        patch.outer_sample(sample, torch.zeros(1, 16, 3, 2, 2))
    del guider.conds["middle"]
    patch.outer_sample(sample, torch.zeros(1, 16, 3, 2, 2))
    assert guider.model_options["transformer_options"] == {"emogen_latent_frames": 3}
