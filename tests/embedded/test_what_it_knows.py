"""The embedded model names the words that it does not know, and what is shown of it asks for what it can draw."""

import ast
import json
import re
import warnings
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from emogen.commands import info, sample
from emogen.embedded import embedded_model
from emogen.models.text_limit import fit_prompts, unknown_words
from emogen.stickers.repertoire import repertoire

ROOT = Path(__file__).parents[2]
QUOTED = tuple(
    map(re.compile, (r'--prompt[ =]"([^"]+)"', r'pipe\("([^"]+)", ?(?:emotion|"[^"]+")', r'\bprompt = "([^"]+)"'))
)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(Path(embedded_model()) / "tokenizer")


def test_words_that_are_not_known(tokenizer):
    assert unknown_words(tokenizer, "a dragon and a Ghost in a garden: a dragon!") == ("dragon", "Ghost", "garden")
    assert unknown_words(tokenizer, "A flat sticker, of a heart-shaped pink face.") == ()
    assert unknown_words(None, "a dragon") == () and unknown_words(tokenizer, "") == ()
    with pytest.warns(UserWarning, match="does not know: dragon. What it draws owes nothing to it"):
        assert fit_prompts(tokenizer, 28, ["a dragon"]) == ["a dragon"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_prompts(tokenizer, 28, ["a yellow cat face"])


def test_what_it_is_said_to_draw_it_knows(tokenizer):
    lists = repertoire()
    assert len(lists) == 6 and all(len(words) > 1 for words in lists.values())
    for words in lists.values():
        assert not [word for word in words if unknown_words(tokenizer, word)]


def test_the_command_says_it_before_sampling(tmp_path, capsys):
    words = ["--emotion", "joy", "--num_inference_steps", "1", "--num_frames", "5", "--output", str(tmp_path / "a.gif")]
    assert sample.main(["--prompt", "a dragon in a garden", *words]) == 0
    said = capsys.readouterr().err
    assert said.count("warning: the model does not know: dragon, garden") == 1 and "`emogen info --model`" in said
    assert said.index("warning: the model") < said.index("sampling")
    assert sample.main(["--prompt", "a round blue face", *words]) == 0
    assert "does not know" not in capsys.readouterr().err


def test_the_list(capsys, tmp_path):
    assert info.main(["--model"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "a star-shaped ... face" in said and "purple" in said and "wearing a crown" in said and "cat face" in said
    assert info.main(["--model", str(embedded_model())]) == 0
    said = capsys.readouterr().out
    assert "WanPipeline, text to video" in said and "464 pieces and does not know every word" in said
    assert info.main(["--model", str(tmp_path)]) == 2 and "no model_index.json" in capsys.readouterr().err


def shown():
    """(file, prompt) of every prompt in what a newcomer reads and the embedded model draws."""
    code = ast.parse((ROOT / "emogen/studio/inputs.py").read_text(encoding="utf-8"))  # which needs gradio to run
    named = {node.targets[0].id: node.value for node in code.body if isinstance(node, ast.Assign)}
    found = [("studio", prompt) for prompt in ast.literal_eval(named["EXAMPLES"])]
    for path in (ROOT / "README.md", ROOT / "docs/sampling.md", *sorted((ROOT / "examples").glob("*.ipynb"))):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        for line in text.splitlines():
            if "wan2" not in line.lower():  # those models know all words
                found += [(path.name, prompt) for pattern in QUOTED for prompt in pattern.findall(line)]
    return [(where, re.sub(r"{\w+}", "", prompt)) for where, prompt in found]  # a place for another word is none


def test_prompts_that_are_shown_are_of_known_words(tokenizer):
    prompts = shown()
    assert len(prompts) > 12 and {where for where, _ in prompts} > {"studio", "README.md", "text_to_video.ipynb"}
    assert not [(where, prompt, found) for where, prompt in prompts if (found := unknown_words(tokenizer, prompt))]
