"""How important a fact is, by its words."""

from __future__ import annotations

import json

import pytest

from roleplay_chat.memory.answer import parse
from roleplay_chat.memory.importance import importance_of
from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.noted_facts import Fact, is_for_all


@pytest.mark.parametrize(
    ("text", "importance"),
    [
        ("Ada's sister is called Tilda.", 5),
        ("Mara promised to wait for Ada.", 5),
        ("Ada does not want to be touched.", 5),
        ("Ada is allergic to nuts.", 5),
        ("The boat is named Petrel.", 5),
        ("Ada's limits are blood and knives.", 5),
        ("Knives are a hard limit of Ada's.", 5),
        ("Ada has two boundaries.", 5),
        ("Ada has three nephews.", 5),
        ("Ada's uncles sail.", 5),
        ("Ada has a grandson, Max.", 5),
        ("Ada's granddaughter paints.", 5),
        ("Ada's grandma bakes.", 5),
        ("Tom is Ada's grandpa.", 5),
        ("Ada's stepfather drinks.", 5),
        ("Tom is Ada's half-brother.", 5),
        ("Ada's sister-in-law sails.", 5),
        ("Ada has two brothers-in-law.", 5),
        ("Ada's in-laws are rich.", 5),
        ("Ada and Tom are twins.", 5),
        ("Jon is Ada's fiancé.", 5),
        ("Eva is Ada's fiancée.", 5),
        ("Ada's spouse is a sailor.", 5),
        ("Ada's ex-wife left.", 5),
        ("Ada is a widow.", 5),
        ("Ada was widowed.", 5),
        ("Ada's nickname is Addie.", 5),
        ("Ada goes by Addie.", 5),
        ("Ada wants to be called Captain.", 5),
        ("Ada's real name is Adelheid.", 5),
        ("Ada's mother was named Tilda.", 5),
        ("Mara pledged to wait.", 5),
        ("Mara vowed to wait.", 5),
        ("Mara swore to wait.", 5),
        ("Mara gave her word to wait.", 5),
        ("Mara gave Ada her word to wait.", 5),
        ("Ada asked Mara to skip scenes with spiders.", 5),
        ("Ada wants no spiders in this story.", 5),
        ("Mara agreed never to sell it.", 5),
        ("Ada does not consent to that.", 5),
        ("Ada never wants to be woken.", 5),
        ("Ada refuses to be tied.", 5),
        ("Ada hates being tickled.", 5),
        ("Ada must not be woken.", 5),
        ("Ada should never be woken.", 5),
        ("Knives are a no-go for Ada.", 5),
        ("Her room is off limits.", 5),
        ("Ada wants no stories with spiders.", 5),
        ("Ada asked Mara not to mention Odessa.", 5),
        ("Ada has a phobia of gulls.", 5),
        ("Ada has arachnophobia.", 5),
        ("Ada has an allergy.", 5),
        ("Ada is lactose intolerant.", 5),
        ("Ada takes medication.", 5),
        ("Ada is pregnant.", 5),
        ("Ada is diabetic.", 5),
        ("Ada is the user's name.", 5),
        ("Her name's Ada.", 5),
        ("Call her Captain.", 5),
        ("Ada prefers the name Addie.", 5),
        ("Ada introduces herself as Addie.", 5),
        ("Ada is known as the Heron.", 5),
        ("Ada is nonbinary.", 5),
        ("Tom is Ada's ex.", 5),
        ("Ada's partner is Kim.", 5),
        ("Ada has a baby.", 5),
        ("Mara will always wait for Ada.", 5),
        ("Mara assured Ada that she would come back.", 5),
        ("Mara guaranteed to return.", 5),
        ("Mara owes Ada a dance.", 5),
        ("Ada and Mara agreed to meet on Sunday.", 5),
        ("Ada has a hard no on knives.", 5),
        ("Ada does not do knife play.", 5),
        ("Ada is not okay with blood.", 5),
        ("Ada prefers not to talk about the war.", 5),
        ("No spiders in the story, Ada asked.", 5),
        ("Ada wants spiders left out.", 5),
        ("Ada can't handle spiders in the story.", 5),
        ("Ada dislikes being touched.", 5),
        ("Ada hates when people touch her neck.", 5),
        ("Do not mention the war to Ada.", 5),
        ("Avoid gore with Ada.", 5),
        ("Never call Ada by her last name.", 5),
        ("Ada's red line is gore.", 5),
        ("Violence is a dealbreaker for Ada.", 5),
        ("Ada is vegan.", 5),
        ("Ada is deaf.", 5),
        ("Ada uses a wheelchair.", 5),
        ("Ada has PTSD from the war.", 5),
        ("Ada stops at kissing.", 5),
        ("Kissing is as far as Ada goes.", 5),
        ("Ada is scared of being tied up.", 5),
        ("Ada said stop means stop.", 5),
        ("Ada's stop word is red.", 5),
        ("Adas Schwester heißt Tilda.", 5),
        ("Ada will nicht geweckt werden.", 5),
        ("Mara hat versprochen zu warten.", 5),
        ("Adas Sicherheitswort ist Donner.", 5),
        ("La sœur d'Ada s'appelle Tilda.", 5),
        ("Ada ne veut pas être réveillée.", 5),
        ("La hermana de Ada vive en Roma.", 5),
        ("Ada no quiere hablar de la guerra.", 5),
        ("Mara prometió esperar.", 5),
        ("O irmão de Ada mora em Roma.", 5),
        ("Ada não quer ser acordada.", 5),
        ("La sorella di Ada vive a Roma.", 5),
        ("Ada non vuole essere svegliata.", 5),
        ("Сестру Ады зовут Тильда.", 5),
        ("Ада не хочет говорить о войне.", 5),
        ("Мара обещала ждать.", 5),
        ("アダの妹は医者だ。", 5),
        ("マラは待つと約束した。", 5),
        ("アダは起こされたくない。", 5),
        ("No spiders, please.", 5),
        ("Please, no spiders.", 5),
        ("Ada is kind.", 3),
        ("No two days are alike in Oslo.", 3),
        ("The boat passed Prometheus Point.", 3),
        ("Mari likes tea.", 3),
        ("Tom is Ada's business partner.", 3),
        ("Ada is off to the market.", 3),
        ("Ada is fine with blood.", 3),
        ("Ada handles knives well.", 3),
        ("Ada calls her boat often.", 3),
        ("Ada wohnt in Paris.", 3),
        ("Ada has never seen snow.", 3),
        ("Ada never eats breakfast.", 3),
        ("The speed limit is 50.", 3),
        ("Ada limited her wine.", 3),
        ("Ada refused the tea.", 3),
        ("Ada swears like a sailor.", 3),
        ("Ada hates rain.", 3),
        ("Ada wants tea.", 3),
        ("Ada calls Tom often.", 3),
        ("Ada agreed with Tom.", 3),
        ("Ada is engaged in her work.", 3),
        ("Ada lost her word list.", 3),
        ("Ada may come.", 3),
        ("It may not rain.", 3),
        ("Ada asked Mara to come.", 3),
        ("Ada likes tea.", 3),
        ("The sun set late.", 3),
    ],
)
def test_names_family_promises_and_limits_last_where_a_model_says_nothing(
    text: str, importance: int
) -> None:
    assert importance_of(text) == importance
    answer = json.dumps({"summary": "S.", "facts": [{"tier": "profile", "text": text}]})
    written = parse(answer, reach="profile")
    assert written is not None
    assert written.facts[0].importance == importance


