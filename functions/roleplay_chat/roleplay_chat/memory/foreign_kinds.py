"""The words of `kinds` in other languages, one small table for each. Pure.

Every fact is searched for the words of all languages, so a word that means something else in
another language is left out, or is listed with context that makes it clear.
"""

from typing import Literal

from edge.patterns import compiled_later

Kind = Literal["limit", "promise", "name", "family", "safe word"]
Word = Kind | Literal["confided"]
"""`confided` are the words for what perhaps must not be told to others: see `noted_facts`."""

_GERMAN: dict[Word, str] = {
    "limit": (
        r"grenzen?|tabus?|tabuthem\w+|verboten|auf keinen fall|verträgt keine?|schwanger"
        r"|(?:darf|will|möchte|soll(?:te)?|erträgt) (?:\w+ ){0,4}(?:nicht|nie|niemals|keine?[nmr]?)"
        r"|(?:nicht|niemals|keine?[nmr]?) (?:\w+ ){1,3}(?:darf|will|möchte|sollen|soll)"
        r"|(?:mag|hasst) es (?:\w+ ){0,2}?(?:nicht)?,? (?:wenn|dass)|unverträglich\w*"
        r"|keine?n? [\w ]{1,30} in der (?:geschichte|szene)|veganer\w*|vegetarier\w*|rollstuhl"
        r"|gehörlos|diabetiker\w*"
    ),
    "promise": r"verspr(?:ach|ochen|icht|echen)|schwor|schwört|geschworen",
    "name": r"hei(?:ß|ss)t|heißen|spitznamen?|genannt werden|nennt sich|name ist|pronomen",
    "family": (
        r"(?:groß|stief|halb|schwieger)?(?:mütter|vater|väter|schwestern?|bruder|brüder|söhne?|sohn"
        r"|tochter|töchter|eltern|geschwister)|onkel|tanten?|neffen?|nichten?|ehe(?:mann|frau)"
        r"|verheiratet|verlobt|geschieden|zwillinge?|witwer?|schwager|schwägerin|cousine"
    ),
    "safe word": r"sicherheitswort|stoppwort",
    "confided": (
        r"geheim\w*|verrat\w*|verrät|erzähl\w*|erf(?:ahr|ähr)\w*|weiß|wissen"
        r"|verschweig\w*|verheimlich\w*|anvertrau\w*|erwähn\w*"
    ),
}
_FRENCH: dict[Word, str] = {
    "limit": (
        r"n(?:e |['’])(?:veut|doit|supporte|tolère|accepte) (?:pas|jamais|plus|aucune?)|enceinte"
        r"|interdite?s?|tabous?|limites?|(?:n['’]aime pas|déteste) (?:que|qu['’]\w+|être|quand)"
        r"|refuse (?:que|qu['’]\w+|d['’]être)|demand\w+ de ne (?:pas|jamais|plus)|à éviter"
        r"|(?:pas|jamais) d(?:e |['’])[\w ]{1,30} dans (?:l['’]histoire|la scène)|intolérant\w*"
        r"|végétarien\w*|végane?|malentendante?|fauteuil roulant"
    ),
    "promise": r"promet|(?:a|ont|avait) promis|promesses?|a juré|serments?",
    "name": r"s['’]appelle|se nomme|surnom\w*|prénoms?|veut être appelée?|vrai nom|pronoms?",
    "family": (
        r"(?:grand|belle|demi)?-?(?:mère|sœur|soeur)s?|(?:grand|beau|demi)?-?(?:père|frère)s?"
        r"|fils|(?:son|sa|le|la) (?:mari|fille)|sa femme|époux|épouse|mariée?s?|oncle|tante|neveux?"
        r"|nièces?|enfants?|jumeaux|jumelles?|veuve|veuf|famille"
    ),
    "safe word": r"mot (?:de sécurité|d['’]alerte|d['’]arrêt)",
    "confided": (
        r"secrète\w*|confi(?:e|é|ée|er) à|dire (?:à|que)|dise|racont\w+|révél\w+|sait"
        r"|savoir|sache|avou\w+|cach(?:e|é|er) à|parl(?:e|er) de|mentionn\w+"
    ),
}
_SPANISH: dict[Word, str] = {
    "limit": (
        r"límites?|tabú|al[eé]rgi\w+|embarazada|prohib\w+|intolerante|pid(?:e|ió) (?:que )?no"
        r"|no (?:quiere|debe|soporta|tolera|acepta|permite|puede comer)"
        r"|(?:no le gusta|odia|detesta) (?:que|ser|cuando)|evitar|vegan[oa]s?|vegetarian[oa]s?"
        r"|(?:nada de|sin) [\w ]{1,30} en la (?:historia|escena)|silla de ruedas"
    ),
    "promise": r"promet(?:e|ió|ido)|promesas?|juró",
    "name": (
        r"se llama|apodo|apellido|nombre (?:es|real)|pronombres"
        r"|(?:quiere|prefiere) que l[aoe]s? llamen|conocid[oa] como"
    ),
    "family": (
        r"madre|padres?|herman[oa]s?|hij[oa]s?|abuel[oa]s?|marido|espos[oa]s?|casad[oa]s?|novi[oa]s?"
        r"|divorciad[oa]s?|sobrin[oa]s?|tí[oa]s?|niet[oa]s?|gemel[oa]s|viud[oa]s?|suegr[oa]s?"
        r"|cuñad[oa]s?|familia"
    ),
    "safe word": r"palabra (?:de seguridad|segura)",
    "confided": (
        r"secret[oa]s?|contar|contó|cuent\w+|decir\w*|saber (?:que|de)|sepa[ns]?|revelar\w*|reveló"
        r"|confes(?:ó|ar)|confiar|confió|ocult\w+|escond\w+|mencion\w+"
    ),
}
_PORTUGUESE: dict[Word, str] = {
    "limit": (
        r"não (?:quer|deve|suporta|tolera|aceita|permite|pode comer)|grávida|proibid[oa]s?|proíbe"
        r"|(?:não gosta|odeia) (?:que|de ser|ser|quando)|pediu (?:para|que) não|cadeira de rodas"
        r"|nada de [\w ]{1,30} na (?:história|cena)"
    ),
    "promise": r"promet(?:eu|ido)|promessas?|jurou",
    "name": r"chama-se|se chama|apelido|nome (?:é|verdadeiro)|quer ser chamad[oa]|pronomes",
    "family": (
        r"mãe|pai|pais|irmãos?|irmãs?|filh[oa]s?|avó|avô|namorad[oa]|noiv[oa]|sobrinh[oa]s?"
        r"|net[oa]s? d[aeo]s?"
        r"|gême[oa]s|viúv[oa]|família|sogr[oa]s?|cunhad[oa]s?"
    ),
    "safe word": r"palavra de segurança",
    "confided": (
        r"segred\w+|contar|contou|dizer|saiba\w*|saber (?:que|de)|revelar|revelou|confess(?:ou|ar)"
        r"|esconde\w*"
    ),
}
_ITALIAN: dict[Word, str] = {
    "limit": (
        r"non (?:vuole|deve|sopporta|tollera|accetta|permette|può mangiare)|incinta|limiti|tabù"
        r"|(?:non (?:le|gli) piace|odia) (?:che|essere|quando)|vietat[oaie]|proibit[oaie]"
        r"|(?:chiede|chiesto) di non|niente [\w ]{1,30} nella (?:storia|scena)|sedia a rotelle"
    ),
    "promise": r"promess[oae]|promette|giurato|giurò",
    "name": r"si chiama|soprannome|vuole essere chiamat[oa]|(?:suo|vero) nome|pronomi",
    "family": (
        r"fratell[oi]|sorell[ae]|figli[oae]?|nonn[oaie]|moglie|marito|sposat[oa]|fidanzat[oa]"
        r"|genitori|cugin[oaie]|nipot[ei]|gemell[oaie]|vedov[oa]|famiglia|divorziat[oa]"
    ),
    "safe word": r"parola di sicurezza",
    "confided": (
        r"segret[oaie]|dirlo|dica|raccont\w+|sapere|sappia\w*|rivel\w+|confid(?:a|are|ato)"
        r"|confess(?:a|are|ato)|nascond\w+"
    ),
}
_RUSSIAN: dict[Word, str] = {
    "limit": (
        r"границ\w*|табу|не (?:хочет|должн\w+|переносит|терпит|выносит|разрешает|позволяет)|нельзя"
        r"|аллерги\w*|беременн\w*|запре\w+|(?:не любит|ненавидит), когда|про(?:сит|сил\w*) не"
        r"|никаких|непереносимост\w*|веган\w*|вегетариан\w*|инвалидн\w+"
    ),
    "promise": r"(?:по)?обеща\w*|поклял\w*|клянётся|клятв\w*|дал\w* слово",
    "name": r"зовут|по имени|называют|называть|прозвищ\w*|фамили\w+|местоимени\w*",
    "family": (
        r"мать|матери|мам[аыуе]|отец|отца|пап[аыуе]|сестр\w*|брат(?:а|у|ом|ья|ьев)?|сын"
        r"|сына|сыновья|дочь|дочери|бабушк\w*|дедушк\w*|муж(?:а|ем|у)?|жен[аыеу]|замуж\w*|женат\w*"
        r"|внук\w*|внучк\w*|племянни\w+|невест\w*|жених\w*|родител\w+|дет(?:и|ей)|тёт[яиюе]|дяд[яиюе]"
        r"|супруг\w*|вдов\w+|близнец\w*|семь[яиюе]|двоюродн\w+"
    ),
    "safe word": r"стоп-слов\w+",
    "confided": (
        r"секрет\w*|тайн\w+|рассказ\w+|говорить|скаж\w+|сказать|зна(?:ет|ть|л\w*)|узна\w+|скры\w+"
        r"|призна\w+|довери\w+|упомина\w+"
    ),
}
_DUTCH: dict[Word, str] = {
    "limit": (
        r"(?:wil|mag|moet) (?:\w+ ){0,4}(?:niet|nooit|geen)|verboden|zwanger|kan niet tegen"
        r"|(?:houdt er niet van|haat het),? (?:om|als|dat)|geen [\w ]{1,30} in het verhaal"
        r"|veganist\w*|vegetariër|rolstoel"
    ),
    "promise": r"belooft|beloofd|beloofde|beloftes?|zwoer|gezworen",
    "name": r"heette|bijnaam|genoemd worden|voornaamwoorden|noemt zich",
    "family": (
        r"(?:groot|stief|schoon)?(?:moeders?|vaders?|ouders?|zussen|zus|zusters?|broers?|zoon|zonen"
        r"|dochters?)|echtgeno(?:te|ot)|getrouwd|verloofd|gescheiden|kleinkind\w*|tweeling|weduwe"
        r"|familie"
    ),
    "safe word": r"stopwoord|veiligheidswoord",
    "confided": (r"vertel\w*|weet|weten|verklap\w*|verra(?:den|adt)|toevertrouw\w*|verzwijg\w*"),
}
_SWEDISH: dict[Word, str] = {
    "limit": (
        r"(?:vill|får|ska) (?:\w+ ){0,3}(?:inte|aldrig|inga|ingen|inget)|tål inte|hatar (?:att|när)"
        r"|gräns(?:en|er|erna)?|förbjud\w+|gravid|inga [\w ]{1,30} i berättelsen|rullstol"
    ),
    "promise": r"lova(?:r|de|t)|löfte\w*|svurit",
    "name": r"heter|hette|kallas|smeknamn",
    "family": (
        r"mamm[ao]r?|pappa|(?:hans|hennes|deras) (?:mor|far)|systrar|syster|bror|bröder|dotter"
        r"|döttrar|söner|föräldrar|gift med|förlovad|farmor|farfar|mormor|morfar|hustru|tvilling\w*"
    ),
    "safe word": r"säkerhetsord|stoppord",
    "confided": r"hemlig\w*|berätta\w*|säga|veta|avslöja\w*|anförtro\w*|dölj\w*",
}
_DANISH: dict[Word, str] = {
    # And Norwegian, for which recall has the same stemmer.
    "limit": (
        r"(?:vil|må|skal) (?:\w+ ){0,3}(?:ikke|aldrig|aldri|ingen)|tåler ikke"
        r"|(?:hader|hater) (?:at|å)|grænse\w*|grense[rn]?|forbudt"
        r"|ingen [\w ]{1,30} i historien|kørestol|rullestol"
    ),
    "promise": (
        r"lovede|(?:har|har hun|har han) lov(?:et|a)|(?:et|sit|sitt|hans|hendes|hennes) løfter?"
        r"|sverget|svoret"
    ),
    "name": r"hedder|kaldes|kalles|kælenavn|kallenavn|økenavn",
    "family": (
        r"(?:hans|hendes|hennes|deres) (?:mor|far)|søst(?:er|re)|søsken\w*|brødre|datter|døtre|søn"
        r"|sønn(?:er)?|forældre|foreldre|forlovet|besteforeldre|bedsteforældre|tvilling\w*|enke"
    ),
    "safe word": r"sikkerhedsord|stopord|sikkerhetsord",
    "confided": (
        r"hemmelig\w*|fort[æe]ll?e\w*|sige|(?:at|må|skal|ikke) vide|afslør\w*|avslør\w*"
        r"|betro\w*|skjul\w*"
    ),
}
_FINNISH: dict[Word, str] = {
    "limit": (
        r"ei (?:halua|saa|siedä|hyväksy|voi syödä)|inhoaa sitä|ei pidä siitä|rajat|rajoja|rajansa"
        r"|kielletty\w*|raskaana|allergi\w+|pyörätuoli\w*"
    ),
    "promise": r"lupasi|lupaa|luvannut|lupau\w+|vannoi|vannonut",
    "name": r"nimi on|nimeltään|kutsuttavan|lempini\w+|pronomin\w+",
    "family": (
        r"(?:iso)?äiti\w*|äidin\w*|(?:iso)?isä|(?:iso)?isän(?:sä)?|sisar\w*|veli|velje\w+"
        r"|tytär|tyttär\w+|vaimo\w*|aviomie\w+|naimisissa|kihloissa|vanhempa\w+|kaksos\w+|perhe\w*"
    ),
    "safe word": r"turvasana\w*",
    "confided": r"salai\w+|kerto(?:a|i|nut)|kerrot?a?|sanoa|tietää|tietä\w+|paljast\w*",
}
_HUNGARIAN: dict[Word, str] = {
    "limit": (
        r"nem (?:akar(?:ja)?|szeretné|szabad|bírja|tűri|engedi|ehet)|utálja,? ha|határai|tilos"
        r"|terhes|allergiás|vegetáriánus|kerekesszék\w*"
    ),
    "promise": r"megígér\w*|ígér\w*|megesküd\w*",
    "name": r"hívják|nevezik|becenev?e?|a neve",
    "family": (
        r"(?:édes|nagy)?(?:anyja|apja)|nővére|húga|bátyja|öccse|testvér\w*|lánya|férje|felesége|házas"
        r"|eljegyez\w+|gyereke\w*|gyermeke\w*|szülei|unokáj?a|család\w*"
    ),
    "safe word": r"biztonsági szó|biztonsági szava|stopszó",
    "confided": r"titok\w*|titk\w+|elmond\w*|mondj?a el|tudja|tudjon|elárul\w*|bevall\w*",
}
_ROMANIAN: dict[Word, str] = {
    "limit": (
        r"nu (?:vrea|dorește|suportă|trebuie|acceptă|are voie|poate mânca)|interzis\w*|însărcinată"
        r"|(?:nu îi place|urăște) (?:să|când|ca)|limitel?e?|alergi[ce]\w*"
        r"|fără [\w ]{1,30} în poveste"
    ),
    "promise": r"a promis|promite|promisiun\w+|a jurat",
    "name": r"se numește|[oî]l? cheamă|porecl\w+|numele (?:ei|lui|adevărat)|pronumele",
    "family": (
        r"mam[aăe]i?|tatăl\w*|sora (?:ei|lui)|are o soră|fratele|frați|fiul|fiica|soțul|soția"
        r"|căsătorit\w*|logodit\w*|divorțat\w*|bunic\w*|părinți\w*|mătuș\w+|unchi\w*|familia"
    ),
    "safe word": r"cuvânt(?:ul)? de siguranță",
    "confided": (
        r"spună|povestească|povestit|afl[aăe]|știe|știi|dezvălui\w*|mărturis\w*|ascunde\w*"
    ),
}
_TURKISH: dict[Word, str] = {
    "limit": (
        r"\w*istem(?:iyor|ez|ediğini)|hoşlanm(?:ıyor|az)|dayanam(?:ıyor|az)|sınır\w*|yasak\w*|alerji\w*"
        r"|hamile|vejetaryen|tekerlekli sandalye"
    ),
    "promise": r"söz ver\w+|yemin et\w+",
    "name": r"adı|ismi|lakabı|takma ad\w*|denmesini|zamir\w*",
    "family": (
        r"annesi\w*|babası\w*|kardeş\w*|ablası|abisi|ağabeyi|oğlu|kızı|kocası|karısı|eşi|evli"
        r"|nişanlı\w*|boşan\w+|teyze\w*|amcası|dayısı|halası|büyük(?:anne|baba)\w*|dedesi|torunu|ailesi"
    ),
    "safe word": r"güvenli(?:k)? kelime\w*",
    "confided": (r"sır|sırrı\w*|gizli\w*|söyle\w*|anlat\w*|bilme\w*|öğren(?:sin|me)\w*|itiraf\w*"),
}
_GREEK: dict[Word, str] = {
    "limit": (
        r"δεν (?:θέλει|αντέχει|πρέπει|επιτρέπει|ανέχεται)|απαγορεύ\w+|όρι[οα]|αλλεργ\w+|έγκυος"
    ),
    "promise": r"υποσχέθηκε|υπόσχεται|υπόσχεση|ορκίστηκε",
    "name": r"λένε|ονομάζεται|παρατσούκλι|όνομά?",
    "family": (
        r"μητέρας?|πατέρας?|αδ[εέ][ρλ]φ\w+|γιος|γιο|κόρη|σύζυγος?|παντρεμέν\w+|γιαγιά|παππού\w*"
        r"|οικογένεια|γονείς"
    ),
    "confided": r"μυστικ\w+|πει|μάθει|ξέρει|αποκαλύ\w+|εξομολογ\w+|κρύβ\w+",
}

