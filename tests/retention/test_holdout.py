from hashlib import sha256

from retention.deciding.holdout import draw

IDS = [f"c{number}" for number in range(20_000)]


def test_the_draw_is_the_hash_and_nothing_else() -> None:
    fraction = int.from_bytes(sha256(b"salt:c1").digest()[:8], "big") / 2**64
    assert draw(["c1"], salt="salt", share=fraction * 1.000001).tolist() == [True]
    assert draw(["c1"], salt="salt", share=fraction * 0.999999).tolist() == [False]


def test_a_customer_keeps_the_arm_whoever_else_is_drawn() -> None:
    alone = [bool(draw([customer], salt="s", share=0.1)[0]) for customer in IDS[:500]]
    assert draw(IDS, salt="s", share=0.1)[:500].tolist() == alone


def test_the_share_is_met_within_chance() -> None:
    held = draw(IDS, salt="s", share=0.1).mean()
    assert abs(held - 0.1) < 4 * (0.1 * 0.9 / len(IDS)) ** 0.5


def test_a_larger_share_keeps_everyone_of_a_smaller_one() -> None:
    assert (draw(IDS, salt="s", share=0.2) >= draw(IDS, salt="s", share=0.1)).all()


def test_another_salt_draws_another_group() -> None:
    both = draw(IDS, salt="s", share=0.1) & draw(IDS, salt="t", share=0.1)
    assert 0.005 < both.mean() < 0.015


def test_no_share_holds_out_nobody() -> None:
    assert not draw(IDS, salt="s", share=0.0).any()
