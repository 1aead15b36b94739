import threading

from rill_django import metadata
from rill_django.domain.metadata import current_metadata


def test_there_are_none_outside_of_a_block():
    assert current_metadata() == {}


def test_blocks_nest_and_override():
    with metadata(actor="ann", reason="move", ticket=3):
        with metadata(reason="order", correlation_id="c", causation_id="d"):
            assert current_metadata() == {
                "actor": "ann",
                "reason": "order",
                "ticket": 3,
                "correlation_id": "c",
                "causation_id": "d",
            }
        assert current_metadata() == {"actor": "ann", "reason": "move", "ticket": 3}
    assert current_metadata() == {}


def test_a_block_that_fails_is_left_all_the_same():
    try:
        with metadata(actor="ann"):
            raise ValueError
    except ValueError:
        assert current_metadata() == {}


def test_values_of_none_say_nothing():
    with metadata(actor="ann"), metadata(actor=None, reason=None, ticket=None):
        assert current_metadata() == {"actor": "ann"}


def test_an_actor_may_be_found_out_late():
    names = ["ann"]
    with metadata(actor=lambda: names[0]):
        assert current_metadata()["actor"] == "ann"
        names[0] = "bob"
        assert current_metadata()["actor"] == "bob"


def test_threads_do_not_share_them():
    seen = []
    with metadata(actor="ann"):
        thread = threading.Thread(daemon=True, target=lambda: seen.append(dict(current_metadata())))
        thread.start()
        thread.join()
    assert seen == [{}]