_POLISH: dict[Word, str] = {
    "limit": (
        r"nie (?:chce|wolno|znosi|toleruje|zgadza się|może jeść)|zabronion\w+|uczulon[ay]|w ciąży"
        r"|żadnych [\w ]{1,30} w (?:historii|opowieści|scenie)|wózku inwalidzkim"
    ),
    "promise": r"obieca[łl]\w*|obiecuje|obietnic\w+|przysięg\w+",
    "name": r"na imię|nazywa się|przezwisk\w+|chce być nazywan[ay]|zaimk\w+",
    "family": (
        r"(?:jej|jego) matka|matk[ię]|matką|ojciec|ojca|brat(?:a|em|ów)|bracia"
        r"|(?:ma|jej|jego) brat|siostr\w+|syn(?:a|em|ów)|córk\w+|mąż|męża|żon[aęy]|babci\w*"
        r"|dziad(?:ek|ka)|rodzic(?:e|ów)|ciotk\w+|dzieci|dziecko|rodzin\w+|zamężna|żonaty|rozwiedzion\w+"
        r"|bliźnia\w+|wnu(?:k|czk)\w*"
    ),
    "safe word": r"(?:słowo|hasło) bezpieczeństwa",
    "confided": (
        r"tajemnic\w+|sekret(?:y|u|em|ów)?|dowie(?:dzia\w+)?|powiedzie\w+|wiedzia\w+|zdradz\w+"
    ),
}
_CZECH: dict[Word, str] = {
    "limit": r"ne(?:chce|smí|snáší|toleruje)|zakázan\w+|těhotn\w+|invalidním vozíku",
    "promise": r"slíbil\w*|slibuje|přísah\w+",
    "name": r"jmenuje|přezdívk\w+|jméno",
    "family": (
        r"(?:její|jeho) matka|matk[uy]|matkou|otec|otce|bratr\w*|dcer[ay]|manžel\w*|babičk\w+"
        r"|dědeč\w+|rodič[ei]\w*|strýc\w*|děti|dítě|rodin[ay]|vdaná|ženatý|rozveden\w*|dvojč\w+"
    ),
    "safe word": r"bezpečné slovo",
    "confided": r"tajemství|prozrad\w+|dozv[ěí]\w+|říct|vědět|věděl\w*",
}
_UKRAINIAN: dict[Word, str] = {
    "limit": (
        r"не (?:хоче|терпить|повинн\w+|дозволяє|можна)|заборон\w+|алергі\w+|вагітн\w+|жодних"
    ),
    "promise": r"(?:по)?обіця\w+|присяг\w+",
    "name": r"звати|(?:на )?ім['’ʼ]я|прізвиськ\w+|займенник\w*",
    "family": (
        r"матір|матері|мами|мамі|батьк\w+|сина|синів|доньк\w+|дочк\w+|дружин(?:і|ою)"
        r"|(?:його|має) дружин\w+|бабус\w+|дідус\w+|одружен\w+|заміжня|розлучен\w+|дитин\w+|діти"
        r"|родин(?:і|ою)|(?:її|його|має) родин\w+|онук\w*|близнюк\w*"
    ),
    "safe word": r"стоп-слово",
    "confided": r"таємниц\w+|дізна\w+|розпові\w+|сказати|знає|знати|зізна\w+",
}
_VIETNAMESE: dict[Word, str] = {
    "limit": r"không (?:muốn|được|chịu được|cho phép)|cấm|dị ứng|mang thai|xe lăn",
    "promise": r"hứa|thề",
    "name": r"tên (?:là|thật|cô|anh|của|chị|em)|được gọi là|biệt danh",
    "family": (
        r"(?:em|anh|chị) (?:trai|gái|họ)|mẹ|bố|con (?:trai|gái)|vợ|chồng|(?:ông|bà) (?:nội|ngoại)"
        r"|gia đình|kết hôn|ly hôn|sinh đôi"
    ),
    "safe word": r"từ an toàn",
    "confided": r"bí mật|kể|nói (?:cho|với)|biết|tiết lộ|thú nhận",
}
_INDONESIAN: dict[Word, str] = {
    "limit": (
        r"tidak (?:mau|ingin|boleh|tahan|suka (?:jika|kalau))|jangan|dilarang|hamil|kursi roda"
    ),
    "promise": r"(?:ber)?janji(?:nya)?|bersumpah",
    "name": r"namanya|bernama|nama (?:asli|panggilan)|dipanggil|julukan\w*",
    "family": (
        r"ibu(?:nya)?(?! kota)|ayah(?:nya)?|bapak(?:nya)?|kakak(?:nya)?|adik(?:nya)?|saudar[ai]\w*"
        r"|suami(?:nya)?|istri(?:nya)?|putr[ai]nya|nenek(?:nya)?|kakek(?:nya)?|keponakan\w*"
        r"|sepupu\w*|menikah|bercerai|tunangan\w*|keluarga\w*|kembar(?:an)?(?:nya)?"
    ),
    "safe word": r"kata aman",
    "confided": r"rahasia\w*|memberi ?tahu|tahu|mengetahui|menceritakan|mengaku\w*",
}

