"""The words of the screening, by their role in a sentence.

WORDS and STEMS are English, Spanish, Portuguese, French, German, Italian and Russian;
WRITTEN_TOGETHER is Chinese, Japanese and Korean, found inside text without spaces. Each word has
one class. A word that means something else in another language has a class of its own, whose rules
also require other words (German `Kind`, Spanish `once`). Only clinical terms, and no more than
needed.

This is data in any spelling: words are folded on loading. `rules` has the patterns that use the
classes.
"""

WORDS: dict[str, str] = {
    # --- numbers and ages ---------------------------------------------------------------------
    "TENS": """twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand
        thousands veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien cientos
        mil vinte trinta quarenta cinquenta sessenta oitenta cem vingt vingts trente quarante
        cinquante soixante cent mille venti trenta quaranta cinquanta sessanta settanta ottanta
        novanta cento zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig hundert
        tausend двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто сто
        тысяча тысяч""",
    "YEAR": "year years yr yrs",
    "YO": "yo yearold yearolds yearsold yrold yrsold",
    "OLD": "old olds alt",
    "MONTH": "month months mois mes meses mese mesi monat monate месяц месяца месяцев",
    "AGE": """age aged aging ages edad edades idade âge âgé âgée âgés âgées età alter возраст
        возраста возрасте""",
    "ANOS": "años año anos ano añitos aninhos",
    "ANS": "ans",
    "ANNI": "anni anno",
    "JAHRE": "jahre jahren jahr",
    "LET": "лет год года годика годиков",
    "SEASON": "summers winters springs",
    "BIRTHDAY": "birthday birthdays",
    "TURNED": "turned cumplir completou fez исполнилось стукнуло wurde cumplió",
    "TURN": "turn",
    "TURNS": "turns turning wird werde wirst compie compirà cumplo cumple cumplirá исполнится",
    "UNDER": "under below younger less moins menos unter jünger sotto младше abaixo",
    "BORN": "born nacido nacida nascido nascida née geboren nato nata родился родилась",
    "SWEET": "sweet",
    "AGO": "ago later atrás назад спустя danach später",
    "OLDER": "older more mayor старше",
    "UNTIL": "until till before hasta bis antes avant",
    "NEARLY": "almost nearly casi quase presque quasi fast почти",
    # --- the words around them ------------------------------------------------------------------
    "SUBJECT": """i he she you u who ella tú usted je il elle tu io lui lei eu ele ela você ich
        er sie он она ты я they everyone everybody anyone someone somebody""",
    "SUBJECT_IS": "im hes shes youre theyre iam whos",
    "DATIVE": "мне тебе ей ему",
    "HERE": "here",
    "IT": """it its this that there what which today tomorrow time score answer total level room
        gate chapter page number temperature count price bill tally size floor table rank limit
        speed channel episode season version day week date zimmer seite habitación chambre
        pagina camera quarto página""",
    "IS": "is am are be being bin ist bist soy eres es est sou s",
    "WILL": "will ll shall gonna",
    "WAS": "was were war been era",
    "HAS": """avoir avere tener ter tiene tengo tienes tienen tenía tem tenho tens tinha ho hai
        hanno aveva ai avait jai""",
    "HA": "ha",
    "HAVE": "have having has had",
    "ARTICLE": "a",
    "AN": "an un une una uno um uma ein eine einen eines einem",
    "AS": "as",
    "LIKE": "like",
    "THE": "the el la los las le les lo die der",
    "GERMAN": "das dem des kein mein dein sein ihr unser jedes dieses",
    "POSSESSIVE": """my his your our their mi su mon ma sa ton ta meu minha sua meine seine ihre
        deine suo ses sus tus mis seus suas suoi мой моя мою моей его её свою""",
    "HER": "her",
    "THEM": "him them me us",
    "OF": "of de du da di von d",
    "THAN": "than als que",
    "JUST": """just only barely still about around now already really currently apenas nur erst
        approx approx. ca. circa gerade seulement solo só so только всего ещё уже even""",
    "FACT": "fact reality",
    "NOT": """cant couldnt dont doesnt didnt wouldnt no not never none nobody isnt arent wasnt
        werent aint hasnt wont nothing nor keine nicht pas aucun aucune sin ningún não nem
        nessun non нет не без without""",
    "AND": "and y e et und и",
    "FUNCTION": """again tonight hoy hoje heute oggi сегодня mañana amanhã demain morgen domani
        завтра but because then if or from with on lol btw yet next we pero con mas com mais
        avec aber mit che но с""",
    "DURING": """for after over another last past every each durante depois pendant après nach
        vor dopo per за через после около""",
    "IN": "in inside en dans na в",
    "AT": "at",
    "GO": """goes go going attends attend attending geht gehe va vai voy vado frequenta
        fréquente ходит учится""",
    "INTO": "into",
    "PLAY": "play plays playing pretend pretends",
    "TO": "to",
    "WHEN": "when since back cuando desde quando quand lorsque depuis seit когда",
    "SAW": "seen saw lived",
    # --- people ---------------------------------------------------------------------------------
    "GIRL": """girl girls boy boys chica chico muchacha muchacho ragazza ragazzo fille filles
        garçon garçons mädchen junge jungen menino meninos menina meninas garota garoto rapariga
        девушка девушку девушке парень""",
    "PERSON": """guy lady princess maid friend cousin woman man person character protagonist
        stepsister stepbrother twin twins partner persona hero heroine patient client apprentice
        personaje personagem protagonista personnage figur personaggio герой героиня героине
        персонаж""",
    "SIBLING": """sister brother sisters brothers hermana hermano irmã irmão sorella fratello
        soeur sœur frère schwester bruder сестра сестру сестре брат""",
    "YOUNG": """little small young wee pequeña pequeño petite petit kleine kleiner kleines
        kleinen piccola piccolo pequena pequeno маленькая маленькую маленький маленькой""",
    "CHILD": """child kid toddler toddlers infant infants newborn newborns youngster youngsters
        niño niña niñas niños niñita niñito criança crianças menininha menininho garotinha
        garotinho enfant enfants fillette fillettes garçonnet gamine gamin bambina bambino
        bambine bambini kiddo kiddos ragazzina ragazzino ragazzine kinder kindes kindern
        kleinkind kleinkinder""",
    "CHILDREN": "children kids",
    "KIND": "kind",
    "KIN": """daughter daughters stepdaughter stepdaughters stepson stepsons niece nieces nephew
        nephews granddaughter grandson goddaughter godson hija hijo hijas hijastra hijastro
        sobrina sobrino nieta nieto filha filho enteada sobrinha sobrinho fils nièce neveu
        tochter töchter sohn nichte neffe stieftochter figlia figlio figliastra nipotina дочь
        дочка дочку дочери дочерью сын сына сыном падчерица падчерицу племянница племянницу""",
    "SON": "son sons",
    "TEEN": "teen teens teenage teenaged teenager teenagers underclassman jugendliche jugendlicher",
    "MINOR": "minor",
    "MINORS": "minors menores mineurs minori juvenile juveniles",
    "MENOR": "menor",
    "STATED": """underage underaged tween tweens prepubescent prepubertal pubescent schoolchild
        schoolchildren schoolkid schoolkids kindergartner kindergartners kindergartener
        preschooler preschoolers highschooler highschoolers middleschooler gradeschooler loli
        lolis shota shotas preadolescente impúber mineure mineures minorenne minorenni
        schulmädchen schulkind schulkinder schülerin schüler grundschüler grundschülerin
        gymnasiastin""",
    "LOOKS": "looks look looking looked appears resembles seems",
    "BODY": "body appearance face cuerpo corps körper corpo тело",
    "ABSENT": "away gone out off grown",
    "ADULTS": "adult adults",
    "GROWN": """grownup grownups adulta adulto adultas adultos adulte adultes erwachsen
        erwachsene erwachsener взрослая взрослый married college university""",
    "CHILD_WORK": """psychologist psychologists therapist doctor welfare care support services
        protection labour labor custody actor psychology rearing proof""",
    # --- school ---------------------------------------------------------------------------------
    "GRADE": "grade série klasse класс классе класса",
    "GRADER": "grader graders klässler klässlerin",
    "HIGH": "high junior secondary grammar",
    "LOWER": "middle elementary primary nursery",
    "NURSERY": "kindergarten kindergartens daycare preschool kita guardería crèche",
    "SCHOOL": "school",
    "SCHULE": """grundschule realschule mittelschule primaria secundaria lycée liceo colegio
        instituto école школу школе школы""",
    "SCHOOLER": "schooler schoolers",
    "PUPIL": """student students pupil pupils freshman sophomore senior cheerleader cheerleaders
        freshmen sophomores seniors juniors élève élèves alumno alumna alumnos alumnas aluno
        aluna alunos alunas alunno alunna estudiante estudante ученик ученица""",
    "TEACH": """teach teaches teaching taught teacher teachers coach coaches principal librarian
        counselor counsellor""",
    "UNIFORM": "uniform uniforms",
    "SCOUT": "scout scouts",
    # --- other ----------------------------------------------------------------------------------
    "THING": """whisky whiskey whiskies scotch bourbon malt port sherry mezcal rum wine cognac
        brandy cheese cheddar car truck van bike motorcycle yacht boat house building mansion
        cottage castle church bridge oak dog cat puppy kitten horse mare labrador retriever
        terrier parrot tortoise company firm business brand startup marriage friendship feud
        mystery secret tradition computer laptop phone engine machine mortgage loan contract
        lease sentence career record recipe painting book manuscript scar wound debt case
        investigation study rug coat project server system software game franchise series band
        vinegar balsamic violin piano balsámico experiencia empresa casa coche perro gato vino
        ron condena contrato matrimonio carrera expérience entreprise maison voiture chien chat
        vin rhum peine contrat mariage carrière durée wein hund katze auto haus ehe esperienza
        azienda cane vinho cachorro carro experiência виски собака кот опыт опыта стаж стажа
        вино дом amistad amitié amizade amicizia deuda dette vida vie vita relación relation
        relazione relação guerra guerre silencio""",
    "DRINK": """glass glasses bottle bottles pour pours poured sip dram copa botella verre
        bouteille glas flasche bicchiere bottiglia copo garrafa""",
    "SAME": "same opposite fair biological both either",
    "GENDER": """female male f m femenino masculino feminino femminile maschile weiblich
        männlich féminin masculin""",
    "EYE": "eye eyes mole flame truth blade sword branches trees",
    "CHICKEN": "chicken turkey duck",
    "FLOOR": "stock stockwerk jahrhundert kapitel bezirk",
    # --- sexual ---------------------------------------------------------------------------------
    "SEX": "sex sexo sexe sesso секс секса сексом сексе",
    "CHROMOSOME": "chromosome chromosomes ratio",
    "EXPLICIT": """orgy orgies threesome semen sperm orgía orgia orgie оргия intercourse coitus
        coito coït penis penises pene pénis пенис erection erections erezione erección érection
        fellatio fellation felación cunnilingus hentai molest molests molested molesting
        molester molestation rape raped rapes rapist raping violación violador violer estupro
        stupro incest inceste incesto sexting sext sexts blowjob handjob dildo
        geschlechtsverkehr beischlaf трахать трахал трахает минет""",
    "PORN": "pron",
    "SOFT": """kink kinks bdsm nipples penetrates penetration sensual nude nudes nudity nue nues
        nackt nackte nackter nackten nuda nudo nua nuas nudi desnudo pelada голая голую голый
        голой undress undresses undressed undressing topless lewd lewdly horny arousal aroused
        lustful virginity striptease lingerie panties thong grope gropes groped groping fondle
        fondles fondled fondling sexy sexily smut smutty nsfw kinky erogenous cock pussy cunt
        tits boobs anal cum cumming slut whore polla coño buceta foder ficken fickt muschi
        scopare""",
    "NAKED": "naked",
    "BREASTS": "breasts brüste senos seios seins",
    "FUCK": "fuck fucks fucked fucking follar",
    "MAKE": """font fais fanno fazem hacen make makes making made hacer hace haciendo fazer faz
        faire fait fare fa machen macht заниматься занимается занимаются""",
    "LOVE": "love amor amour amore liebe любовью",
    "LUST": "lust lusts lusting",
    "PRIVATE": "private intimate",
    "PARTS": "parts relations relationship relationships encounter acts",
    "REMOVE": "take takes took taking remove removes removing removed",
    "CLOTHES": "clothes clothing underwear bra bikini",
    "STEAMY": "steamy spicy bedroom explicit mature",
    "SCENE": """fanfiction fanfics material story stories tale fiction art scene scenes content
        roleplay rp video videos photo photos picture pictures fanfic""",
    "PASSION": "passionate passionately",
    "KISS": "kiss kisses kissing kissed",
    # --- refused by themselves ------------------------------------------------------------------
    "ABSOLUTE": """lolicon shotacon toddlercon pthc csam csem jailbait kidporn childporn
        kiddieporn лоликон""",
    "INFANTILE": """kiddie infantil infantile enfantine infantiles infantili детское детского
        детская""",
}