FOREIGN = {
    "German": {
        "family": "Adas Bruder wohnt in Rom.",
        "name": "Adas Hund heißt Rex.",
        "promise": "Mara verspricht zu warten.",
        "limit": "Ada will in der Geschichte keine Spinnen.",
        "order": "Bitte keine Spinnen.",
        "secret": "Ada will nicht, dass Tomas von dem Brief erfährt.",
        "trivial": "Ada trinkt am Morgen Tee.",
    },
    "French": {
        "family": "Le frère d'Ada habite à Rome.",
        "name": "Le chien d'Ada s'appelle Rex.",
        "promise": "Mara a promis d'attendre.",
        "limit": "Ada n'aime pas qu'on la touche.",
        "order": "Pas d'araignées, s'il te plaît.",
        "secret": "Ada ne veut pas que Tomas sache cela.",
        "trivial": "Ada boit du thé le matin.",
    },
    "Spanish": {
        "family": "El tío de Ada vive en Roma.",
        "name": "El perro de Ada se llama Rex.",
        "promise": "Mara ha prometido esperar.",
        "limit": "Ada pide que no haya arañas.",
        "order": "Sin arañas, por favor.",
        "secret": "Ada no quiere que Tomas sepa eso.",
        "trivial": "Ada bebe té por la mañana.",
    },
    "Portuguese": {
        "family": "O neto de Ada mora em Roma.",
        "name": "O cão de Ada chama-se Rex.",
        "promise": "Mara prometeu esperar.",
        "limit": "Ada não gosta de ser tocada.",
        "order": "Sem aranhas, por favor.",
        "secret": "Ada não quer que Tomas saiba disso.",
        "trivial": "Ada bebe chá de manhã.",
    },
    "Italian": {
        "family": "Il cugino di Ada vive a Roma.",
        "name": "Il cane di Ada si chiama Rex.",
        "promise": "Mara ha promesso di aspettare.",
        "limit": "Ada chiede di non parlare di ragni.",
        "order": "Niente ragni, per favore.",
        "secret": "Ada non vuole che Tomas sappia questo.",
        "trivial": "Ada beve il tè al mattino.",
    },
    "Russian": {
        "family": "Дядя Ады живёт в Риме.",
        "name": "Собаку Ады зовут Рекс.",
        "promise": "Мара дала слово ждать.",
        "limit": "Ада просит не писать о пауках.",
        "order": "Без пауков, пожалуйста.",
        "secret": "Ада не хочет, чтобы Томас узнал об этом.",
        "trivial": "Ада пьёт чай по утрам.",
    },
    "Dutch": {
        "family": "De broer van Ada woont in Rome.",
        "name": "De hond van Ada heet Rex.",
        "promise": "Mara heeft beloofd te wachten.",
        "limit": "Ada wil in het verhaal geen spinnen.",
        "order": "Geen spinnen, alsjeblieft.",
        "secret": "Ada wil niet dat Tomas het weet.",
        "trivial": "Ada drinkt 's ochtends thee.",
    },
    "Swedish": {
        "family": "Adas bror bor i Rom.",
        "name": "Adas hund heter Rex.",
        "promise": "Mara har lovat att vänta.",
        "limit": "Ada vill inte ha spindlar i berättelsen.",
        "order": "Inga spindlar, tack.",
        "secret": "Ada vill inte att Tomas får veta det.",
        "trivial": "Ada dricker te på morgonen.",
    },
    "Danish": {
        "family": "Adas søster bor i Rom.",
        "name": "Adas hund hedder Rex.",
        "promise": "Mara har lovet at vente.",
        "limit": "Ada vil ikke have edderkopper i historien.",
        "order": "Ingen edderkopper, tak.",
        "secret": "Ada vil ikke have, at det er en hemmelighed.",
        "trivial": "Ada drikker te om morgenen.",
    },
    "Finnish": {
        "family": "Adan veli asuu Roomassa.",
        "name": "Adan koiran nimi on Rex.",
        "promise": "Mara lupasi odottaa.",
        "limit": "Ada ei halua hämähäkkejä tarinaan.",
        "secret": "Ada ei halua, että Tomas tietää siitä.",
        "trivial": "Ada juo aamulla teetä.",
    },
    "Hungarian": {
        "family": "Ada bátyja Rómában él.",
        "name": "Ada kutyáját Rexnek hívják.",
        "promise": "Mara megígérte, hogy vár.",
        "limit": "Ada nem akar pókokat a történetben.",
        "secret": "Ada nem akarja, hogy Tomas tudja.",
        "trivial": "Ada reggel teát iszik.",
    },
    "Romanian": {
        "family": "Fratele Adei locuiește la Roma.",
        "name": "Câinele Adei se numește Rex.",
        "promise": "Mara a promis că așteaptă.",
        "limit": "Ada nu vrea păianjeni în poveste.",
        "order": "Fără păianjeni, te rog.",
        "secret": "Ada nu vrea ca Tomas să afle.",
        "trivial": "Ada bea ceai dimineața.",
    },
    "Turkish": {
        "family": "Ada'nın kardeşi Roma'da oturuyor.",
        "name": "Ada'nın köpeğinin adı Rex.",
        "promise": "Mara beklemeye söz verdi.",
        "limit": "Ada hikâyede örümcek istemiyor.",
        "secret": "Ada, Tomas'ın öğrenmesini istemiyor.",
        "trivial": "Ada sabahları çay içiyor.",
    },
    "Greek": {
        "family": "Ο αδερφός της Άντα μένει στη Ρώμη.",
        "name": "Τον σκύλο της Άντα τον λένε Ρεξ.",
        "promise": "Η Μάρα υποσχέθηκε να περιμένει.",
        "limit": "Η Άντα δεν θέλει αράχνες στην ιστορία.",
        "secret": "Η Άντα δεν θέλει να το μάθει ο Τομάς.",
        "trivial": "Η Άντα πίνει τσάι το πρωί.",
    },
    "Japanese": {
        "family": "アダの妹はローマに住んでいる。",
        "name": "アダの犬の名前はレックスだ。",
        "promise": "マラは待つと約束した。",
        "limit": "アダは触られたくない。",
        "secret": "アダはトマスに知られたくない。",
        "trivial": "アダは朝にお茶を飲む。",
    },
    "Chinese": {
        "family": "艾达的哥哥住在罗马。",
        "name": "艾达的狗名叫雷克斯。",
        "promise": "玛拉答应等她。",
        "limit": "艾达不想在故事里看到蜘蛛。",
        "secret": "艾达不想让托马斯知道这件事。",
        "trivial": "艾达早上喝茶。",
    },
    "Korean": {
        "family": "에이다의 오빠는 로마에 산다.",
        "name": "에이다의 개 이름은 렉스다.",
        "promise": "마라는 기다리겠다고 약속했다.",
        "limit": "에이다는 거미를 원하지 않는다.",
        "secret": "에이다는 토마스가 알게 되기를 원하지 않는다.",
        "trivial": "에이다는 아침에 차를 마신다.",
    },
    "Arabic": {
        "family": "أخت آدا تسكن في روما.",
        "name": "كلب آدا يدعى ركس.",
        "promise": "وعدت مارا بالانتظار.",
        "limit": "آدا لا تريد عناكب في القصة.",
        "secret": "آدا لا تريد أن يعرف توماس.",
        "trivial": "تشرب آدا الشاي في الصباح.",
    },
    "Hindi": {
        "family": "आडा का भाई रोम में रहता है।",
        "name": "आडा के कुत्ते का नाम रेक्स है।",
        "promise": "मारा ने इंतज़ार करने का वादा किया।",
        "limit": "आडा कहानी में मकड़ियाँ नहीं चाहती।",
        "secret": "आडा नहीं चाहती कि टॉमस को पता चले।",
        "trivial": "आडा सुबह चाय पीती है।",
    },
    "Polish": {
        "family": "Siostra Ady mieszka w Rzymie.",
        "name": "Pies Ady nazywa się Rex.",
        "promise": "Mara obiecała czekać.",
        "limit": "Ada nie chce pająków w opowieści.",
        "secret": "Ada nie chce, żeby Tomas się dowiedział.",
        "trivial": "Ada pije rano herbatę.",
    },
    "Czech": {
        "family": "Bratr Ady bydlí v Římě.",
        "name": "Pes Ady se jmenuje Rex.",
        "promise": "Mara slíbila čekat.",
        "limit": "Ada nechce v příběhu pavouky.",
        "secret": "Ada nechce, aby se to Tomas dozvěděl.",
        "trivial": "Ada pije ráno čaj.",
    },
    "Ukrainian": {
        "family": "Донька Ади живе в Римі.",
        "name": "Собаку Ади звати Рекс.",
        "promise": "Мара обіцяла чекати.",
        "limit": "Ада не хоче павуків в історії.",
        "secret": "Ада не хоче, щоб Томас дізнався про це.",
        "trivial": "Ада п'є вранці чай.",
    },
    "Vietnamese": {
        "family": "Em trai của Ada sống ở Rome.",
        "name": "Con chó của Ada được gọi là Rex.",
        "promise": "Mara hứa sẽ đợi.",
        "limit": "Ada không muốn có nhện trong truyện.",
        "secret": "Ada không muốn Tomas biết điều đó.",
        "trivial": "Ada uống trà vào buổi sáng.",
    },
    "Indonesian": {
        "family": "Adik Ada tinggal di Roma.",
        "name": "Anjing Ada bernama Rex.",
        "promise": "Mara berjanji menunggu.",
        "limit": "Ada tidak mau ada laba-laba dalam cerita.",
        "secret": "Ada tidak mau Tomas mengetahui hal itu.",
        "trivial": "Ada minum teh di pagi hari.",
    },
    "Thai": {
        "family": "น้องชายของเอด้าอยู่ที่โรม",
        "name": "หมาของเอด้าชื่อเร็กซ์",
        "promise": "มาราสัญญาว่าจะรอ",
        "limit": "เอด้าไม่อยากให้มีแมงมุมในเรื่อง",
        "secret": "เอด้าไม่อยากให้โทมัสรู้เรื่องนี้",
        "trivial": "เอด้าดื่มชาตอนเช้า",
    },
    "Hebrew": {
        "family": "לעדה יש אח ברומא.",
        "name": "הכלב של עדה, שמו רקס.",
        "promise": "מרה הבטיחה לחכות.",
        "limit": "עדה לא רוצה עכבישים בסיפור.",
        "secret": "עדה לא רוצה שתומאס יידע.",
        "trivial": "עדה שותה תה בבוקר.",
    },
}
"""What a model notes in other languages. "order" is what a person writes."""


