"""The README's two commands, which stand first and which continuous integration runs."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README, flags=re.M | re.S)


def test_the_two_commands_stand_first():
    first, second = BLOCKS[:2]
    assert "pip install -e ." in first and "python sample.py --emotion" in first
    assert 'pip install -e ".[test]"' in second and "pytest" in second
    for block in (first, second):  # each alone, in a fresh environment
        assert "python3 -m venv" in block


def test_configurations_exist():
    for name in re.findall(r"configs/\w[\w./]*\.yaml", README):
        assert (ROOT / name).is_file(), name


def test_ci_runs_the_second_block():
    script = (ROOT / ".ci" / "run").read_text()
    awk = re.search(r"block=\$\((awk .*?README\.md)\)", script, flags=re.S).group(1)
    out = subprocess.run(["bash", "-c", awk], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out == BLOCKS[1]
