"""What commands say when they fail."""

import pytest

from emogen.failure import fail, readable


@pytest.mark.parametrize(
    "message", ["no such file: " + "x" * 3000, "'" + "joy " * 1000 + "' is no emotion", "a\n" + "y" * 999]
)
def test_a_message_is_short_whatever_was_given(message, capsys):
    assert fail(ValueError(message), 2) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said) < 1300 and said.count("\n") <= 2
    assert readable("a/path/of/a/file.mp4: cannot be read") == "a/path/of/a/file.mp4: cannot be read"
