"""The token estimate learns from reported usage."""

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import error, text
from tests.support.postgres import OWNER, Connection, Postgres
from tests.support.stack import Stack
from tests.support.talk import DOLPHIN_R1, VENICE, WORKER, Talk

LONG = "The lamp hisses and the rain comes down on the glass of the gallery. " * 30
JAPANESE = "灯台守は静かに灯を守る。" * 200


def used(prompt_tokens: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt_tokens, "completion_tokens": 4, "cost": 0}


def learnt(stack: Stack) -> dict[tuple[str, str], float]:
    rows = stack.all("select model_key, script, ratio from token_calibrations")
    return {(row["model_key"], row["script"]): row["ratio"] for row in rows}


def learn(
    stack: Stack,
    reported: float,
    *,
    latin: float = 1000,
    other: float = 0,
    by: Connection | None = None,
) -> None:
    """One successful call in the format of finish_turn."""
    call = {"provider": "p", "model_key": "m", "outcome": "ok", "prompt_tokens": reported}
    call |= {"estimate": {"latin": latin, "other": other}}
    (by or stack.db).execute("select private.calibrate(%s)", (Jsonb([call]),))


class TestTurn:
    def test_teaches_and_uses_what_was_learnt(self, talk: Talk) -> None:
        """A model that counts half as many tokens gets more and more of the history."""
        talk.have_only(VENICE)
        talk.describe(VENICE, context_tokens=4096)
        talk.conversation = talk.stack.conversation(talk.user, *[LONG[:210]] * 91, remembers=False)
        sizes = []
        for _ in range(12):
            talk.stack.upstream.enqueue(text("Yes.", usage=used(1)))
            talk.reply("And?")
            call = talk.stack.upstream.calls[-1].json
            sizes.append(sum(len(message["content"]) for message in call["messages"]))

        assert learnt(talk.stack)[VENICE, "latin"] == pytest.approx(0.95**12)
        assert sizes[-1] > sizes[0] * 1.3

    def test_turn_without_a_reply_updates_nothing(self, talk: Talk) -> None:
        talk.stack.upstream.always(error(500))
        talk.say(LONG)
        assert learnt(talk.stack) == {}

    def test_teaches_of_the_model_that_answered(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(error(404), text("Yes.", usage=used(2000)))
        talk.reply(LONG)
        assert list(learnt(talk.stack)) == [(DOLPHIN_R1, "latin")]

    def test_turn_in_another_script_updates_that_ratio(self, talk: Talk) -> None:
        talk.stack.db.execute("update characters set description = %s", (JAPANESE * 4,))
        talk.stack.upstream.enqueue(text("はい。", usage=used(4000)))
        talk.reply("こんにちは")
        assert list(learnt(talk.stack)) == [(VENICE, "other")]

    def test_usage_of_a_worker_updates_its_models_ratio(self, talk: Talk) -> None:
        talk.have_worker(protocol="openai")
        talk.stack.upstream.enqueue(text("Yes.", usage=used(1)), text("Yes.", usage=used(1)))
        talk.reply(LONG, model_provider="chat_worker")
        talk.reply(LONG, model_provider="chat_worker")
        assert learnt(talk.stack) == {(WORKER, "latin"): pytest.approx(0.95**2)}

    def test_whose_provider_counts_nothing_teaches_nothing(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Yes.", usage=None))
        talk.reply(LONG)
        assert learnt(talk.stack) == {}

    def test_repeated_turn_is_learned_from_once(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Yes.", usage=used(2000)))
        talk.reply(LONG)
        turn = talk.stack.one("select id from turns")["id"]
        call = {"provider": "openrouter", "model_key": VENICE, "outcome": "ok"}
        call |= {"prompt_tokens": 1, "estimate": {"latin": 1000, "other": 0}}
        before = learnt(talk.stack)
        talk.stack.db.execute(
            "select finish_turn(%s, 'complete', p_usage => %s)", (turn, Jsonb([call]))
        )
        assert learnt(talk.stack) == before


class TestRatio:
    def test_ratio_comes_near_to_what_is_reported(self, stack: Stack) -> None:
        for _ in range(60):
            learn(stack, 750)
        assert learnt(stack)["m", "latin"] == pytest.approx(0.75, abs=0.01)

    def test_follows_larger_samples_faster(self, stack: Stack) -> None:
        for _ in range(100):
            learn(stack, 700)
            learn(stack, 900)
        assert learnt(stack)["m", "latin"] == pytest.approx(0.85, abs=0.03)

    @pytest.mark.parametrize(("lie", "least", "most"), [(1, 0.94, 1), (10**9, 1, 1.16)])
    def test_one_wrong_report_moves_the_ratio_little(
        self, stack: Stack, lie: int, least: float, most: float
    ) -> None:
        learn(stack, lie)
        assert least <= learnt(stack)["m", "latin"] <= most

    @pytest.mark.parametrize(("lie", "bound"), [(1, 0.5), (10**9, 2)])
    def test_ratio_stays_within_bounds_for_wrong_reports(
        self, stack: Stack, lie: int, bound: float
    ) -> None:
        for _ in range(60):
            learn(stack, lie)
        assert learnt(stack)["m", "latin"] == bound

    def test_ratio_of_a_script_uses_the_known_ratio_of_the_other(self, stack: Stack) -> None:
        for _ in range(100):
            learn(stack, 500, latin=0, other=1000)
        for _ in range(100):
            learn(stack, 800 + 100, latin=800, other=200)
        assert learnt(stack)["m", "latin"] == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize(
        "sample",
        [
            pytest.param({"reported": 50, "latin": 100}, id="short-prompt"),
            pytest.param({"reported": 900, "latin": 500, "other": 500}, id="two-scripts"),
            pytest.param({"reported": 0}, id="nothing-reported"),
        ],
    )
    def test_ratio_is_not_learned_from_such_calls(
        self, stack: Stack, sample: dict[str, Any]
    ) -> None:
        learn(stack, **sample)
        assert learnt(stack) == {}

    def test_known_ratio_is_updated_at_most_once_a_second(self, stack: Stack) -> None:
        learn(stack, 1000)
        stack.db.execute("update token_calibrations set samples = 100, updated_at = now()")
        learn(stack, 500)
        assert learnt(stack) == {("m", "latin"): 1}

        stack.db.execute("update token_calibrations set updated_at = now() - interval '2 seconds'")
        learn(stack, 500)
        assert learnt(stack) == {("m", "latin"): pytest.approx(0.95)}

    def test_locked_ratio_is_not_waited_for(self, stack: Stack, postgres: Postgres) -> None:
        learn(stack, 1000)
        with postgres.connect("app", OWNER) as other, stack.db.transaction():
            stack.db.execute("select from token_calibrations for update")
            other.execute("set lock_timeout = '5s'")
            learn(stack, 500, by=other)
        assert learnt(stack) == {("m", "latin"): 1}
