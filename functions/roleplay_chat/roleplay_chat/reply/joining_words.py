"""Words that tell whether the end of a reply and the beginning of its continuation are one word.
Each list is one text, because few replies are continued."""

COMMON = """
a about after again against all alone along also am an and any are around as at away back be
because been before behind being below beneath beside between but by can could did do does down
each even every for from had has have he her here hers herself him himself his how i if in
inside into is it its itself just like me might more must my near no nor not now of off on once
one only onto or other our out over past perhaps quite she should since slowly so softly some
still such than that the their them then there these they this those though through till to
together too toward towards under until up upon us very was we were what when where which while
who whose why will with within without would you your yours own

aber als am an auch auf aus bei bis da dabei damit dann das dass dem den denn der des die doch
du durch ein eine einem einen einer eines er es etwas für gegen hat hatte hinter ich ihm ihn ihr
ihre ihren im in ins ist ja jetzt kein keine langsam man mehr mein mich mir mit nach neben nicht
nichts noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner sich sie sind so
über um und uns unter vom von vor war was weil wenn wer wie wieder wir wird wo zu zum zur
zwischen

à au aussi autour aux avec avant ce ces cette chez comme contre dans de depuis derrière des dont
du elle elles en encore entre est et eux il ils je jusque la le les leur lentement lui ma mais
me mes moi mon ne nous on ou où par pas pendant peu plus pour puis quand que qui sa sans se ses
si son sous sur te tes toi ton tous tout très trop tu un une vers vous y

al algo ante antes así bajo como con contra cuando de del desde después donde dos el ella ellos
en entonces entre era es esa ese eso esta este esto está hacia hasta la las le lentamente lo los
me mi más mientras muy nada ni no nos o otra otro para pero por porque que quien se ser si sin
sobre su sus también tan te todo tras tu tus un una uno y ya yo

ainda ao aos após até com da das de dela dele depois do dos e ela ele em enquanto era essa esse
esta este está eu foi há isso já lentamente mais mas me meu minha muito na nas nem no nos não
num numa o onde os ou outra outro para pela pelo pelos por porque quando que se sem ser seu sob
sobre sua são também tudo um uma você

ad agli ai al alla alle allo anche ancora che chi ci con contro così da dagli dal dalla dei del
della delle dentro di dietro dopo dove due e ed egli era essere fino fra già gli ha i il in io
la le lei lo loro lui ma me mentre mi molto ne nei nel nella nelle no noi non nulla o ogni per
perché piano più poi quando quella quello questa questo se senza si sono sopra sotto su sua sue
sul sulla suo suoi tra tu tutto un una uno verso voi

aan achter al als bij daar dan dat de deze die dit door een en er haar had heeft hem het hier
hij hoe hun ik in is je maar me meer met mij mijn na naar niet nog nu of om onder ook op over te
tegen toen tot uit van voor waar was wat we weer wie worden zich zij zijn zo zonder

i a w z na do od po za o u ale bo by co dla gdy i ich ja jak jego jej jest już lub ma mi może mu
na nad nie niego niej nim o od on ona oni po pod przed przez przy się są ta tak także tam te
tego ten to tu tylko ty w we więc z za ze że żeby

а без был была были было быть в вдоль вверх вниз во возле вот всё все где да для до его ей ему
если ещё же за и из или им их к как ко когда кто ли лишь медленно меня мне мы на над не него нее
ней нет ни ним но ну о об он она они оно от по под пока после потом почти при про с сам себе
себя сквозь со так там тебя тихо то тоже только ты тут у уже чем через что чтобы это этот я

bir bu da daha de gibi için ile o ona onu şu ve ya
"""
"""Words that are common in a language, a paragraph for each."""
ENDINGS = """
ing ings ingly ly ed es est ness nesses tion tions sion sions ment ments ful fully ible ably ous
ously ive ives ity ities ies ied ier iest ish ism ist ists ian ians ance ence ances ency ancy
ight ights ound ould ouse ouses ooth ook ooked ooks ked ks kes ped ping pes ting ter ters ning
nes ner ling les ved ving ves ver ces ced cing ges ged ging gers der ders dered lder lders mber
ther wards ung ungen lich liche lichen keit heit isch ische ischen schaft chen lein ert tet
enden mente aient ait ais ant ante antes eux euse ière ités ité ique iques ción ciones ando
iendo aba aban ado ada ados adas idad ería ção ções endo indo ava avam idade zione zioni avano
ato ata ati ate ità ость ости ение ения ания ание ать ять ить ться лся лась ого его ому ему ыми
ими ский ская ское ные ная ers sam haft ает ают яет яют ует уют ет ют ит ят ал ала али ил ила ел
ела ыл ыла нул нула ся сь ой ый ий ая ое ые ов ев ами ями ах ях
"""
"""Endings of words with which no word begins."""
SHORT = """
ace act add ado age ago aid ail aim air ale alp amp ant ape apt arc ark arm art ash ask ate awe axe
aye bad bag ban bar bat bay bed bee beg bet bid big bin bit boa bob bog boo bow box boy bra bud bug
bum bun bus buy bye cab cap car cat cob cod cog cop cot cow coy cry cub cue cup cut dam day den dew
did die dig dim din dip doe dog don dot dry dub due dug duo dye ear eat ebb eel egg ego elf elk elm
end eve ewe eye fad fan far fat fed fee few fig fin fir fit fix flu fly foe fog fox fry fun fur gag
gap gas gel gem get gig gin god got gum gun gut guy gym hag ham hat hay hem hen hid hip hit hob hoe
hog hop hot hub hue hug hum hut ice icy ill imp ink inn ion ire irk ivy jab jam jar jaw jay jet jig
job jog joy jug keg key kid kin kit lab lad lag lap law lax lay led leg let lid lie lip lit log lot
low mad man map mat maw may men met mew mid mix mob moo mop mud mug nap net new nib nil nip nod nun
nut oak oar oat odd ode oil old one opt orb ore owe owl own pad pal pan par pat paw pay pea peg pen
pep pet pew pie pig pin pit ply pod pop pot pry pub pun pup put rag ram ran rap rat raw ray red rib
rid rig rim rip rob rod roe rot row rub rue rug rum run rut rye sad sap sat saw say sea see set sew
shy sin sip sir sit six ski sky sly sob son sow soy spa spy sub sue sum sun tab tag tan tap tar tax
tea ten tie tin tip toe ton top tow toy try tub tug two urn use van vat vet vex via vie vow wad wag
war wax way web wed wet who why wig win wit woe won woo wow yak yam yap yaw yea yep yes yet yew zip
ah aw eh er ha hi hm ho hey hah huh mm mmm my nah oh ok oi ow pa ma shh ugh uh uhm um whoa yo ya hmm
pm mr mrs ms dr st tv i'm o
"""
"""English words of at most three letters, in addition to common ones. There are few others, so
other letters are a part of a word."""
COMPOUND = """
afternoon airport another anybody anymore anyone anything anytime anyway anywhere armchair backpack
backward backwards bathroom bathtub bedroom bedside bloodstream bluebird bookshelf boyfriend
breakfast bridesmaid broomstick butterfly campfire candlelight candlestick cannot cardboard
carefree cheekbone cheekbones classroom cobblestone cobblestones collarbone courtyard cupboard
dawnlight daydream daylight deadline doorbell doorframe doorknob doorstep doorway downhill
downstairs downtown downward dragonfly driftwood driveway dumbfounded earring earrings earthquake
elsewhere everybody everyday everyone everything everywhere eyebrow eyebrows eyelash eyelashes
eyelid eyelids eyesight farewell fingernail fingernails fingertip fingertips firefly firelight
fireplace firewood flashlight floorboard floorboards football footprint footprints footstep
footsteps forehead forever forward framework freshwater friendship fullness gentleman girlfriend
goodbye goodnight grandfather grandmother graveyard guidebook hallway halfway handful handkerchief
handshake handwriting headache heartbeat heartbeats heartbroken herself hillside himself homeland
homesick homework horseback household housework inside itself jawline keyhole kneecap lakeside
lamplight landlord landscape lifetime lighthouse likewise lipstick longbow makeup maybe meanwhile
midday midnight moonlight moonlit motherland motionless mountainside moustache myself necklace
newcomer newspaper nightfall nightgown nightmare nightmares nobody nonetheless notebook nothing
nowhere oneself onlooker ourselves outburst outfit outline outlook outside outward overboard
overcome overhead overlook overnight overwhelmed pancake passenger password pathway pillowcase
playground ponytail popcorn raincoat raindrop raindrops rainfall riverbank roadside rooftop
rooftops sailboat sandstone scarecrow seagull seagulls seashell seashore seaside shipwreck shoelace
shopkeeper shortcut sideways silverware skyline smokehouse snowfall snowflake snowflakes somebody
someday somehow someone something sometime sometimes somewhat somewhere spellbound spotlight
staircase stairwell starlight stepmother stronghold suitcase sunlight sunlit sunrise sunset
sunshine sweetheart tablecloth teacup teapot teardrop themselves thunderstorm timetable today
toenail tombstone tonight toothbrush torchlight touchdown treetop treetops twilight underground
underneath understand understood undertaker underwater uphill upright upstairs upward upwards
waistcoat wallpaper warehouse warlord warship waterfall waterfront weekend whatever whenever
wherever whichever whirlpool whoever wildflower wildflowers windowsill windshield wineglass within
without woodland workshop worthwhile wristwatch yourself yourselves
"""
"""English words that consist of two words which hardly ever stand next to each other otherwise."""
DOUBLED = """
no so very more now again on up down you well still do and too off bis ja nein mehr oui non sí
si más mais più да нет ну ещё так
"""
"""Words that are said twice on purpose."""
PARTICLES = """
은 는 이 가 을 를 에 의 도 로 와 과 만 요 다 서 에서 에게 으로 까지
부터 처럼 보다 마다 조차 하고 했다 한다 하며 하는 해요 습니다 입니다 았다
었다 였다 겠다 는다 지만 면서 니다 으며 라고 이라고 에는 에서는 에도 이며
이다 히 들 들이 들은 들을 들의 에서도 네요 어요 아요 었어요 았어요 는데
은데 어서 아서 려고 도록 었던 았던
"""