BY_WORDS = (
    *(_GERMAN, _FRENCH, _SPANISH, _PORTUGUESE, _ITALIAN, _RUSSIAN, _DUTCH, _SWEDISH, _DANISH),
    *(_FINNISH, _HUNGARIAN, _ROMANIAN, _TURKISH, _GREEK, _POLISH, _CZECH, _UKRAINIAN),
    *(_VIETNAMESE, _INDONESIAN),
)
"""Whole words."""

_JAPANESE: dict[Word, str] = {
    "limit": (
        r"限界|禁止|タブー|れたくない|してほしくない|ないで(?:ほしい|ください)|アレルギー"
        r"|妊娠"
    ),
    "promise": r"約束|誓",
    "name": r"名前|呼ばれたい|と呼ん|あだ名|本名|代名詞",
    "family": r"[母父兄弟姉妹妻]|(?<![丈工功大])夫|(?<!姑)娘|息子|結婚|離婚|婚約|家族|両親",
    "safe word": r"セーフワード",
    "confided": r"秘密|内緒|打ち明け|言わない|話さない|知られたくない|告白",
}
_CHINESE: dict[Word, str] = {
    "limit": (
        r"不想|不要|不可以|不能(?:吃|喝|碰)|不[许許]|[讨討][厌厭]被|[过過]敏|[怀懷]孕"
        r"|底[线線]|禁忌"
    ),
    "promise": r"答[应應]|承[诺諾]|[发發]誓|保[证證]|[约約]定",
    "name": r"名叫|名字|叫做|[昵暱][称稱]|外[号號]",
    "family": (
        r"[爸妈媽]|(?<!小)姐|(?<!西)哥(?!伦|倫|斯)|奶奶|[爷爺]|[儿兒]子|女[儿兒]|[结結]婚|[离離]婚"
        r"|未婚"
    ),
    "safe word": r"安全[词詞]",
    "confided": r"秘密|告[诉訴]|知道|透露|坦白|[隐隱][瞒瞞]|保密",
}
_KOREAN: dict[Word, str] = {
    "limit": r"원하지 않|하지 말|금지|금기|알레르기|알러지|임신",
    "promise": r"약속|맹세",
    "name": r"이름|별명|라고 불",
    "family": (
        r"(?<![가-힣])(?:어머니|아버지|엄마|아빠|언니|오빠|누나|[여남]?동생|형제|자매|아들|딸(?!기)|남편"
        r"|아내|결혼|이혼|약혼|[외친]?할(?:머니|아버지)|가족|부모)"
    ),
    "safe word": r"세이프 ?워드",
    "confided": r"비밀|말하지|알리지|알게|털어놓|고백|숨기",
}
_ARABIC: dict[Word, str] = {
    "limit": r"لا (?:تريد|يريد|تتحمل|يتحمل|يجوز)|(?:لا تحب|لا يحب) أن|ممنوع|حساسية|حامل",
    "promise": r"(?<!م)وعدت?(?!د)|تعهدت?|أقسمت?",
    "name": r"اسمها|اسمه|تدعى|يدعى|لقبها|لقبه",
    "family": (
        r"أخت|أخو|\b(?:ال)?أخ\b|أخي(?!را)|(?<!\w)و?(?:ال)?والد(?:ا|ة|ت|ي|ه|ها)|أمها|أمه|أبوها|أبوه|ابن|زوج"
        r"|متزوج|مطلق|خطيب|جدتها|جدته|عائلة"
    ),
    "safe word": r"كلمة (?:ال)?أمان",
    "confided": r"\bسر|السر|تخبر|يخبر|أخبر|تعرف|يعرف|تعلم|يعلم",
}
_HINDI: dict[Word, str] = {
    "limit": r"नहीं चाहत|मना है|एलर्जी|गर्भवती",
    "promise": r"वादा|कसम|वचन",
    "name": r"(?<!इ)नाम",
    "family": r"माँ|मां(?!स|ग)|पिता|बहन|भाई|बेट[ाीे]|(?<!ष्ट्र)पति|पत्नी|शादी|तलाक|दाद[ाी]|नान[ाी]|परिवार",
    "confided": r"राज़|रहस्य|बता|पता|छिपा|छुपा|कबूल",
}

