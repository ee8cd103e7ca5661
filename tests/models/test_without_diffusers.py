"""Programs with a transformer of their own, such as ComfyUI, use the encoder and the attention without diffusers."""

import subprocess
import sys

import pytest
import torch

from emogen.models.emotion_attention import EmotionAttention, embed_tail


@pytest.mark.parametrize("module", ["emogen.models.weights", "emogen.models.encoder", "emogen.emotion.given"])
def test_no_diffusers_is_imported(module):
    code = f"import sys, {module}; print(sorted(sys.modules.keys() & {{'diffusers', 'transformers', 'peft'}}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert (found.stdout.strip(), found.returncode) == ("[]", 0), found.stderr


def test_the_branch_is_that_of_the_attention_processor(make_transformer, make_inputs, trained, emotions, arcs):
    """With plain torch attention, of a constant emotion and of one that changes."""
    torch.manual_seed(5)
    adapter = trained(make_transformer())
    processor = adapter.processors["transformer"]["blocks.1.attn2"]
    plain = EmotionAttention(64, 64, 32)
    plain.load_state_dict(processor.state_dict())
    hidden = torch.randn(2, 3 * 16, 64)
    embed = make_transformer().condition_embedder.text_embedder
    for wanted, frames in ((emotions, 1), (arcs, 3)):
        tokens = embed_tail(embed, adapter.tail(wanted))
        delta = tokens[:, :-1] - tokens[:, -1:]
        assert delta.abs().max() > 0.01
        torch.testing.assert_close(plain.branch(hidden, delta, frames), processor.branch(hidden, delta, frames))
        assert plain.branch(hidden, torch.zeros_like(delta), frames).abs().max() == 0
    with pytest.raises(ValueError, match="47 positions do not divide into the emotion's 3 latent frames"):
        plain.branch(hidden[:, :47], delta, 3)