# The beginnings of words, whatever follows.
STEMS: dict[str, str] = {
    "ADULT": "veinti",
    "AGED": "jährig летн",
    "TEEN": "adolescen подрост lolita",
    "STATED": """undicenn dodicenn tredicenn quattordicenn quindicenn sedicenn diciassettenn
        colegial collégien lycéen écolier écolièr scolarett minderjährig несовершеннолет школьни
        малолет первоклассни старшеклассни детсадов гимназист второкласс третьекласс
        четверокласс пятикласс шестикласс семикласс восьмикласс девятикласс десятикласс
        одиннадцатикласс schoolgirl schoolboy preteen""",
    "CHILD": "девочк мальчик ребенк ребенок детей детям детьми дети детск",
    "OTHER": "sextant sextet sexton sextup sexagen sexis sextill",
    "EXPLICIT": """sex sexual sexuel sexuell sessual сексуал copulat orgas оргазм masturb
        мастурб ejacul éjacul эякул vagin clitor genital vergewaltig изнасил инцест prostitut
        проститут""",
    "PORN": "porno porn порно",
    "SOFT": """erotic erótic érotiq erotik erotis эрот nacktfot seduc séduc seduz sedot verführ
        fetish desnud обнажен развращ совращ соблазн pedophil paedophil pädophil pedófil""",
    "ABSOLUTE": "pedoporn pédoporn kinderporn",
}

