"""Each rule does what its story says."""

from pathlib import Path

import pytest

from tests.golden.replay import Story, Teller, stories

FILES = sorted(Path(__file__).parent.glob("*.txt"))
STORIES = [story for file in FILES for story in stories(file)]


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_story_goes_as_it_is_written(story: Story) -> None:
    teller = Teller()
    for number, line in story.lines:
        said, _, expected = line.partition("->")
        happened = ", ".join(teller.tell(said))
        assert happened == expected.strip(), f"{story.file.name}, line {number}: {line}"


def test_every_rule_has_its_stories() -> None:
    assert {file.stem for file in FILES} == {
        "break_even",
        "confirmation",
        "ladder",
        "one_cancels_other",
        "stop_loss",
        "take_profit",
        "time_stop",
        "trailing",
        "trigger_source",
    }
    assert all(len([s for s in STORIES if s.file == file]) >= 2 for file in FILES)
