"""The words by which people take back a limit or a promise in other languages than English, one
small table for each, as in `foreign_kinds`. Pure.

A limit that is lifted by mistake does more harm than one that stays. So the tables list what a
sentence may have beside the words of the limit: any other word makes it something else. So the
words for "not" and "if" need not be known.
"""

from typing import Literal

from roleplay_chat.memory.words import word_set

Part = Literal["permitted", "unminded", "released", "around", "empty", "articles", "others"]
"""`permitted` is "you may", `unminded` "I no longer mind", and `released` "I take back my promise",
as patterns. The others are words: those `around` what a fact forbids or promises; those that are
`empty` in a permission, and also the `articles` where something is minded no longer. A permission
of the pattern `others` is about somebody else: "besarla" is to kiss her.
"""

_GERMAN: dict[Part, str] = {
    "permitted": r"(?:du|ihr) (?:darfst|dürft|kannst|könnt)|(?:darfst du|dürft ihr)",
    "unminded": (
        r"(?:habe|hat) nichts (?:mehr )?gegen|mach(?:t|en) (?:mir|ihr|ihm) nichts mehr aus"
        r"|stör(?:t|en) (?:mich|sie|ihn) nicht mehr"
    ),
    "released": r"nehme (?:mein|das|dieses) versprechen (?:wieder )?zurück|nehme mein wort zurück",
    "around": """will wollte möchte darf soll sollte mag hasst verträgt erträgt nicht nie niemals
        kein keine keinen keinem keiner werden wird dass man sie ihr ihre ihren ihrer ihrem ihn ihm
        er es niemand jemand wenn genannt nennen nennt in der die das den dem geschichte szene bitte
        hat versprochen verspricht versprach zu""",
    "empty": """ja ich mich mir wieder jetzt nun inzwischen ab sofort gern gerne ruhig mein meine
        meinen meiner meinem nennen""",
    "articles": "die der den das",
}
_FRENCH: dict[Part, str] = {
    "permitted": r"(?:tu peux|vous pouvez|tu as le droit|vous avez le droit)(?: de\b| d')?",
    "unminded": (
        r"ne (?:me |m'|la |le |lui )dérange(?:nt)? plus|n'(?:ai|a) (?:plus )?rien contre"
        r"|ne (?:me |m')dérange(?:nt)? pas"
    ),
    "released": r"(?:retire|reprends) (?:ma|cette) promesse|reprends ma parole",
    "around": """ne n veut voulait doit supporte tolère accepte aime déteste refuse pas jamais plus
        aucun aucune qu que on lui la le les l de d être soit appelée appelé appelle appeler dans
        histoire scène quand elle il sa son ses personne a promis promet""",
    "empty": """oui je me m moi mon ma mes de d nouveau encore maintenant désormais présent à
        appeler""",
    "articles": "le la les l des ça cela être",
}
_SPANISH: dict[Part, str] = {
    "permitted": r"(?:puedes|podéis|podés)(?: volver a)?",
    "unminded": (
        r"(?:ya )?no (?:me|le) molestan?(?: ya)?|(?:ya )?no tengo nada (?:en )?contra(?: de)?"
    ),
    "released": r"retiro (?:mi|esta|la) promesa",
    "around": """no quiere quería debe soporta tolera acepta permite gusta odia detesta que la lo le
        los las el se nadie nunca jamás ser llamen llame llamada llamado llaman en historia escena
        nada de sin a ha prometió promete prometido""",
    "empty": "sí yo me mí mi mis ya ahora otra vez de nuevo llamarme llamar",
    "articles": "la las el los que",
    "others": r"\w{2,}r(?:l[aoe]s?|se|te|nos)",
}
_PORTUGUESE: dict[Part, str] = {
    "permitted": r"(?:podes|você pode|vocês podem)(?: voltar a)?",
    "unminded": (
        r"(?:já )?não me incomodam?(?: mais)?|(?:já )?não me importo (?:mais )?com"
        r"|(?:já )?não tenho (?:mais )?nada contra"
    ),
    "released": r"retiro (?:a )?(?:minha|esta) promessa",
    "around": """não quer deve suporta tolera aceita permite gosta odeia que a o as os lhe ninguém
        nunca jamais ser seja chamem chamada chamado chamar na no história cena nada de se prometeu
        promete""",
    "empty": "sim eu me mim meu minha meus minhas já agora de novo outra vez chamar",
    "articles": "a o as os que",
}
_ITALIAN: dict[Part, str] = {
    "permitted": r"puoi|potete",
    "unminded": (
        r"non (?:mi|le|gli) (?:dà|danno) più fastidio|non (?:mi|le|gli) disturbano? più"
        r"|non ho più (?:niente|nulla) contro"
    ),
    "released": r"ritiro (?:la mia|la|questa) promessa",
    "around": """non vuole voleva deve sopporta tollera accetta permette piace odia che la lo le gli
        nessuno mai essere venga viene chiamino chiami chiamata chiamato chiamare nella storia scena
        niente di ha promesso promette""",
    "empty": "sì io mi me mio mia miei mie ora adesso di nuovo ancora chiamarmi",
    "articles": "il lo la i gli le l che",
    "others": r"\w{2,}r(?:l[aeio]|ti|si|ci|vi|gli)",
}
_RUSSIAN: dict[Part, str] = {
    "permitted": r"(?:ты )?можешь|(?:вы )?можете|(?:тебе |вам )?можно|разрешаю (?:тебе|вам)",
    "unminded": r"(?:больше )?не против|больше не возражаю против",
    "released": (
        r"(?:беру|забираю) (?:назад |обратно )?сво[её] (?:обещание|слово)(?: назад| обратно)?"
    ),
    "around": """не хочет хотела хотел должна должен нельзя переносит терпит любит ненавидит никаких
        никто никогда чтобы когда её ее его ей ему называли называть звали в истории сцене пообещала
        пообещал обещала обещал обещает""",
    "empty": "да я меня мне мой моя моё мои мою моего снова опять теперь сейчас уже называть звать",
}
_DUTCH: dict[Part, str] = {
    "permitted": r"(?:je|jij|jullie|u) (?:mag|mogen|kunt|kan)|mag (?:je|jij)|mogen jullie",
    "unminded": r"(?:heb|heeft) niets (?:meer )?tegen|sto(?:ort|ren) (?:me|mij) niet meer",
    "released": r"neem mijn (?:belofte|woord) terug|trek mijn belofte in",
    "around": """wil mag moet niet nooit geen worden wordt dat als men haar hem ze zij hij het de
        een houdt haat genoemd noemen noemt in verhaal niemand heeft beloofde beloofd belooft te""",
    "empty": "ja ik me mij mijn weer opnieuw nu voortaan noemen",
    "articles": "de het",
}
_SWEDISH: dict[Part, str] = {
    "permitted": r"(?:du|ni) (?:får|kan)|får (?:du|ni)",
    "unminded": (
        r"har inget (?:längre )?emot|har inte längre något emot|stör mig inte (?:längre|mer)"
    ),
    "released": r"tar tillbaka mitt löfte",
    "around": """vill får ska inte aldrig inga ingen inget bli blir att när man henne honom hon han
        hatar kallas kallad kalla i berättelsen scenen lovade lovat har ha""",
    "empty": "ja jag mig min mitt mina igen nu kalla",
}
_DANISH: dict[Part, str] = {
    # And Norwegian.
    "permitted": r"(?:du|dere) (?:må|kan|får)(?: gerne| gjerne)?",
    "unminded": (
        r"har (?:ikke|ingenting|intet) (?:længere |lenger )?(?:noget |noe )?(?:imod|mot)"
        r"|generer mig ikke (?:længere|mere)|plager meg ikke (?:lenger|mer)"
    ),
    "released": r"(?:tager|trækker|tar|trekker) mitt? løfte (?:tilbage|tilbake)",
    "around": """vil må skal ikke aldrig aldri ingen blive bli bliver blir at å når man hende henne
        ham hun han hader hater kaldes kalles kaldt kalt i historien scenen lovede lovet lova
        har""",
    "empty": "ja jeg mig meg min mit mitt mine igen igjen nu nå kalde kalle",
}
_FINNISH: dict[Part, str] = {
    "permitted": r"(?:saat|saatte|voit|voitte)",
    "unminded": r"(?:ei|eivät) (?:enää )?häiritse minua(?: enää)?",
    "released": r"(?:perun|peruutan) lupaukseni",
    "around": """ei halua saa siedä hyväksy pidä inhoaa sitä siitä että häntä hänen kukaan kutsutaan
        kutsuttavan tarinassa tarinaan lupasi luvannut""",
    "empty": "kyllä minä minua minut minun taas nyt jälleen kutsua",
}
_HUNGARIAN: dict[Part, str] = {
    # "You may" is an ending there.
    "unminded": r"(?:már |többé )?nem zavar(?:nak)?(?: már| többé)?",
    "around": "nem akar akarja szeretne szeretné szabad bírja tűri hogy a az őt senki történetben",
    "empty": "engem most",
    "articles": "a az",
}
_ROMANIAN: dict[Part, str] = {
    "permitted": r"(?:poți|puteți) să",
    "unminded": r"nu mă mai deranjează|nu mai am nimic împotriva",
    "released": r"îmi retrag promisiunea",
    "around": """nu vrea dorește suportă trebuie acceptă îi place urăște să când ca fie o îl se în
        poveste nimeni niciodată numită numit a promis""",
    "empty": "da eu mă mine mea meu din nou iar acum",
}
_TURKISH: dict[Part, str] = {
    # "You may" is an ending there.
    "unminded": r"(?:artık )?(?:beni )?(?:artık )?rahatsız etmiyor(?:lar)?",
    "around": "istemiyor istemez hoşlanmıyor dayanamıyor hikayede hikâyede sahnede hiç",
    "empty": "ben beni artık",
}
_GREEK: dict[Part, str] = {
    "permitted": r"μπορείς(?: πάλι| ξανά)? να",
    "unminded": r"δεν με πειράζ(?:ει|ουν)(?: πια)?",
    "around": """δεν θέλει αντέχει πρέπει επιτρέπει ανέχεται να την τον της του η ο το οι τα τις
        τους κανείς στην ιστορία""",
    "empty": "εγώ με μου πάλι ξανά τώρα πια",
    "articles": "η ο το οι τα τις τους τον την",
}
_ARABIC: dict[Part, str] = {
    # The beginning and the end of a verb tell the person.
    "unminded": r"(?:لا|لم أعد) أمانع|لا مانع (?:لدي|عندي) من",
    "around": "لا تريد يريد تتحمل يتحمل أي في القصة",
    "empty": "أنا الآن",
}
_HINDI: dict[Part, str] = {
    "unminded": r"कोई (?:दिक्कत|परेशानी|आपत्ति) नहीं(?: है)?",
    "around": "नहीं चाहती चाहता चाहते कहानी में कोई है हैं",
    "empty": "अब मुझे से",
}