# The values of number words.
NUMBERS: dict[int, str] = {
    2: "two dos deux zwei dois duas два две двух",
    3: "three tres trois drei tre três три трех",
    4: "four cuatro quatre vier quattro quatro четыре четырех",
    5: "five cinco cinq fünf cinque пять пяти",
    6: "six seis sechs шесть шести",
    7: "seven siete sieben sette sete семь семи",
    8: "eight ocho huit acht oito восемь восьми",
    9: "nine nueve neun nove девять девяти",
    10: "ten diez dix zehn dieci dez десять десяти",
    11: "eleven undici onze одиннадцать одиннадцати",
    12: "twelve doce douze zwölf dodici doze двенадцать двенадцати",
    13: "thirteen trece treize dreizehn tredici treze тринадцать тринадцати",
    14: "fourteen catorce quatorze vierzehn quattordici catorze четырнадцать четырнадцати",
    15: "fifteen quince quinze fünfzehn quindici пятнадцать пятнадцати",
    16: "sixteen dieciséis sechzehn sedici dezesseis dezasseis шестнадцать шестнадцати",
    17: """seventeen diecisiete dixsept siebzehn diciassette dezessete dezassete семнадцать
        семнадцати""",
    18: "eighteen dieciocho dixhuit achtzehn diciotto dezoito восемнадцать восемнадцати",
    19: "nineteen diecinueve dixneuf neunzehn diciannove dezenove девятнадцать",
}