_THAI: dict[Word, str] = {
    "limit": (
        r"ไม่(?:อยาก|ต้องการ|ชอบให้|ยอมให้|อนุญาต)|ห้าม|แพ้(?:อาหาร|ถั่ว|นม|กุ้ง|แมว|สุนัข|หมา)"
        r"|อาการแพ้|ตั้งครรภ์|มังสวิรัติ"
    ),
    "promise": r"สัญญา(?!ณ)|สาบาน|รับปาก",
    "name": r"(?<!เ)ชื่อ(?!เสียง)|เรียกว่า|สรรพนาม",
    "family": (
        r"พี่(?:ชาย|สาว)|น้อง(?:ชาย|สาว)|แม่(?!น้ำ|นยำ|นปืน|เหล็ก|บ้าน|ครัว|ค้า|มด|ทัพ|ชี)"
        r"|พ่อ(?!ค้า|ครัว|บ้าน|มด)"
        r"|ลูก(?:ชาย|สาว)|สามี|ภรรยา|คุณ(?:ยาย|ตา(?!ม|ย|บ)|ปู่|ย่า(?!ง))|แต่งงาน|หย่าร้าง|คู่หมั้น|ครอบครัว|ฝาแฝด"
    ),
    "safe word": r"คำปลอดภัย",
    "confided": r"ความลับ|บอก|รู้(?!สึก|จัก)|เปิดเผย|สารภาพ|ปิดบัง",
}
_HEBREW: dict[Word, str] = {
    "limit": r"לא (?:רוצה|מסכימה?|מרשה|סובלת?|מוכנה?)|אסור|אלרגי|בהריון",
    "promise": r"הבטיח|מבטיח|נשבע",
    "name": r"\bשמ[הו]\b|קוראים ל|כינוי|השם (?:שלה|שלו|האמיתי)",
    "family": (
        r"\b[להשו]?(?:אח|אחות|אחיה|אחותה|אחים|אמא|אבא|אמה|אביה|בתה|בעלה|אשתו|סבתא|הורים|הוריה"
        r"|ילדים|ילדיה|נשואה?|גרושה?|תאומים?|דודה|משפחה|משפחתה|אחיינית?|נכדים?)\b"
    ),
    "safe word": r"מילת ביטחון",
    "confided": r"\b[הבל]?סוד(?:ות)?\b|לספר(?!י)|תספר|יודע|לדעת|יידע|יגלה|תגלה|להסתיר",
}

