"""Limits and promises that somebody takes back, and sentences that only look like it."""

from __future__ import annotations

from time import process_time

import pytest

from roleplay_chat.memory.comparison import Words
from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.material import Material
from roleplay_chat.memory.permissions import is_permitted
from tests.support.memory_rows import known

PERSONS = {
    "А": "Ада",
    "Η": "Άντα",
    "艾": "艾达",
    "ア": "アダ",
    "에": "에이다",
    "آ": "آدا",
    "ए": "एडा",
}
"""By the first letter of a fact, in its script."""


def is_over(old: str, said: str) -> bool:
    """Whether a message says that a fact no longer holds."""
    person = PERSONS.get(old[0], "Ada")
    material = Material(known(old), [(1, said)], person=person, character="Mara")
    return material.tells_end(Words(old), 1)


GERMAN = "Ada will nicht geküsst werden."
FRENCH = "Ada ne veut pas être embrassée."
SPANISH = "Ada no quiere ser besada."
PORTUGUESE = "Ada não quer ser beijada."
ITALIAN = "Ada non vuole essere baciata."
RUSSIAN = "Ада не хочет, чтобы её целовали."
DUTCH = "Ada wil niet gezoend worden."
SWEDISH = "Ada vill inte bli kysst."
DANISH = "Ada vil ikke kysses."
NORWEGIAN = "Ada vil ikke bli kysset."
FINNISH = "Ada ei halua, että häntä suudellaan."
ROMANIAN = "Ada nu vrea să fie sărutată."
JAPANESE = "アダはキスされたくない。"
CHINESE = "艾达不想被吻。"
KOREAN = "에이다는 키스를 원하지 않는다."

TAKEN_BACK = (
    ("Ada must not be called Bob.", "You may call me Bob again."),
    ("Ada does not want to be called Bob.", "You can call me Bob, I like it."),
    ("Ada does not want spiders in the story.", "I don't mind spiders any more."),
    (GERMAN, "Du darfst mich wieder küssen."),
    (GERMAN, "Jetzt darfst du mich küssen!"),
    (GERMAN, "Ich hatte Angst. Mara, du darfst mich jetzt küssen. Komm her."),
    ("Ada darf nicht Adelheid genannt werden.", "Du darfst mich wieder Adelheid nennen."),
    ("Ada möchte nicht angefasst werden.", "Ihr dürft mich wieder anfassen."),
    ("Ada will nicht, dass ihre Narbe berührt wird.", "Du darfst meine Narbe berühren."),
    ("Ada möchte keine Spinnen in der Geschichte.", "Ich habe nichts mehr gegen Spinnen."),
    ("Ada will keine Spinnen.", "Spinnen machen mir nichts mehr aus."),
    ("Ada will keine Spinnen.", "Ada hat nichts mehr gegen Spinnen."),
    (
        "Mara hat versprochen, am Pier zu warten.",
        "Ich nehme mein Versprechen zurück, am Pier zu warten.",
    ),
    (FRENCH, "Tu peux m'embrasser de nouveau."),
    (FRENCH, "Tu as le droit de m’embrasser maintenant."),
    ("Ada ne veut pas être appelée Bob.", "Tu peux encore m'appeler Bob."),
    ("Ada ne veut pas d'araignées.", "Les araignées ne me dérangent plus."),
    ("Mara a promis d'attendre.", "Je retire ma promesse d'attendre."),
    (SPANISH, "Ya puedes volver a besarme."),
    ("Ada no quiere que la llamen Bob.", "Puedes llamarme Bob otra vez."),
    ("Ada no quiere arañas en la historia.", "Las arañas ya no me molestan."),
    ("Ada no quiere arañas en la historia.", "Ya no me molestan las arañas."),
    (PORTUGUESE, "Podes beijar-me de novo."),
    ("Ada não quer aranhas.", "Já não tenho nada contra aranhas."),
    (ITALIAN, "Adesso puoi baciarmi di nuovo."),
    ("Ada non vuole ragni nella storia.", "I ragni non mi danno più fastidio."),
    (RUSSIAN, "Ты можешь снова меня целовать."),
    ("Ада не хочет, чтобы её звали Бобом.", "Можешь опять звать меня Бобом."),
    ("Ада не хочет пауков в истории.", "Я больше не против пауков."),
    (DUTCH, "Je mag me weer zoenen."),
    ("Ada wil geen spinnen in het verhaal.", "Ik heb niets meer tegen spinnen."),
    (SWEDISH, "Du får kyssa mig igen."),
    ("Ada vill inte ha spindlar.", "Jag har inget längre emot spindlar."),
    (DANISH, "Du må gerne kysse mig igen."),
    (NORWEGIAN, "Du kan kysse meg igjen."),
    (FINNISH, "Saat taas suudella minua."),
    ("Ada ei halua hämähäkkejä tarinaan.", "Hämähäkit eivät enää häiritse minua."),
    ("Ada nem akar pókokat.", "Már nem zavarnak a pókok."),
    (ROMANIAN, "Poți să mă săruți din nou."),
    ("Ada nu vrea păianjeni în poveste.", "Păianjenii nu mă mai deranjează."),
    ("Ada hikâyede örümcek istemiyor.", "Örümcekler artık beni rahatsız etmiyor."),
    ("Η Άντα δεν θέλει αράχνες.", "Δεν με πειράζουν πια οι αράχνες."),
    (JAPANESE, "またキスしてもいいよ。"),
    ("アダはボブと呼ばれたくない。", "またボブと呼んでもいいよ。"),
    (CHINESE, "你现在可以吻我了。"),
    ("艾达不想被叫做小艾。", "你又可以叫我小艾了。"),
    ("艾达不想要蜘蛛。", "我已经不再介意蜘蛛了。"),
    (KOREAN, "이제 다시 키스해도 돼."),
    ("آدا لا تريد العناكب.", "لا أمانع العناكب الآن."),
    ("एडा कहानी में मकड़ियाँ नहीं चाहती।", "अब मुझे मकड़ियों से कोई दिक्कत नहीं है।"),
)