BY_WORDS = (
    *(_GERMAN, _FRENCH, _SPANISH, _PORTUGUESE, _ITALIAN, _RUSSIAN, _DUTCH, _SWEDISH, _DANISH),
    *(_FINNISH, _HUNGARIAN, _ROMANIAN, _TURKISH, _GREEK, _ARABIC, _HINDI),
)
"""Whole words."""

YOURS = word_set("zu dich dir te t toi de ti di тебя тебе je jou att at dig å deg sinua")
"""The other one, for whom a promise is, and what stands before its verb."""

_JAPANESE: dict[Part, str] = {
    "permitted": r"(?:して|って|んで|いて|いで|て)も?(?:いい|良い|構わない|大丈夫)(?:です)?よ?",
    "around": r"^は|[さわかがまばたなら]れたくない",
    "empty": r"もう|また|今は|今から|これからは|[私僕俺][をにの]?",
}
_CHINESE: dict[Part, str] = {
    "permitted": r"你[们們]?(?:[现現]在|又|已[经經])?可以(?:再|又)?",
    "unminded": r"我(?:已[经經])?不再?(?:介意|[讨討][厌厭])",
    "around": (r"^(?:不想要?|不要|不希望|不喜[欢歡]|[讨討][厌厭])(?:有?人|[别別]人)?被?|(?<=叫)做"),
    "empty": r"[现現]在|我|了|吧|又|再",
}
_KOREAN: dict[Part, str] = {
    "permitted": r"해도 (?:돼|괜찮아|됩니다)요?",
    "unminded": r"[도는] (?:이제 )?괜찮아요?",
    "around": r"^[은는] |[을를] 원하지 않(?:는다|아요?|습니다)",
    "empty": r"이제|다시|나를|저를|나한테|저한테",
}

BY_LETTERS = (_JAPANESE, _CHINESE, _KOREAN)
"""Parts of words."""