@pytest.mark.parametrize("language", FOREIGN)
def test_what_lasts_is_known_in_other_languages(language: str) -> None:
    told = dict(FOREIGN[language])
    trivial = told.pop("trivial")
    assert {word: importance_of(text) for word, text in told.items()} == dict.fromkeys(told, 5)
    assert importance_of(trivial) == 3
    assert kinds_of(told["family"]) == {"family"}
    assert kinds_of(told["promise"]) == {"promise"}


@pytest.mark.parametrize(
    "text",
    [
        "딸기를 좋아한다",  # strawberries
        "그는 초대를 받아들였다",  # accepted
        "أكلت الدجاج أخيرا في موعد",  # chicken, finally, appointment
        "वह मांस खाती है",  # meat
        "राष्ट्रपति को इनाम मिला",  # president, prize
        "她去过墨西哥，见了一位小姐",  # Mexico, young lady
        "大丈夫です",  # all right
        "Adalla on oma vene",  # her own
        "Ada har en enkel båt",  # simple
        "De soep is heet.",  # hot
        "Hun vil løfte stenen.",  # lift
        "Ada wurde gelobt.",  # praised
        "El peso neto es bajo",  # net
        "Zia and Captain Sisko like tea.",
        "Adi likes tea.",
        "Ada dün çok sinirlendi.",  # angry
        "Tom is a spoiled brat.",
        "แม่น้ำไหลเร็ว",  # the river
        "เธอรู้สึกเหนื่อย",  # feels tired
        "เธอเชื่อเขา",  # believes him
        "แม่มดอยู่ในป่า",  # the witch
        "พ่อมดอยู่ในหอคอย",  # the wizard
        "คุณตามเธอไป",  # you follow her
        "Дружина князя стояла у реки.",  # the prince's men
        "Родина Ады далеко.",  # home country
        "Adan matka Roomaan kesti viikon.",  # journey
        "Jakarta adalah ibu kota.",  # capital
        "הנשמה שלה שקטה.",  # her soul
    ],
)
def test_words_that_look_like_those_of_another_language_matter_no_more(text: str) -> None:
    assert kinds_of(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "Ada is allergic to Dijon mustard.",
        "Ada wants no saber fights in the story.",
        "Ada does not want to be called Sir.",
        "Ada sagt, dass sie keine Spinnen will.",
        "Ada says that she wants no spiders.",
    ],
)
def test_limit_is_for_all_where_nothing_was_confided(text: str) -> None:
    assert is_for_all(Fact(tier="character", text=text, importance=importance_of(text)))


@pytest.mark.parametrize("language", FOREIGN)
def test_limits_are_for_all_and_secrets_are_not(language: str) -> None:
    told = FOREIGN[language]
    are_for_all = {
        word: is_for_all(Fact(tier="character", text=text, importance=importance_of(text)))
        for word, text in told.items()
    }
    assert are_for_all == {word: word in ("limit", "order") for word in told}
