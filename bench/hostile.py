"""Measures how long a hostile request keeps others waiting, and how much memory it takes."""

import base64
import json
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from statistics import median
from typing import Any
from uuid import uuid4
from zlib import crc32

import httpx

from bench import load
from bench.environments import Environments
from bench.plan import Plan
from bench.programs import BENCH, Programs
from bench.surroundings import Person, Surroundings
from bench.systems import FUNCTION, TOKENS, System, start_function
from tests.support.stack import DEMO_CHARACTER

MARKS = "e" + "\u0323\u0301" * 32_000
"""Two kinds of combining marks, which normalising has to sort; as long as a message may be."""
SMALL_OBJECTS = b'{"action":"import_card","card":{"name":"a","x":[' + b"{}," * 2_700_000 + b"{}]}}"
LONG_NUMBERS = json.dumps(
    {
        "action": "import_card",
        "card_base64": base64.b64encode(
            b'{"name":"a","x":[' + b",".join([b"1" * 3_999] * 1_500) + b"]}"
        ).decode(),
    }
).encode()
FAULTS: Mapping[str, Mapping[str, object]] = {
    "stop": {"stop": [0] * 130_000},
    "messages": {"messages": [{}] * 87_000},
    "parts": {"messages": [{"role": "user", "content": [0] * 130_000}]},
}
"""Lists full of faults, in bodies of ordinary size."""
IMPORTS, EXPORTS = 6, 30
NEW_WORDS = count(10**6)
"""The numbers of words in disguise that were not sent before: an instance keeps what it read of a
word, so the same words cost less in every later sending."""
ORDINARY = "a hundred ordinary turns"


@dataclass(frozen=True)
class Wait:
    """How long others waited for their responses, in milliseconds."""

    count: int
    """The number of responses."""
    typical: float
    longest: float
    """The median, over all hostile requests, of the longest wait during each. A median, because the
    machine may delay any of them."""


@dataclass(frozen=True)
class Hostile:
    """Results by name of the input. Memory in bytes."""

    waits: Mapping[str, Wait]
    memory: Mapping[str, int]

    def longest_ms(self) -> float:
        """The longest wait of all inputs."""
        return max(wait.longest for name, wait in self.waits.items() if name != ORDINARY)

    def most_memory(self) -> int:
        """The largest memory peak of all inputs."""
        return max(self.memory.values())


def attack(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    plan: Plan,
    say: Callable[[str], None],
) -> Hostile:
    """Send each hostile input `plan.attacks` times."""
    waits, memory = {}, {}
    function = start_function(programs, environments, around, FUNCTION)
    around.use_upstream(TOKENS, 0)
    load.run(function.program.port, function.streamed, concurrency=4, tokens=TOKENS, turns=200)
    with _pings(function) as measure, httpx.Client(timeout=120, trust_env=False) as http:
        attacker = _Attacker(function, around, http)
        for name, send in attacker.inputs().items():
            send()  # warms the caches
            measure()
            waits[name] = _wait([_while(send, measure) for _ in range(plan.attacks)])
            say(f"{name}: others waited {waits[name].longest:.1f} ms")
    function.program.stop()
    for name, send_all in _FLOODS.items():
        function = start_function(programs, environments, around, FUNCTION)
        send_all(function, around)
        memory[name] = function.program.usage().peak
        say(f"{name}: {memory[name] / 1e6:.0f} MB")
        function.program.stop()
    return Hostile(waits, memory)


Pings = Mapping[str, float]
"""`count` of the responses, `p50` and `max` in milliseconds."""


def _while(send: Callable[[], object], measure: Callable[[], Pings]) -> Pings:
    measure()
    send()
    return measure()


def _wait(found: Sequence[Pings]) -> Wait:
    return Wait(
        count=round(sum(pings["count"] for pings in found)),
        typical=median(pings["p50"] for pings in found),
        longest=median(pings["max"] for pings in found),
    )


