import json

import pytest
import torch
import yaml
from diffusers import WanPipeline
from safetensors import safe_open

from emogen.training.config import config_from_dict
from emogen.training.run import run


@pytest.fixture
def exported(make_config, tmp_path):
    """A run whose LoRA has alpha != rank, which a file without metadata would lose."""
    return run(make_config(run={"max_train_steps": 3, "ema_decay": 0.0}, lora={"rank": 2, "lora_alpha": 6.0}))


def test_the_folder_is_complete(exported, make_config):
    names = {path.name for path in exported.iterdir()}
    assert names >= {
        "config.json", "emotion_adapter.safetensors", "pytorch_lora_weights.safetensors",
        "training_config.yaml", "README.md", "log.jsonl", "checkpoint-3",
    }  # fmt: skip
    assert not [name for name in names if name.startswith(".")]  # nothing temporary is left
    stored = config_from_dict(yaml.safe_load((exported / "training_config.yaml").read_text()))
    assert stored == make_config(run={"max_train_steps": 3, "ema_decay": 0.0}, lora={"rank": 2, "lora_alpha": 6.0})
    with safe_open(exported / "pytorch_lora_weights.safetensors", "pt") as file:
        assert all(".lora_" in key for key in set(file.keys()))
        metadata = json.loads(file.metadata()["lora_adapter_metadata"])
    assert metadata["transformer.lora_alpha"] == 6.0


def _tiny_call(pipeline, **arguments):
    return pipeline(
        prompt="a red ball", height=16, width=16, num_frames=5, num_inference_steps=2, max_sequence_length=12,
        guidance_scale=1.0, output_type="latent", generator=torch.Generator().manual_seed(0), **arguments,
    ).frames  # fmt: skip


def test_stock_diffusers_loads_the_lora_at_the_trained_strength(exported, model_folder):
    pipeline = WanPipeline.from_pretrained(model_folder)
    before = _tiny_call(pipeline)
    pipeline.load_lora_weights(exported)
    config = pipeline.transformer.peft_config["default_0"]
    assert (config.r, config.lora_alpha) == (2, 6.0)
    layer = pipeline.transformer.blocks[0].attn1.to_q
    assert layer.scaling["default_0"] == 3.0 and layer.lora_B["default_0"].weight.abs().max() > 0
    assert not torch.equal(before, _tiny_call(pipeline))


def test_the_pipeline_reproduces_the_trained_model(exported, make_config, model_folder, tmp_path):
    """Loaded from the exported folder, the velocity is what the trainer's own model computes."""
    from emogen.emotion import parse_emotion
    from emogen.models import EmotionTensors
    from emogen.pipelines import EmotionWanPipeline
    from emogen.training.data.batches import Batch
    from emogen.training.families import family_of
    from emogen.training.life.checkpoint import restore
    from emogen.training.model import build_model, load_transformers

    config = make_config(run={"max_train_steps": 3, "ema_decay": 0.0}, lora={"rank": 2, "lora_alpha": 6.0})
    transformer = load_transformers(family_of(model_folder), config.model)
    model = build_model(family_of(model_folder), transformer, config, text_length=12)
    restore(tmp_path / "run/checkpoint-3/trained.safetensors", model.trainable())

    pipeline = EmotionWanPipeline.from_pretrained(model_folder)
    pipeline.load_emotion_adapter(exported)
    state = parse_emotion("fear:0.7")
    text, _ = pipeline.encode_prompt(
        "a red ball", do_classifier_free_guidance=False, max_sequence_length=12, device=torch.device("cpu")
    )
    batch = Batch(
        latents=torch.randn(1, 4, 2, 4, 4),
        text=text[:, :12],
        emotion=EmotionTensors.from_states([state]),
        names=["x"],
    )
    seen = {}

    def keep(module, arguments, keywords, output):
        seen["in"], seen["out"] = keywords, output[0]

    pipeline.transformer.register_forward_hook(keep, with_kwargs=True)
    _tiny_call(pipeline, emotion="fear:0.7")
    with torch.no_grad():
        sigma = seen["in"]["timestep"] / 1000
        ours = model(seen["in"]["hidden_states"], sigma, batch)
        batch.emotion = batch.emotion._replace(intensity=torch.zeros(1))
        neutral = model(seen["in"]["hidden_states"], sigma, batch)
    assert torch.allclose(ours, seen["out"], atol=1e-5)
    assert not torch.allclose(neutral, seen["out"], atol=1e-5)
