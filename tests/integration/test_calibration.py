"""The token estimate learns from reported usage."""

from random import Random
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from roleplay_chat.tokens import estimate_messages
from tests.support.answers import error, text
from tests.support.postgres import OWNER, Connection, Postgres
from tests.support.stack import Stack
from tests.support.talk import DOLPHIN_R1, VENICE, WORKER, Talk
from tests.support.upstream import Exchange

LONG = "The lamp hisses and the rain comes down on the glass of the gallery. " * 30
JAPANESE = "灯台守は静かに灯を守る。" * 200


def used(prompt_tokens: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt_tokens, "completion_tokens": 4, "cost": 0}


def learnt(stack: Stack) -> dict[tuple[str, str], float]:
    rows = stack.all("select model_key, script, ratio from token_calibrations")
    return {(row["model_key"], row["script"]): row["ratio"] for row in rows}


def ratio_in_use(stack: Stack) -> float:
    """The ratio that prompts for the only model are built with."""
    return float(stack.one("select ratios ->> 'latin' as ratio from private.token_ratios")["ratio"])


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
        # Their positions decide where a history is cut, so they are always the same.
        talk.stack.db.execute("select setval(%s, 1000000)", [talk.stack.positions])
        talk.conversation = talk.stack.conversation(talk.user, *[LONG[:210]] * 91, remembers=False)
        sizes = []
        for _ in range(12):
            talk.stack.upstream.enqueue(text("Yes.", usage=used(1)))
            talk.reply("And?")
            call = talk.stack.upstream.calls[-1].json
            sizes.append(sum(len(message["content"]) for message in call["messages"]))

        assert learnt(talk.stack)[VENICE, "latin"] == pytest.approx(0.95**12)
        assert sizes[-1] > sizes[0] * 1.3

    def test_long_card_is_cut_at_the_same_place_from_turn_to_turn(self, talk: Talk) -> None:
        """Although each report differs a little from the one before."""
        talk.have_only(VENICE)
        talk.describe(VENICE, context_tokens=4096)
        talk.stack.configure(limits={"default": {"turns_per_minute": 1000}})
        card = " ".join(f"She keeps light number {n} of the harbour." for n in range(440))
        talk.stack.db.execute("update characters set description = %s", (card,))
        talk.stack.db.execute(
            "insert into token_calibrations (provider, model_key, script, ratio, samples)"
            " values ('openrouter', %s, 'latin', 0.7, 50)",
            (VENICE,),
        )
        chance = Random(1)  # noqa: S311

        async def answer(exchange: Exchange) -> None:
            said = [message["content"] for message in exchange.call.json["messages"]]
            usage = used(round(estimate_messages(said).latin * chance.uniform(0.68, 0.72)))
            await text("Aye, the fog is thick.", usage=usage)(exchange)

        talk.stack.upstream.always(answer)
        for n in range(20):
            talk.reply(f"Tell me about the fog {n}.")
        systems = [call.json["messages"][0]["content"] for call in talk.stack.upstream.calls]
        assert len(set(systems)) <= 2

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
        call: dict[str, Any] = {"provider": "openrouter", "model_key": VENICE, "outcome": "ok"}
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

    @pytest.mark.parametrize("mean", [0.68, 0.7, 0.725, 0.75, 1.0])
    def test_ratio_in_use_stays_although_reports_differ(self, stack: Stack, mean: float) -> None:
        chance = Random(2)  # noqa: S311
        used = []
        for _ in range(300):
            learn(stack, 1000 * mean * chance.uniform(0.98, 1.02))
            used += [ratio_in_use(stack)]
        assert len(set(used[100:])) == 1
        assert mean * 0.99 < used[-1] < mean + 0.09

    def test_ratio_in_use_is_no_lower_than_the_learned_one(self, stack: Stack) -> None:
        chance = Random(3)  # noqa: S311
        for _ in range(200):
            learn(stack, 1000 * chance.uniform(0.4, 2.2))
            (learned,) = learnt(stack).values()
            in_use = ratio_in_use(stack)
            assert learned - 1e-6 <= in_use < learned + 0.0751
            assert in_use * 20 == pytest.approx(round(in_use * 20))

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