@contextmanager
def _pings(function: System) -> Iterator[Callable[[], Pings]]:
    """Start another client of the same instance; each call returns the pings since the last one."""
    command = ["node", str(BENCH / "node" / "ping.mjs"), str(function.program.port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as node:

        def measure() -> Pings:
            assert node.stdin
            assert node.stdout
            node.stdin.write("\n")
            node.stdin.flush()
            found: Pings = json.loads(node.stdout.readline())
            return found

        try:
            yield measure
        finally:
            node.terminate()


class _Attacker:
    """A signed-in user who sends hostile inputs."""

    def __init__(self, function: System, around: Surroundings, http: httpx.Client) -> None:
        self._function = function
        self._around = around
        self._http = http
        self._people = iter(around.people)

    def inputs(self) -> Mapping[str, Callable[[], object]]:
        """The hostile inputs by name."""
        return {
            ORDINARY: self._turns,
            "edit with 64,000 combining marks": self._edit(MARKS),
            "edit with 65,000 characters of words in disguise": self._edit(_disguised(65_000)),
            "message of 8,000 characters of new words in disguise": self._new_message(),
            "conversation of 2,000 messages of one letter": self._new_conversation,
            "request of OpenAI's API with 6,000 messages of one letter": self._completion,
            **{
                f"request of OpenAI's API with {name} full of faults": self._faults(faults)
                for name, faults in FAULTS.items()
            },
            "120 facts of 1,900 characters": self._facts(),
            "120 adult facts of 1,900 characters, in a turn for everybody": self._adult_facts(),
            "history of three messages of combining marks": self._history(MARKS),
            "recalled messages of 4,000 sentences": self._recalled(),
            "book entry of combining marks": self._book({"keys": ["a"], "content": MARKS}),
            "book entry after 240,000 blank lines": self._book(
                {"keys": ["a"], "content": "\n" * 240_000 + "x"}
            ),
            "book of 2,000 patterns": self._book(*_patterns()),
            "book of 49 phrases, each with another depth": self._deep_book(),
            "book of 49 entries full of dice": self._book(
                *[{"keys": ["a"], "content": "{{roll:99d999}}" * 60, "constant": True}] * 49
            ),
            "card full of macros": self._card("{{pick::a,b,c,d}}"),
            "card full of dice": self._card("{{roll:99d999}}"),
            "card in Thai, as long as possible": self._card("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35"),
            "import of 8 MB of small objects": lambda: self._post(SMALL_OBJECTS, 413),
            "import of the largest card": lambda: self._post(_largest_card(), 200),
            "import and export of the largest chat": self._chat,
            "import of a card with 1,500 numbers of 3,999 digits": (
                lambda: self._post(LONG_NUMBERS, 400)
            ),
            "provider: 40,000 pairs of tags in one event": self._upstream("tags"),
            "provider: 64 MB of a reply, compressed": self._upstream("gzip"),
            "provider: a line without an end": self._upstream("line"),
            "provider: a long reply in disguise, at once": self._upstream("words"),
            "provider: a long reply of new words, at once": self._upstream("newWords"),
            "provider: 4,000 events of new words, at once": self._upstream("newEvents"),
            "provider: 24,000 documents in one event": self._upstream("documents"),
            "provider: an error of 18,000 values": self._upstream("values"),
            "provider: an error with 120 numbers of 4,000 digits": self._upstream("digits"),
            "provider: 29 MB of reasoning, at once": self._upstream("reasoning"),
            "provider: reasoning of new words that is the reply": self._thinker("newWords"),
        }

    def _turns(self) -> None:
        port = self._function.program.port
        load.run(port, self._function.streamed, concurrency=4, tokens=TOKENS, turns=100)

    def _chat(self) -> None:
        """A chat of 8 MB with almost 10,000 messages, which is exported again."""
        person = next(self._people)
        lines = [{"name": "Ann", "is_user": True, "mes": "word " * 148}] * 9_900
        chat = "\n".join(map(json.dumps, lines))
        body = {"action": "import_chat", "character_id": str(DEMO_CHARACTER), "chat": chat}
        made = self._post(json.dumps(body).encode(), 200, person=person)
        body = {"action": "export_chat", "conversation_id": made["conversation_id"]}
        self._post(json.dumps(body).encode(), 200, person=person)

    def _edit(self, text: str) -> Callable[[], object]:
        body = {"action": "edit", "message_id": str(uuid4()), "message": text}
        return lambda: self._post(json.dumps(body, ensure_ascii=False).encode(), 404)

    def _new_message(self) -> Callable[[], object]:
        person = next(self._people)
        return lambda: self._turn(person, message=_disguised(8_000, NEW_WORDS))

    def _new_conversation(self) -> None:
        """A turn in a conversation that the instance does not know, after its first words."""
        person = next(self._people)
        self._say(person, [str(uuid4()), *["a"] * 1_999])
        self._turn(person)

    def _completion(self) -> None:
        messages = [
            {"role": ("user", "assistant")[number % 2], "content": words}
            for number, words in enumerate([str(uuid4()), *["a"] * 5_999, "Hello"])
        ]
        body = json.dumps({"model": str(DEMO_CHARACTER), "messages": messages})
        self._post(body.encode(), 200, path="/v1/chat/completions")

    def _faults(self, faults: Mapping[str, object]) -> Callable[[], object]:
        messages = [{"role": "user", "content": "Hello"}]
        request = {"model": str(DEMO_CHARACTER), "messages": messages, **faults}
        body = json.dumps(request, separators=(",", ":")).encode()
        return lambda: self._post(body, 400, path="/v1/chat/completions")

    def _facts(self) -> Callable[[], object]:
        """Each time others, which the person wrote."""
        person = next(self._people)

        def send() -> None:
            self._remember(person, [_disguised(1_900, NEW_WORDS) for _ in range(120)], "sfw")
            self._turn(person)

        return send

    def _adult_facts(self) -> Callable[[], object]:
        """Each time others, of a kind that is shown if nothing in them is sexual."""
        person = next(self._people)

        def send() -> None:
            words = (_disguised(1_880, NEW_WORDS) for _ in range(120))
            self._remember(person, [f"Ada promised {one}" for one in words], "nsfw")
            self._turn(person, content_tier="sfw")

        return send

    def _remember(self, person: Person, facts: Sequence[str], tier: str) -> None:
        """Replace what is known by these facts."""
        self._around.db.execute(
            "delete from memory_facts f using memories m"
            " where m.id = f.memory_id and m.user_id = %s",
            [person.user_id],
        )
        self._around.db.execute(
            "with remembered as (insert into memories (user_id, tier, conversation_id)"
            " values (%s, 'conversation', %s)"
            " on conflict (user_id, tier, conversation_id, character_id)"
            " do update set tier = excluded.tier returning id)"
            " insert into memory_facts (memory_id, content, pinned, content_tier)"
            " select id, words, true, %s from remembered, unnest(%s::text[]) words",
            [person.user_id, person.conversation_id, tier, list(facts)],
        )

    def _history(self, text: str) -> Callable[[], object]:
        person = next(self._people)
        self._around.db.execute(
            "insert into messages (conversation_id, sender, content)"
            " select %s, 'user', %s from generate_series(1, 3)",
            [person.conversation_id, text],
        )
        return lambda: self._turn(person)

    def _recalled(self) -> Callable[[], object]:
        person = next(self._people)
        said = [
            *(f"zebra {number} {'1. ' * 2_600}" for number in range(3)),
            *(f"Round {number} of dominoes. " * 40 for number in range(200)),
        ]
        self._say(person, said)
        return lambda: self._turn(person, message="zebra 1 ?")

    def _say(self, person: Person, said: Sequence[str]) -> None:
        self._around.db.execute(
            "insert into messages (conversation_id, sender, content)"
            " select %s, case n %% 2 when 1 then 'user' else 'character' end, words"
            " from unnest(%s::text[]) with ordinality said (words, n) order by n",
            [person.conversation_id, list(said)],
        )

    def _book(
        self, *entries: Mapping[str, Any], person: Person | None = None
    ) -> Callable[[], object]:
        person = person or next(self._people)
        book = {"entries": [{"enabled": True, **entry} for entry in entries]}
        character = str(uuid4())
        self._around.db.execute(
            "insert into characters (id, user_id, name, character_book) values (%s, %s, 'Ann', %s)",
            [character, person.user_id, json.dumps(book)],
        )
        self._around.db.execute(
            "update conversations set character_id = %s where id = %s",
            [character, person.conversation_id],
        )
        return lambda: self._turn(person, character_id=character, message="a word")

    def _deep_book(self) -> Callable[[], object]:
        person = next(self._people)
        self._say(person, [f"{number} {'мой дом ' * 20}" for number in range(100)])
        entries = [
            {
                "keys": [f"мой дом {number}"],
                "content": "x",
                "case_sensitive": number % 2 == 0,
                "extensions": {"scan_depth": 2 * number + 1},
            }
            for number in range(49)
        ]
        return self._book(*entries, person=person)

    def _card(self, text: str) -> Callable[[], object]:
        """A turn with a character whose texts consist of one, as long as they may be."""
        person = next(self._people)
        character = str(uuid4())
        long, short = (text * (chars // len(text)) for chars in (20_000, 8_000))
        self._around.db.execute(
            "insert into characters (id, user_id, name, description, personality, scenario,"
            " example_messages, system_prompt, post_history_instructions, depth_prompt)"
            " values (%(id)s, %(user)s, 'Ann', %(long)s, %(long)s, %(long)s, %(long)s, %(long)s,"
            " %(short)s, %(short)s)",
            {"id": character, "user": person.user_id, "long": long, "short": short},
        )
        self._around.db.execute(
            "update conversations set character_id = %s where id = %s",
            [character, person.conversation_id],
        )
        return lambda: self._turn(person, character_id=character, message="a word")

    def _upstream(self, name: str) -> Callable[[], object]:
        person = next(self._people)

        def send() -> None:
            self._around.db.execute("truncate model_cooldowns")
            address = f"{self._around.upstream.url}/{name}/v1"
            self._around.db.execute("update api_providers set base_url = %s", [address])
            try:
                self._turn(person)
            finally:
                self._around.use_upstream(TOKENS, 0)
                self._around.db.execute("truncate model_cooldowns")

        return send

    def _thinker(self, name: str) -> Callable[[], object]:
        """The same of a model whose reply begins in its reasoning."""
        send_to_others = self._upstream(name)
        thinks = "update api_models set capabilities = capabilities || %s"

        def send() -> None:
            self._around.db.execute(thinks, ['{"thinks_first": true}'])
            try:
                send_to_others()
            finally:
                self._around.db.execute(thinks, ['{"thinks_first": false}'])

        return send

    def _turn(self, person: Person, **more: str) -> None:
        turn = json.loads(self._around.turn(person, stream=False)["body"])
        body = turn | {"client_message_id": str(uuid4())} | more
        headers = {"Authorization": f"Bearer {person.token}"}
        answer = self._http.post(self._function.program.url, json=body, headers=headers)
        if answer.status_code >= 500 and answer.json()["code"] == "internal_error":
            raise RuntimeError(f"a fault of ours: {answer.text}")

    def _post(
        self, body: bytes, status: int, *, path: str = "", person: Person | None = None
    ) -> Any:
        headers = {"Authorization": f"Bearer {(person or next(self._people)).token}"}
        url = f"{self._function.program.url}{path}"
        answer = self._http.post(url, content=body, headers=headers)
        if answer.status_code != status:
            raise RuntimeError(f"expected {status}: {answer.text}")
        return answer.json()


def _disguised(chars: int, numbers: Iterable[int] = range(65_000)) -> str:
    words = (f"5@{number:x}|3!*" for number in islice(numbers, chars // 8))
    return " ".join(words)[:chars]


def _patterns() -> list[dict[str, Any]]:
    return [
        {"keys": [f"/(?:w{number}[a-z]*|x)+y$/i"], "content": "x", "use_regex": True}
        for number in range(2_000)
    ]


def _largest_card() -> bytes:
    """An import of the largest allowed card, in an image of the largest allowed size."""
    entries = [{"keys": [f"k{n}"], "content": "word " * 40, "n": n} for n in range(2_000)]
    data = {
        "name": "Ann",
        "first_mes": "Hi.",
        "character_book": {"entries": entries},
        "extensions": {"x": list(range(90_000)), "y": _disguised(500_000)},
    }
    card = json.dumps({"spec": "chara_card_v2", "spec_version": "2.0", "data": data}).encode()
    kept = [(b"tEXt", b"chara\0" + base64.b64encode(card)), (b"IDAT", bytes(3_000_000))]
    picture = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", crc32(kind + content))
        for kind, content in (*kept, (b"IEND", b""))
    )
    encoded = base64.b64encode(picture).decode()
    return json.dumps({"action": "import_card", "card_base64": encoded}).encode()


def _import(function: System, around: Surroundings, body: bytes) -> None:
    def send(person: Person) -> int:
        headers = {"Authorization": f"Bearer {person.token}"}
        url = function.program.url
        return httpx.post(
            url, content=body, headers=headers, timeout=120, trust_env=False
        ).status_code

    with ThreadPoolExecutor(IMPORTS) as pool:
        statuses = list(pool.map(send, around.people[-IMPORTS:]))
    if unexpected := {status for status in statuses if status not in (200, 413, 503)}:
        raise RuntimeError(f"imports were answered {unexpected}")


def _unread_exports(function: System, around: Surroundings) -> None:
    """Open connections that request a large card and do not read the response."""
    person = around.people[-1]
    _import(function, around, _largest_card())
    row = around.db.execute(
        "select id from characters where user_id = %s limit 1", [person.user_id]
    ).fetchall()[0]
    body = json.dumps({"action": "export_card", "character_id": str(row["id"]), "format": "png"})
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {person.token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with ExitStack() as stack:
        for _ in range(EXPORTS):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", function.program.port))
            client.sendall((head + body).encode())
        # A request that waited too long has been rejected, so nothing more will happen.
        client.settimeout(120)
        client.recv(1)


_FLOODS: Mapping[str, Callable[[System, Surroundings], None]] = {
    "nothing but one turn": lambda function, around: around.use_upstream(TOKENS, 0),
    f"{IMPORTS} imports at once, 8 MB of small objects each": lambda function, around: _import(
        function, around, SMALL_OBJECTS
    ),
    f"{IMPORTS} imports at once, the largest cards": lambda function, around: _import(
        function, around, _largest_card()
    ),
    f"{EXPORTS} exports at once that nobody reads": _unread_exports,
}
