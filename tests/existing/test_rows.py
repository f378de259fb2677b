"""The product's rows as our functions see them, in the views of the schema shared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.existing.database import STATES
from tests.existing.installation import adopted_database
from tests.existing.requests import PEOPLE
from tests.support.postgres import Connection, Postgres

ILSE, EMPTY, LONG, HIDDEN = (
    f"aaaaaaaa-0000-4000-8000-0000000000{number}" for number in (11, 19, 17, 15)
)
TALK = "bbbbbbbb-0000-4000-8000-000000000011"


@pytest.fixture(scope="module", params=STATES)
def adopted(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with adopted_database(postgres, request.param) as connection:
        connection.execute("set search_path = shared")
        yield connection


def one(connection: Connection, query: str, *parameters: object) -> dict[str, Any]:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row
    return row


def character(connection: Connection, character_id: str) -> dict[str, Any]:
    return one(connection, "select * from characters where id = %s", character_id)


class TestCharacters:
    def test_texts_are_put_together(self, adopted: Connection) -> None:
        ilse = character(adopted, ILSE)
        assert ilse["description"].startswith("Sails a ferry that has no harbour.")
        assert "Lost a ship once." in ilse["description"].splitlines()
        assert ilse["personality"].splitlines()[:4] == [
            "dry, patient",
            "Goals: Bring everybody across.",
            "Voice: low and slow",
            "Mood: watchful",
        ]
        assert "Never says: as an AI" in ilse["personality"]
        assert "pace: slow" in ilse["personality"]
        assert ilse["system_prompt"] == "Answer in two sentences."
        assert "{{char}}: Tide waits." in ilse["example_messages"].splitlines()
        assert "None" not in ilse["example_messages"]

    def test_pronouns_come_from_gender(self, adopted: Connection) -> None:
        assert character(adopted, ILSE)["pronouns"] == "she/her"
        assert character(adopted, HIDDEN)["pronouns"] == "they/them"
        assert character(adopted, EMPTY)["pronouns"] is None

    def test_nobody_has_an_age_whatever_a_text_says(self, adopted: Connection) -> None:
        ages = adopted.execute("select distinct age from characters").fetchall()
        assert ages == [{"age": None}]

    def test_nulls_are_empty_and_private(self, adopted: Connection) -> None:
        empty = character(adopted, EMPTY)
        texts = ("description", "personality", "scenario", "first_message", "example_messages")
        assert [empty[text] for text in (*texts, "system_prompt")] == [""] * 6
        assert (empty["alternate_greetings"], empty["is_public"]) == ([], False)

    def test_long_texts_are_cut(self, adopted: Connection) -> None:
        long = character(adopted, LONG)
        assert len(long["name"]) == 120
        texts = ("description", "personality", "system_prompt", "example_messages")
        assert max(len(long[text]) for text in texts) == 20_000

    def test_declared_age_is_read_and_taken_back(self, adopted: Connection) -> None:
        declare = "select public.declare_age(%s, %s) as is_there"
        assert one(adopted, declare, ILSE, 52)["is_there"]
        assert character(adopted, ILSE)["age"] == 52
        assert one(adopted, declare, ILSE, None)["is_there"]
        assert character(adopted, ILSE)["age"] is None
        assert not one(adopted, declare, uuid4(), 52)["is_there"]

    def test_an_imported_greeting_is_where_their_pages_show_and_change_it(
        self, adopted: Connection
    ) -> None:
        card = {"name": "Iva", "first_message": "Ahoy.", "alternate_greetings": ["One.", "Two."]}
        card |= {"pronouns": "she/her", "description": "", "personality": ""}
        with adopted.transaction(force_rollback=True):
            made = one(
                adopted,
                "select public.import_character(%s, %s, '{}') as made",
                PEOPLE["person"],
                Jsonb(card),
            )["made"]
            assert made["outcome"] == "saved", made
            iva = character(adopted, made["character_id"])
            assert (iva["first_message"], iva["alternate_greetings"]) == ("Ahoy.", ["One.", "Two."])
            theirs = one(
                adopted,
                "select to_jsonb(ch) as columns from public.characters ch where id = %s",
                made["character_id"],
            )["columns"]
            assert theirs["gender"] == "female"
            if "first_message" in theirs:
                assert theirs["first_message"] == "Ahoy."
                assert theirs["alternate_greetings"] == ["One.", "Two."]
                adopted.execute(
                    "update public.characters set first_message = 'Changed.' where id = %s",
                    [made["character_id"]],
                )
                assert character(adopted, made["character_id"])["first_message"] == "Changed."

    def test_greetings_are_the_texts_of_a_list(self, adopted: Connection) -> None:
        has_greetings = one(
            adopted,
            "select count(*) as n from information_schema.columns"
            " where table_name = 'characters' and table_schema = 'public'"
            "   and column_name = 'alternate_greetings'",
        )["n"]
        with adopted.transaction(force_rollback=True):
            if has_greetings:
                adopted.execute(
                    "update public.characters set first_message = 'Ahoy.',"
                    " alternate_greetings = %s::jsonb where id = %s",
                    ['["One.", 2, null, {"a": 1}, "Three."]', ILSE],
                )
                ilse = character(adopted, ILSE)
                assert ilse["first_message"] == "Ahoy."
                assert ilse["alternate_greetings"] == ["One.", "Three."]
                adopted.execute("update public.characters set alternate_greetings = '\"No.\"'")
            assert character(adopted, ILSE)["alternate_greetings"] == []


class TestPeople:
    def test_everybody_is_there_with_a_profile_or_without(self, adopted: Connection) -> None:
        users = one(adopted, "select count(*) as n from auth.users")["n"]
        assert one(adopted, "select count(*) as n from profiles")["n"] == users

    def test_nobody_is_called_by_a_user_name(self, adopted: Connection) -> None:
        names = adopted.execute("select distinct display_name from profiles").fetchall()
        assert names == [{"display_name": None}]

    def test_verification_is_theirs_or_recorded(self, adopted: Connection) -> None:
        verified = "select id from profiles where age_verified order by id"
        with adopted.transaction(force_rollback=True):
            before = adopted.execute(verified.encode()).fetchall()
            assert [str(row["id"])[:8] for row in before] == ["55555555"]
            adopted.execute(
                "select public.record_age_verification(%s, true)",
                ["44444444-4444-4444-8444-444444444444"],
            )
            after = adopted.execute(verified.encode()).fetchall()
            assert [str(row["id"])[:8] for row in after] == ["44444444", "55555555"]

    def test_roles_are_texts(self, adopted: Connection) -> None:
        roles = adopted.execute("select distinct role from user_roles order by role").fetchall()
        assert {row["role"] for row in roles} >= {"admin", "basic_user", "premium_user"}


class TestMessages:
    def test_order_is_that_of_times_and_a_person_speaks_before_the_reply(
        self, adopted: Connection
    ) -> None:
        rows = adopted.execute(
            "select sender, content from messages where conversation_id = %s order by position",
            [TALK],
        ).fetchall()
        assert [(row["sender"], row["content"][:12]) for row in rows] == [
            ("character", "All aboard."),
            ("user", "Across what?"),
            ("user", "Where to?"),
            ("character", "Across."),
            ("character", "The dark."),
            ("character", "The lanterns"),
        ]

    def test_every_message_has_a_position_of_its_own(self, adopted: Connection) -> None:
        row = one(
            adopted,
            "select count(*) as n, count(distinct (conversation_id, position)) as places"
            " from messages",
        )
        assert row["n"] == row["places"]

    def test_what_is_no_speech_stays_none(self, adopted: Connection) -> None:
        types = adopted.execute("select distinct message_type from messages").fetchall()
        assert {row["message_type"] for row in types} == {"text", "image", "system"}

    def test_reply_is_stored_as_their_readers_know_it(self, adopted: Connection) -> None:
        with adopted.transaction(force_rollback=True):
            row = one(
                adopted,
                "insert into messages (conversation_id, position, sender, content, parent_id)"
                " values (%s, next_position(), 'character', 'Aye.', %s) returning id",
                TALK,
                uuid4(),
            )
            stored = one(adopted, "select * from public.messages where id = %s", row["id"])
            assert (stored["sender"], stored["message_type"]) == ("assistant", "roleplay_chat")
            opening = one(
                adopted,
                "insert into messages (conversation_id, sender, content)"
                " values (%s, 'character', 'Welcome.') returning id",
                TALK,
            )
            stored = one(adopted, "select * from public.messages where id = %s", opening["id"])
            assert stored["message_type"] == "scene_kickoff"

    def test_a_version_that_is_not_shown_leaves_their_table_and_comes_back(
        self, adopted: Connection
    ) -> None:
        reply = "cccccccc-0000-4000-8000-000000000012"
        theirs = "select count(*) as n from public.messages where id = %s"
        with adopted.transaction(force_rollback=True):
            before = one(adopted, "select * from messages where id = %s", reply)
            adopted.execute("update messages set is_active = false where id = %s", [reply])
            assert one(adopted, theirs, reply)["n"] == 0
            aside = one(adopted, "select * from messages where id = %s", reply)
            assert aside == before | {"is_active": False}
            adopted.execute("update messages set is_active = true where id = %s", [reply])
            assert one(adopted, "select * from messages where id = %s", reply) == before


class TestModels:
    def models(self, adopted: Connection, task: str) -> list[dict[str, Any]]:
        row = one(adopted, "select private.models_for(%s) as models", task)
        models: list[dict[str, Any]] = row["models"]
        return models

    def test_models_for_conversations(self, adopted: Connection) -> None:
        keys = [model["model_key"] for model in self.models(adopted, "roleplay")]
        assert {"m/one", "m/two", "m/three:free", "m/four", "m/odd"} <= set(keys)
        assert not {"m/off", "m/closed", "m/elsewhere", "m/style", "m/six"} & set(keys)
        assert len(keys) == len(set(keys))

    def test_first_of_several_defaults_comes_first(self, adopted: Connection) -> None:
        first = self.models(adopted, "roleplay")[0]
        assert (first["model_key"], first["is_default"]) == ("m/one", True)

    def test_models_for_other_tasks(self, adopted: Connection) -> None:
        stories = [model["model_key"] for model in self.models(adopted, "storytelling")]
        assert set(stories) == {m["model_key"] for m in self.models(adopted, "roleplay")}
        prompts = [model["model_key"] for model in self.models(adopted, "prompt_enhancement")]
        assert "m/six" in prompts
        assert "m/two" not in prompts
        assert self.models(adopted, "moderation") == []

    def test_what_they_do_not_say_has_a_default(self, adopted: Connection) -> None:
        models = {model["model_key"]: model for model in self.models(adopted, "roleplay")}
        assert models["m/odd"]["capabilities"] == {"context_tokens": 8192}
        assert models["m/odd"]["input_defaults"] == {"max_tokens": 400}
        assert models["m/two"]["input_defaults"]["max_tokens"] == 300
        assert models["m/two"]["capabilities"]["nsfw"] is True
        assert models["m/odd"]["pricing"] == {}

    def test_address_and_key_are_ours_to_say(self, adopted: Connection) -> None:
        with adopted.transaction(force_rollback=True):
            adopted.execute(
                "update public.api_providers set base_url = 'https://elsewhere.example.com',"
                " secret_name = 'SUPABASE_SERVICE_ROLE_KEY'"
            )
            providers = [model["provider"] for model in self.models(adopted, "roleplay")]
            assert {provider["base_url"] for provider in providers} == {
                "https://openrouter.ai/api/v1"
            }
            assert {provider["secret_name"] for provider in providers} == {
                "OpenRouter_Roleplay_API_KEY"
            }

    def test_provider_that_is_given_an_address_is_used(self, adopted: Connection) -> None:
        with adopted.transaction(force_rollback=True):
            adopted.execute(
                "insert into private.provider_keys (provider_id, base_url, secret_name)"
                " select id, 'https://other.example.com/v1', 'Other_API_KEY'"
                " from public.api_providers where name = 'other'"
            )
            keys = [model["model_key"] for model in self.models(adopted, "roleplay")]
            assert "m/elsewhere" in keys


class TestTemplates:
    def test_theirs_are_used_for_their_tier_and_ours_for_the_rest(
        self, adopted: Connection
    ) -> None:
        rows = adopted.execute(
            "select use_case, content_tier, name from prompt_templates where model_family is null"
        ).fetchall()
        names = {(row["use_case"], row["content_tier"]): row["name"] for row in rows}
        assert len(names) == len(rows)
        assert names["roleplay", "sfw"] == "Roleplay"
        assert names["roleplay", "nsfw"] != "Roleplay for adults"
        assert names["storytelling", "nsfw"] == "Storytelling for adults"

    def test_placeholders_for_long_texts_are_taken_out(self, adopted: Connection) -> None:
        rows = adopted.execute(
            "select system_prompt from prompt_templates where use_case = 'roleplay'"
        ).fetchall()
        texts = " ".join(row["system_prompt"] for row in rows)
        assert "{{character_description}}" not in texts
        assert "(see below)" in texts
        assert "{{character_name}}" in texts

    def test_only_whole_placeholders_are_taken_out(self, adopted: Connection) -> None:
        written = "{{Mood}} {{ Character_Goals }}, {{scene_context}}{{user_persona}} {x {{mood"
        read = one(adopted, "select private.translated_template(%s) as text", written)["text"]
        assert read == "{{Mood}} (see below), (see below)(see below) {x {{mood"

    def test_template_for_one_model_is_that_models(self, adopted: Connection) -> None:
        family = one(
            adopted,
            "select t.model_family from prompt_templates t"
            " join public.api_models m on m.model_key = t.model_family limit 1",
        )["model_family"]
        model = one(
            adopted,
            "select model_family from api_models where model_key = %s and task = 'roleplay'",
            family,
        )
        assert model["model_family"] == family


class TestSettings:
    def config(self, adopted: Connection) -> dict[str, Any]:
        config: dict[str, Any] = one(adopted, "select config from system_config")["config"]
        return config

    def test_worker_that_registered_itself_is_not_called(self, adopted: Connection) -> None:
        config = self.config(adopted)
        assert config["chatWorkerUrl"] is None
        assert config["workerRefused"].startswith("https://worker.example.com")

    @pytest.mark.parametrize(
        ("hosts", "is_called"),
        [
            ('["worker.example.com"]', True),
            ('["*.example.com"]', True),
            ('["example.com"]', False),
            ('["*.worker.example.com"]', False),
            ('["orker.example.com"]', False),
            ('"worker.example.com"', False),
            ("[]", False),
        ],
    )
    def test_worker_on_a_host_that_is_named_is_called(
        self, adopted: Connection, hosts: str, is_called: bool
    ) -> None:
        with adopted.transaction(force_rollback=True):
            adopted.execute(
                "update private.system_settings"
                " set config = config || jsonb_build_object('workerHosts', %s::jsonb)",
                [hosts],
            )
            assert bool(self.config(adopted)["chatWorkerUrl"]) is is_called

    @pytest.mark.parametrize(
        "url", ["http://worker.example.com", "https://worker.example.com@evil.example", "", "x"]
    )
    def test_other_spellings_of_a_named_host_are_not_called(
        self, adopted: Connection, url: str
    ) -> None:
        with adopted.transaction(force_rollback=True):
            adopted.execute(
                'update private.system_settings set config = config || \'{"workerHosts":'
                ' ["worker.example.com", "evil.example"]}\''
            )
            adopted.execute(
                "update public.system_config"
                " set config = config || jsonb_build_object('chatWorkerUrl', %s::text)",
                [url],
            )
            assert self.config(adopted)["chatWorkerUrl"] is None

    def test_health_is_copied_and_nothing_else_is_touched(self, adopted: Connection) -> None:
        with adopted.transaction(force_rollback=True):
            before = one(adopted, "select config from public.system_config")["config"]
            record = '{"isHealthy": true, "lastChecked": "2999-01-01T00:00:00+00:00"}'
            records = f'{{"chatWorker": {record}}}'
            adopted.execute("select public.record_worker_health(%s::jsonb)", [records])
            after = one(adopted, "select config from public.system_config")["config"]
            assert after["workerHealthCache"]["chatWorker"]["isHealthy"] is True
            del before["workerHealthCache"], after["workerHealthCache"]
            assert after == before


class TestFacts:
    def test_key_facts_become_pinned_facts_once(self, adopted: Connection) -> None:
        rows = adopted.execute(
            "select f.content, f.pinned, f.written_by, m.tier, m.conversation_id"
            " from public.memory_facts f join public.memories m on m.id = f.memory_id"
            " where m.conversation_id = 'bbbbbbbb-0000-4000-8000-000000000012'"
        ).fetchall()
        assert [(row["content"], row["pinned"], row["written_by"]) for row in rows] == [
            ("Robin owes Mara a compass.", True, "person")
        ]

    def test_first_summaries_of_long_conversations_are_spread(self, adopted: Connection) -> None:
        rows = adopted.execute(
            "select conversation_id, not_before > now() as waits,"
            " not_before < now() + interval '3 days' as ends from public.conversation_summaries"
        ).fetchall()
        assert [str(row["conversation_id"])[-2:] for row in rows] == ["16"]
        assert (rows[0]["waits"], rows[0]["ends"]) == (True, True)