STANDING = (
    # A condition, also after a comma or as the next sentence.
    ("Ada does not want to be kissed.", "You can kiss me, if Tom agrees."),
    ("Ada does not want to be kissed.", "You can kiss me, but not on the neck."),
    ("Ada does not want to be kissed.", "You can kiss me but only once."),
    ("Ada does not want to be kissed.", "You can kiss me. Only once, though."),
    (GERMAN, "Du darfst mich küssen, wenn Tom einverstanden ist."),
    (GERMAN, "Du darfst mich küssen. Aber nur auf die Hand."),
    (GERMAN, "Wenn wir allein sind, darfst du mich küssen."),
    (FRENCH, "Tu peux m'embrasser si Tom est d'accord."),
    (FRENCH, "Tu peux m'embrasser. Mais pas ici."),
    (SPANISH, "Puedes besarme si quieres."),
    (RUSSIAN, "Можешь меня целовать, если Том не против."),
    (RUSSIAN, "Можешь меня целовать. Но только в щёку."),
    (SWEDISH, "Du får kyssa mig om Tom vill."),
    (CHINESE, "如果汤姆同意，你可以吻我。"),
    # A question.
    ("Ada does not want to be kissed.", "You can kiss me now?"),
    (GERMAN, "Jetzt darfst du mich küssen?"),
    (FRENCH, "Tu peux m'embrasser ?"),
    (SPANISH, "¿Puedes besarme?"),
    (RUSSIAN, "Можно меня целовать?"),
    (JAPANESE, "キスしてもいい？"),
    (JAPANESE, "キスしてもいいの。"),
    (CHINESE, "你可以吻我吗"),
    # A denial.
    (GERMAN, "Du darfst mich nicht küssen."),
    (GERMAN, "Du darfst mich nie wieder küssen."),
    (FRENCH, "Tu ne peux pas m'embrasser."),
    (SPANISH, "No puedes besarme."),
    (PORTUGUESE, "Não podes beijar-me."),
    (ITALIAN, "Non puoi baciarmi."),
    (RUSSIAN, "Меня нельзя целовать."),
    (RUSSIAN, "Ты не можешь меня целовать."),
    (DUTCH, "Je mag me niet zoenen."),
    (SWEDISH, "Du får inte kyssa mig."),
    (DANISH, "Du må ikke kysse mig."),
    (FINNISH, "Et saa suudella minua."),
    (ROMANIAN, "Nu poți să mă săruți."),
    (JAPANESE, "キスしてはいけない。"),
    (CHINESE, "你不可以吻我。"),
    (KOREAN, "키스하면 안 돼."),
    ("Ada will keine Spinnen.", "Ich habe etwas gegen Spinnen."),
    ("Ада не хочет пауков.", "Я против пауков."),
    ("Ada no quiere arañas.", "Las arañas me molestan."),
    # Something else, or less than the limit.
    ("Ada must not be called Bob.", "You may call me again."),
    ("Ada must not be called Bob.", "You may call me Rob."),
    ("Ada does not want to hurt Bob.", "You may call Bob again."),
    (GERMAN, "Du darfst meine Hand küssen."),
    (GERMAN, "Du darfst mich wieder anrufen."),
    (FRENCH, "Tu peux embrasser ma main."),
    (SPANISH, "Puedes besar mi mano."),
    (ITALIAN, "Puoi baciarmi la mano."),
    (RUSSIAN, "Можешь поцеловать мне руку."),
    (JAPANESE, "手にキスしてもいいよ。"),
    (CHINESE, "你可以吻我的手。"),
    ("Ada darf nicht Adelheid genannt werden.", "Du darfst mich wieder Heidi nennen."),
    ("Ada will nicht gekitzelt oder geküsst werden.", "Du darfst mich küssen."),
    ("Ada möchte keine Spinnen oder Schlangen.", "Ich habe nichts mehr gegen Spinnen."),
    ("Ada ist allergisch gegen Nüsse.", "Du darfst meine Nüsse essen."),
    # Somebody else, or somebody else's words.
    (GERMAN, "Du darfst Mara küssen."),
    (GERMAN, "Du darfst sie küssen."),
    (GERMAN, "Tom sagt, du darfst mich küssen."),
    (GERMAN, "Niemand hat gesagt, du darfst mich küssen."),
    (FRENCH, "Tu peux l'embrasser."),
    (SPANISH, "Puedes besarla."),
    (ITALIAN, "Puoi baciarla."),
    (PORTUGUESE, "Podes beijá-la."),
    (RUSSIAN, "Можешь её целовать."),
    ("Tom will nicht geküsst werden.", "Du darfst mich küssen."),
    ("Ada will sich nicht ausziehen.", "Du darfst dich ausziehen."),
    # A promise is not taken back by a permission, nor by keeping another one.
    ("Mara hat versprochen, Ada zu küssen.", "Du darfst mich küssen."),
    (
        "Mara hat versprochen, am Pier zu warten.",
        "Ich nehme mein Versprechen zurück, Fisch zu kochen.",
    ),
    ("Mara hat versprochen, am Pier zu warten.", "Ich nehme mein Versprechen ernst."),
    # No limit.
    ("Ada küsst gern.", "Du darfst mich küssen."),
)