BY_LETTERS = (_JAPANESE, _CHINESE, _KOREAN, _ARABIC, _HINDI, _THAI, _HEBREW)
"""Also inside words: their scripts have no spaces, or words have endings and articles."""

ORDERS = (
    r"keine? [\w ]{1,30}|(?:nicht|niemals|nie) \w+|(?:pas|jamais) d(?:e |['’])[\w ]{1,30}"
    r"|(?:sin|sem|senza|nada de|niente) [\w ]{1,30}|(?:без|никаких) [\w ]{1,30}"
    r"|geen [\w ]{1,30}|(?:inga|ingen|inget) [\w ]{1,30}|fără [\w ]{1,30}"
)
"""Limits that a person writes as an order, as a whole fact: "Bitte keine Spinnen"."""
PLEASE = (
    r"(?:bitte|s['’]il (?:te|vous) plaît|svp|por favor|per favore|пожалуйста|alsjeblieft"
    r"|alstublieft|tack|tak|vær så snill|te rog)"
)

CASED: dict[Word, str] = {
    "family": r"[Mm]utter(?! (?:to|about|at)\b)|Kind(?:er)?|O[mp]a|Enkel\w*|zi[oa]|sisko\w*",
    "name": r"heet(?= [A-Z])",
}
"""Whole words whose capitals matter: otherwise they mean something else, or are names."""


def _words(word: Word) -> str:
    whole, inside = (
        "|".join(t[word] for t in part if word in t) for part in (BY_WORDS, BY_LETTERS)
    )
    return rf"\b(?:{whole})\b|{inside or '(?!)'}"


_KINDS: tuple[Word, ...] = ("limit", "promise", "name", "family", "safe word", "confided")
FOREIGN = {word: compiled_later(_words(word)) for word in _KINDS}
"""What is searched for in `lowered` texts."""


def lowered(text: str) -> str:
    """The text in lower case. A Turkish i without a dot stays different from one with it, unlike
    with `re.IGNORECASE`."""
    return text.replace("İ", "i").lower()
