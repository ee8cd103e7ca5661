"""What stock diffusers accepts works with an emotion, nothing loaded is lost, and no clip is made of nonsense."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from emogen.emotion import EmotionArc, EmotionState
from emogen.models import AdapterMismatchError
from emogen.models.lora import LoraFile, LoraFormatError, write_lora
from emogen.models.weights import LORA_NAME, WEIGHTS_NAME
from emogen.pipelines import emotion_call
from emogen.pipelines.composition import LoraError, add_loras
from emogen.pipelines.emotion_call import NotFiniteError
from emogen.pipelines.loading import open_pipeline

LAYER = "blocks.0.attn1.to_q"
PROMPTS = ["a red ball", "the table"]


def random_lora(seed, layer=LAYER):
    random = torch.Generator().manual_seed(seed)
    a, b = torch.randn(4, 64, generator=random) / 4, torch.randn(64, 4, generator=random) / 4
    return LoraFile({f"transformer.{layer}.lora_A.weight": a, f"transformer.{layer}.lora_B.weight": b}, {layer: 4.0})


@pytest.fixture
def bare(make_pipe, adapter_folder):
    """A pipeline without an adapter, beside an adapter's folder."""
    return make_pipe()


@pytest.fixture
def styles(tmp_path):
    """Two LoRAs in files of diffusers."""
    files = []
    for seed in (1, 2):
        write_lora(random_lora(seed), tmp_path / f"style{seed}.safetensors", "diffusers")
        files.append(str(tmp_path / f"style{seed}.safetensors"))
    return files


def strengths(pipe):
    """Name -> strength of what acts in the layer of the LoRAs."""
    layer = pipe.transformer.get_submodule(LAYER)
    return {name: layer.scaling[name] for name in layer.active_adapters}


def test_an_adapter_leaves_loras_as_they_are(pipe, adapter_folder, styles, generate):
    """diffusers makes the LoRA that is loaded last the only one."""
    write_lora(random_lora(3), adapter_folder / LORA_NAME, "diffusers")
    for number, file in enumerate(styles):
        pipe.load_lora_weights(file, adapter_name=f"style{number}")
    pipe.set_adapters(["style0", "style1"], [0.5, 0.25])
    alone = generate(pipe)
    pipe.load_emotion_adapter(adapter_folder)
    assert strengths(pipe) == {"style0": 0.5, "style1": 0.25, "emotion": 1.0}
    pipe.load_emotion_adapter(adapter_folder, load_lora=False)
    assert strengths(pipe) == {"style0": 0.5, "style1": 0.25} and torch.equal(generate(pipe), alone)
    pipe.set_adapters(["style1"], [0.25])
    pipe.load_emotion_adapter(adapter_folder)
    pipe.unload_emotion_adapter()
    assert strengths(pipe) == {"style1": 0.25}, "one that is switched off stays off"


def test_more_loras_leave_the_others_strengths(pipe, adapter_folder, styles):
    write_lora(random_lora(3), adapter_folder / LORA_NAME, "diffusers")
    pipe.load_lora_weights(styles[0], adapter_name="mine")
    pipe.set_adapters(["mine"], [0.3])
    pipe.load_emotion_adapter(adapter_folder)
    found = add_loras(pipe, [f"{styles[1]}:0.5"], emotion_weight=0.7)
    assert found == pytest.approx({"mine": 0.3, "emotion": 0.7, "style2": 0.5}) == strengths(pipe)
    assert add_loras(pipe, [], emotion_weight=0.2)["mine"] == pytest.approx(0.3)