@pytest.mark.parametrize(("old", "said"), TAKEN_BACK)
def test_limit_or_promise_that_is_taken_back_is_over(old: str, said: str) -> None:
    assert is_over(old, said)


@pytest.mark.parametrize(("old", "said"), STANDING)
def test_what_only_looks_like_it_leaves_it(old: str, said: str) -> None:
    assert not is_over(old, said)


@pytest.mark.parametrize("old", dict.fromkeys(old for old, _ in TAKEN_BACK))
def test_they_are_limits_or_promises(old: str) -> None:
    assert kinds_of(old) & {"limit", "promise"}


@pytest.mark.parametrize("between", ["! -- ! ", " ... \n\n", "! \u2014 ? ! "])
def test_what_limits_a_permission_may_stand_behind_other_marks(between: str) -> None:
    said = f"Du darfst mich küssen.{between}Aber nur heute."
    assert not is_over("Ada will nicht geküsst werden.", said)


def test_many_marks_without_words_are_read_once() -> None:
    limit = Words("Ada will nicht geküsst werden.")
    begun = process_time()
    assert not is_permitted("Du darfst gehen." + " ,." * 8_000, limit, {"ada"})
    # Some hundredths; read again from each mark, half a minute.
    assert process_time() - begun < 3


@pytest.mark.parametrize("character", ["Alina", "Mara"])
def test_character_takes_back_their_own_limit_whatever_the_person_is_called(character: str) -> None:
    old = f"{character} does not want to be kissed."
    material = Material(
        known(old), [(1, "You can kiss me now.")], person="Al", character=character, of_person=()
    )
    assert material.tells_end(Words(old), 1)
