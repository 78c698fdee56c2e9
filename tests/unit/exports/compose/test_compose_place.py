"""Where a compose goes: what says that it is whole is there only as long as it is."""

from pathlib import Path

from osbuild_core.exports.compose.place import COMPOSE, Place, claimed, is_complete, publish


def test_one_that_is_made_again_is_not_whole_meanwhile(tmp_path: Path):
    place = Place(tmp_path, 1)
    for name in ("first", "second"):
        with claimed(place) as work:
            assert not is_complete(place)
            assert not (place.directory / COMPOSE).exists()
            (work / COMPOSE).mkdir()
            publish(place, work, name)
        assert is_complete(place)
        assert (place.directory / "COMPOSE_ID").read_text() == f"{name}\n"