@pytest.mark.parametrize("where", ["lora", "adapter"])
def test_a_load_that_fails_loses_nothing(where, dressed, adapter_folder, styles, generate, tmp_path, monkeypatch):
    write_lora(random_lora(3), adapter_folder / LORA_NAME, "diffusers")
    dressed.load_emotion_adapter(adapter_folder)
    dressed.set_emotion_scale(0.5)
    dressed.load_lora_weights(styles[0], adapter_name="mine")
    dressed.set_adapters(["mine", "emotion"], [0.5, 0.8])
    before, loaded = generate(dressed, emotion="fear"), strengths(dressed)

    def fail(*_, **__):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        if where == "lora":
            patch.setattr(dressed, "load_lora_weights", fail, raising=False)
        else:
            patch.setattr("emogen.pipelines.mixin.load_emotion_adapter", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            dressed.load_emotion_adapter(adapter_folder)
    assert strengths(dressed) == loaded and torch.equal(generate(dressed, emotion="fear"), before)
    dressed.save_emotion_adapter(tmp_path / "again")
    assert (tmp_path / "again" / LORA_NAME).is_file()


def test_saving_without_a_lora_removes_the_one_that_is_there(dressed, tmp_path):
    write_lora(random_lora(3), tmp_path / LORA_NAME, "diffusers")
    dressed.save_emotion_adapter(tmp_path)
    assert not (tmp_path / LORA_NAME).exists()


def embeds(rows, seed=0):
    return torch.randn(rows, 12, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("emotion", ["neutral", "fear", "0:fear 1:awe"])
def test_one_negative_embedding_for_several_prompts(emotion, dressed, stock, generate):
    given = {"prompt_embeds": embeds(2), "num_frames": 9}
    one = generate(dressed, None, emotion=emotion, negative_prompt_embeds=embeds(1, 1), **given)
    each = generate(dressed, None, emotion=emotion, negative_prompt_embeds=embeds(1, 1).repeat(2, 1, 1), **given)
    torch.testing.assert_close(one, each)
    if emotion == "neutral":
        assert torch.equal(one, generate(stock, None, negative_prompt_embeds=embeds(1, 1), **given))


@pytest.mark.parametrize("emotion", [None, ["fear", "awe"], ["0:fear 1:awe", "0:awe 1:joy"]])
def test_several_videos_of_embeddings(emotion, dressed, generate):
    given = {"prompt_embeds": embeds(2), "negative_prompt_embeds": embeds(2, 1), "num_frames": 9}
    made = generate(dressed, None, emotion=emotion, num_videos_per_prompt=2, **given)
    each = {name: value.repeat_interleave(2, 0) for name, value in given.items() if name != "num_frames"}
    twice = emotion and [e for e in emotion for _ in range(2)]
    assert len(made) == 4
    torch.testing.assert_close(made, generate(dressed, None, emotion=twice, num_frames=9, **each))


BAD = [math.nan, math.inf, -math.inf, 1e30, "1", None, 10**400]


@pytest.mark.parametrize("value", BAD)
def test_numbers_that_are_refused(value, dressed, generate):
    for name in ("emotion_scale", "guidance_scale"):
        if (name, value) != ("guidance_scale", None):  # the model's own
            with pytest.raises(ValueError, match=rf"{name} is .*finite number"):
                generate(dressed, emotion="fear", **{name: value})
    with pytest.raises(ValueError, match="finite number"):
        dressed.set_emotion_scale(value)


@pytest.mark.parametrize("emotion", [
    "joy:1e30", "fear:nan", "va:0.5,0.5@1e9", "0:joy 1:fear:1e5", EmotionState.of("fear", 101.0),
    EmotionArc.constant(EmotionState.of("fear", -1e6)), {"distribution": {"fear": 1}, "intensity": 1e7},
])  # fmt: skip
def test_intensities_that_are_refused(emotion, dressed, generate):
    for name in ("emotion", "negative_emotion"):
        with pytest.raises(ValueError, match=r"finite|intensity of"):
            generate(dressed, **{name: emotion})


def test_the_first_step_that_is_not_finite_is_named(dressed, generate):
    def spoil(pipe, step, timestep, tensors):
        return {"latents": tensors["latents"] * (math.nan if step == 1 else 1)}

    with pytest.raises(NotFiniteError, match="step 2 of 3 gave values that are not finite"):
        generate(dressed, emotion="fear", num_inference_steps=3, callback_on_step_end=spoil)
    with torch.no_grad():
        dressed.vae.decoder.conv_out.bias.fill_(math.nan)
    for kind in ("np", "pt"):
        with pytest.raises(NotFiniteError, match="all 2 steps are finite and the decoded clip is not"):
            generate(dressed, output_type=kind)


def test_watching_the_steps_waits_for_nothing_and_changes_nothing(dressed, stock, generate, monkeypatch):
    class Watched(emotion_call.StepWatch):
        def check(self, frames):
            assert all(isinstance(flag, torch.Tensor) for flag in self._finite) and len(self._finite) == 2

    monkeypatch.setattr(emotion_call, "StepWatch", Watched)
    assert torch.equal(generate(dressed), generate(stock))
    seen = []
    generate(dressed, callback_on_step_end=lambda p, s, t, tensors: seen.append(sorted(tensors)) or tensors,
             callback_on_step_end_tensor_inputs=["prompt_embeds"])  # fmt: skip
    assert seen == [["prompt_embeds"]] * 2


def spoiled(folder, change):
    state = load_file(folder / WEIGHTS_NAME)
    name = sorted(state)[0]
    state[name] = change(state[name])
    save_file(state, folder / WEIGHTS_NAME)
    return folder


@pytest.mark.parametrize(("change", "message"), [
    (lambda value: value.fill_(math.nan), r"safetensors: encoder\.\S+ holds values that are not finite"),
    (lambda value: value.to(torch.int8), r"holds torch\.int8, not floating point numbers"),
])  # fmt: skip
def test_adapters_of_nonsense_are_refused(change, message, bare, adapter_folder):
    with pytest.raises(AdapterMismatchError, match=message):
        bare.load_emotion_adapter(spoiled(adapter_folder, change))
    assert bare.emotion_adapter is None


def test_an_adapter_of_other_emotions_is_refused_with_both_lists(bare, adapter_folder):
    path = adapter_folder / "config.json"
    config = json.loads(path.read_text())
    assert list(config["taxonomy"]["places"])[:2] == ["amusement", "awe"] and config["taxonomy"]["name"] == "mikels"
    places = config["taxonomy"]["places"]
    swapped = dict(sorted(places.items(), reverse=True))
    for other in (swapped, {"happy": [0.5, 0.5], "sad": [-0.5, -0.5]}):
        path.write_text(json.dumps(config | {"taxonomy": {"name": "other", "places": other}}))
        lists = rf"{', '.join(other)} \(other\).*amusement, awe, .*sadness \(mikels\)"
        with pytest.raises(AdapterMismatchError, match=lists):
            bare.load_emotion_adapter(adapter_folder)
    moved = {"name": "mikels", "places": {**places, "awe": [0.1, 0.2]}}
    path.write_text(json.dumps(config | {"taxonomy": moved}))
    with pytest.raises(
        AdapterMismatchError, match=r"stand at .*awe \(0\.1, 0\.2\).*and here at .*awe \(0\.45, 0\.55\)"
    ):
        bare.load_emotion_adapter(adapter_folder)
    for wrong in (5, {"name": "x"}, {"name": "x", "places": {"a": [7, 0]}}, {"name": "x", "places": {"a": None}}):
        path.write_text(json.dumps(config | {"taxonomy": wrong}))
        with pytest.raises(AdapterMismatchError, match=r"config\.json: "):
            bare.load_emotion_adapter(adapter_folder)
    del config["taxonomy"]  # of before it was recorded
    path.write_text(json.dumps(config))
    bare.load_emotion_adapter(adapter_folder)


HEADER = {"transformer.r": 4, "transformer.lora_alpha": 4}
EVIL = "(blocks|blocks.0|(([a-z0-9.]+)+)+)+x"


@pytest.mark.parametrize(("header", "message"), [
    ({"transformer.lora_alpha": math.nan}, "lora_alpha of its header is nan"),
    ({"transformer.lora_alpha": 0}, "lora_alpha of its header is 0"),
    ({"transformer.lora_alpha": "4"}, "lora_alpha of its header is '4'"),
    ({"transformer.alpha_pattern": {EVIL: 8}}, "alpha_pattern of its header holds .* no layer's name"),
    ({"transformer.rank_pattern": {EVIL: 8}}, "rank_pattern of its header holds .* no layer's name"),
    ({"transformer.rank_pattern": [4]}, "rank_pattern of its header is not an object"),
    ({"transformer.target_modules": EVIL}, "target_modules of its header is the pattern"),
    ({"transformer.layers_pattern": EVIL}, "layers_pattern of its header is the pattern"),
])  # fmt: skip
def test_headers_of_nonsense_are_refused(header, message, bare, adapter_folder):
    """Also of the emotion's own LoRA, whose header diffusers and peft would evaluate."""
    lora = random_lora(3)
    save_file(lora.weights, adapter_folder / LORA_NAME, {"lora_adapter_metadata": json.dumps(HEADER | header)})
    with pytest.raises(LoraFormatError, match=message):
        bare.load_emotion_adapter(adapter_folder)
    with pytest.raises(LoraError, match=message):
        add_loras(bare, [str(adapter_folder)])
    assert bare.emotion_adapter is None and bare.get_list_adapters() == {}


def test_plain_names_in_a_header_are_patterns_enough(pipe, tmp_path):
    header = HEADER | {"transformer.alpha_pattern": {r"^blocks\.0\.attn1\.to_q$": 8}, "transformer.lora_alpha": 2}
    save_file(random_lora(3).weights, tmp_path / "x.safetensors", {"lora_adapter_metadata": json.dumps(header)})
    add_loras(pipe, [str(tmp_path / "x.safetensors")])
    layer, video = pipe.transformer.get_submodule(LAYER), torch.ones(1, 64)
    (name,) = strengths(pipe)
    a, b = (getattr(layer, side)[name].weight for side in ("lora_A", "lora_B"))
    own, plain = random_lora(3).weights.values()
    torch.testing.assert_close(layer(video) - layer.base_layer(video), video @ own.T @ plain.T * 2)
    assert a.shape == (4, 64) and b.shape == (64, 4)


@pytest.mark.parametrize("what", ["empty", "image", "nan", "size"])
def test_loras_that_do_not_fit_are_refused(what, bare, adapter_folder):
    lora = random_lora(3, "blocks.0.attn2.add_k_proj" if what == "image" else LAYER)
    weights = {} if what == "empty" else dict(lora.weights)
    if what == "nan":
        weights[f"transformer.{LAYER}.lora_B.weight"][0, 0] = math.nan
    if what == "size":
        weights[f"transformer.{LAYER}.lora_B.weight"] = torch.ones(32, 4)
    save_file(weights, adapter_folder / LORA_NAME)
    message = {"empty": "is empty", "image": "add_k_proj, which this model has not", "nan": "not finite",
               "size": "model of another size"}[what]  # fmt: skip
    with pytest.raises(ValueError, match=message):
        bare.load_emotion_adapter(adapter_folder)
    assert bare.emotion_adapter is None and bare.get_list_adapters() == {}


@pytest.mark.parametrize(("given", "message"), [
    ({"kind": "WanPipeline", "adapter": "embedded"}, "WanPipeline takes no emotion adapter"),
    ({"kind": "NoPipeline"}, "diffusers has no pipeline 'NoPipeline'"),
    ({"kind": "logging"}, "diffusers has no pipeline 'logging'"),
    ({"dtype": "int8"}, "dtype is 'int8'; it takes float32"),
    ({"load": "all"}, "load is 'all'; it takes both, adapter, lora"),
    ({"kind": "image"}, "text-to-video model"),
])  # fmt: skip
def test_what_cannot_be_opened(given, message):
    model = "embedded" if given.get("kind") != "image" else __import__("emogen").embedded_model()
    with pytest.raises(ValueError, match=message):
        open_pipeline(model, given.pop("adapter", None), **given)


@pytest.mark.parametrize(("model", "kind", "name"), [
    ("embedded", None, "EmotionWanPipeline"), ("embedded_i2v", None, "EmotionWanImageToVideoPipeline"),
    ("embedded", "image", "EmotionWanImageToVideoPipeline"), ("embedded", "WanPipeline", "WanPipeline"),
])  # fmt: skip
def test_one_way_to_open(model, kind, name, monkeypatch):
    pipe = open_pipeline(model, None if kind == "WanPipeline" else "embedded", kind=kind, device="cpu", load="adapter")
    assert type(pipe).__name__ == name and pipe.switched_on == [] and pipe.device.type == "cpu"
    assert {part.dtype for part in (pipe.transformer, pipe.text_encoder, pipe.vae)} == {torch.float32}
    if kind != "WanPipeline":
        assert pipe.emotion_adapter is not None and pipe.get_list_adapters() == {}


def test_a_stored_dtype_and_the_lora_alone():
    pipe = open_pipeline("embedded", "embedded", device="cpu", dtype="stored", load="lora")
    assert pipe.emotion_adapter is None and len(pipe.get_list_adapters()["transformer"]) == 1
    assert pipe.text_encoder.dtype == torch.bfloat16 and pipe.transformer.dtype == torch.float32


def test_a_strange_lora_alone_is_refused(tmp_path):
    header = {"lora_adapter_metadata": json.dumps(HEADER | {"transformer.target_modules": EVIL})}
    save_file(random_lora(3).weights, tmp_path / LORA_NAME, header)
    with pytest.raises(LoraFormatError, match="target_modules of its header is the pattern"):
        open_pipeline("embedded", tmp_path, device="cpu", load="lora")


def test_frames_that_are_pictures_cannot_be_checked():
    watch = emotion_call.StepWatch({}, None)
    watch.check([SimpleNamespace(size=(8, 8))])
    with pytest.raises(NotFiniteError):
        watch.check(np.array([np.nan]))