# Number words with other meanings: numbers only if a unit of age follows.
WEAK_NUMBERS = "one once due sei seize elf otto sept neuf один одна"

ORDINALS = """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
    thirteenth fourteenth fifteenth sixteenth seventeenth fünften sechsten siebten achten neunten
    sexto séptimo octavo noveno sétimo oitavo nono quarta quinta sexta sétima oitava
    первом втором третьем четвертом пятом шестом седьмом восьмом девятом"""

# Prefixes of words in AGED: zwölfjährig, двенадцатилетняя.
NUMBER_FRONTS = """ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn
    fünfzehn sechzehn siebzehn одно двух трех четырех пяти шести семи восьми девяти десяти
    одиннадцати двенадцати тринадцати четырнадцати пятнадцати шестнадцати семнадцати"""

# Suffixes (German) and prefixes (Italian) of numbers from twenty up.
ADULT_ENDS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
ADULT_FRONTS = "ventu ventitr trentu trenta quarant cinquant sessant settant ottant novant"

# Suffixes of adverbs: "actually", "eigentlich", "solamente".
ADVERB_ENDS = "ly lich ment mente"

# Found inside long unknown words.
INSIDE = "yearold underage schoolgirl schoolboy preteen childporn"

# Words in Chinese, Japanese and Korean. OTHER has harmless longer words that contain one of them.
WRITTEN_TOGETHER: dict[str, str] = {
    "AGE": "年齢 年龄 年齡 나이 연령",
    "AGE_UNIT": "歳 岁 歲 才 살 세",
    "BELOW": "未満 未满 未滿 没满 不满 不到 未到 미만",
    "NOT": "不是 没有 沒有 ではない じゃない 아니",
    "FORBIDDEN": "금지 禁止 不可 お断り",
    "STATED": """小学女生 小学男生 初中女生 初中男生 高中女生 高中男生 小学生 小學生 中学生
        中學生 初中生 高中生 高校生 女子高生 男子高生 女子高校生 女子中学生 男子中学生
        女子小学生 男子小学生 女高中生 女中学生 女初中生 女小学生 未成年 幼女 幼儿 幼兒 幼児
        幼童 女童 男童 女児 男児 園児 萝莉 蘿莉 正太 ロリ ショタ 초등학생 중학생 고등학생 여고생
        남고생 여중생 남중생 여학생 초딩 중딩 고딩 미성년 유아 로리 여아 남아""",
    "TEEN": "少女 少年 青少年 十代 십대 소녀 소년 청소년 ティーン",
    "CHILD": """儿童 兒童 孩子 小孩 小女孩 小男孩 子供 子ども こども 児童 아동 어린이 아이 꼬마
        小朋友""",
    "KIN": "女儿 女兒 儿子 兒子 娘 息子 姪 侄女 의붓딸 딸 아들 조카",
    "EXPLICIT": """性交 性行为 性行為 性爱 性愛 性关系 性關係 性器 性侵 性暴力 性欲 做爱 做愛
        强奸 強姦 强暴 強暴 轮奸 诱奸 口交 手淫 自慰 阴茎 陰茎 阴道 セックス フェラ オナニー
        わいせつ レイプ 近親相姦 乱伦 亂倫 섹스 성관계 성교 성행위 성폭행 성추행 강간 자위행위
        근친상간 음란 성적인 성적으로""",
    "PORN": "色情 情色 ポルノ 포르노 야동 エロい エロ画像 エロティ エロチ",
    "SOFT": "裸 脱衣 ヌード 誘惑 勾引 调教 調教 上床 下着姿 エッチ 알몸 나체 누드 유혹",
    "ABSOLUTE": """児童ポルノ 儿童色情 兒童色情 아동포르노 아동음란물 아동성착취물 ロリコン
        ショタコン 로리콘 쇼타콘 未成年色情 恋童""",
    "OTHER": """天才 才能 人才 刚才 才华 세기 세대 살인 소녀시대 칼로리 글로리 플로리 カロリ
        フロリ グロリ トロリ ロリポップ ポルノグラフィティ 裸眼 裸足 上床睡 新娘 老板娘 姑娘
        娘子 大娘 딸기 아이돌 아이디 아이스 아이폰 아이템 성교육 성교회 异性交 同性交 女性交
        男性交 异性关系 两性关系 个性爱 女性爱 男性爱 路口交 出口交 进口交 港口交 여아이돌""",
}
# The same, if no Chinese character or Korean syllable precedes them.
WRITTEN_APART: dict[str, str] = {"EXPLICIT": "性的", "SOFT": "야한"}

NATIVE_TENS = {"열": 10, "스물": 20, "스무": 20, "서른": 30, "마흔": 40, "쉰": 50, "예순": 60}
NATIVE_ONES = {
    "한": 1,
    "두": 2,
    "세": 3,
    "네": 4,
    "다섯": 5,
    "여섯": 6,
    "일곱": 7,
    "여덟": 8,
    "아홉": 9,
}
NUMERALS = (
    {char: value for value, char in enumerate("一二三四五六七八九", 1)}
    | {char: value for value, char in enumerate("일이삼사오육칠팔구", 1)}
    | {"十": 10, "십": 10}
)
