"""The words that distinguish an explicit scene from a mention, by their role in it.

    ACT      the name of a sexual act
    ORGAN    the name of a part of the body
    PART     the same, if `lexicon` does not class it as explicit
    ENTERS   both at once
    VULGAR   words that are more often swearing than meant
    DEED     actions that also occur elsewhere
    WHO      people, if `lexicon` does not class the word as such
    SOBER    words of courts, clinics, classrooms, reports, reviews

The same ten languages as in `lexicon`, which has the other classes that `scenes` uses. Only
clinical terms, and no more than needed; words are folded on loading.
"""

WORDS: dict[str, str] = {
    "ACT": """orgy orgies threesome orgía orgia orgie оргия intercourse coitus coito coït
        fellatio fellation felación cunnilingus blowjob handjob dildo geschlechtsverkehr
        beischlaf трахать трахал трахает минет""",
    "ORGAN": """semen sperm penis penises pene pénis пенис erection erections erezione erección
        érection""",
    "PART": """vulva labia testicles scrotum glans anus hoden testículos testículo testicoli
        testicules вагина вагину вагине вагины влагалище влагалища клитор клитора клитору сперма
        сперму""",
    "ENTERS": "penetrates penetration",
    "VULGAR": """cock pussy cunt tits boobs anal cum cumming slut whore polla coño buceta foder
        ficken fickt muschi scopare""",
    "DEED": """moan moans moaned moaning lick licks licked licking suck sucks sucked sucking
        stroke strokes stroked stroking rub rubs rubbed rubbing climax climaxes climaxed enters
        entered straddle straddles straddled straddling writhe writhes insert inserts inserted
        inserting spreads rides riding gime gimen gimió gimieron gemido gemidos lame lamió lamer
        chupa chupan chupó acaricia acarician acarició frota introduce embiste embestidas geme
        gemem gemeu lambe lambem lambeu esfrega despe despem despiu gémit gémissent gémissements
        suce sucent pénètre pénètrent introduit chevauche stöhnt stöhnst stöhne stöhnen stöhnte
        leckt lecken leckte lutscht saugt reibt dringe dringst dringt eingedrungen eindringt
        streichelt reitet stößt höhepunkt ausgezogen gemono gemette gemiti lecca leccano leccò
        succhia strofina tocca spinge cavalca mete mette nus стонет стонут стонала стоны лижет
        лизать сосет входит вошел вводит гладит трется кончает кончил кончила""",
    "WHO": """other together ellos ellas ambos sí consigo eles elas ils elles eux chacun ihn ihm
        ihren ihrem ihrer einander beide loro entrambi li gli они них ним неё нее него ней нему
        оба обе друг""",
    "SOBER": """studies survey surveys percent research researchers researcher court courts
        trial jury verdict convicted sentenced prosecutor prosecutors prosecution alleged
        allegation allegations defendant victim victims testified testimony lawsuit attorney
        symptom symptoms infection infections infected disease diseases therapy contraception
        contraceptive contraceptives condom condoms pregnancy pregnant fertility fertilisation
        fertilization ovulation hormone hormones puberty anatomy diagnosis surgery patients
        clinical medical medicine urologist gynaecologist gynecologist cancer prostate uterus
        ovary ovaries cervix tissue glands statistics species mating animals mammals insects
        males females offence offense education textbook curriculum journal article articles
        museum sculpture statue exhibition festival documentary movie movies film films novel
        novels author critics podcast magazine policy guidelines consent assault assaults abuse
        abused survivor survivors hotline helpline clinic hospital vaccine hiv aids chlamydia
        police detective detectives murder murdered forensic autopsy evidence crime suspect
        mordfall tatort obduktion kommissar asesinato autopsia assassinato meurtre
        autopsie omicidio убийство убийства вскрытие следователь
        gonorrhoea gonorrhea syphilis herpes hpv painful itching swollen lump dryness douleurs
        schmerzen dolore болит couples experts expert midwife dysfunction estudio estudios
        encuesta tribunal juicio acusado acusada condenado víctima víctimas fiscalía fiscal
        policía delito síntomas infección infecciones enfermedad enfermedades anticonceptivo
        anticonceptivos preservativo preservativos embarazo embarazada fertilidad hormonas
        pubertad anatomía próstata útero cirugía médico médica médicos pacientes educación ley
        leyes especie especies animales película películas novela museo escultura consentimiento
        abuso abusos agresión investigación parejas estudo estudos pesquisa julgamento acusação
        réu vítima vítimas polícia sintomas infecção infecções doença doenças anticoncepcional
        camisinha gravidez grávida fertilidade hormônios puberdade cirurgia educação leis
        espécie animais filme filmes romance museu consentimento agressão casais étude études
        enquête procès accusé accusée condamné victime victimes parquet symptômes maladie
        maladies préservatif préservatifs grossesse enceinte fertilité puberté anatomie utérus
        chirurgie médecin médecins médical médicale éducation loi lois délit espèce espèces
        animaux roman musée agression recherche chercheurs studie studien umfrage prozent
        gericht gerichts landgericht urteil prozess angeklagt angeklagte angeklagten verurteilt
        staatsanwaltschaft anklage opfer polizei straftat symptome infektion infektionen
        krankheit krankheiten verhütung kondom kondome kondomen schwangerschaft schwanger
        fruchtbarkeit pubertät prostata gebärmutter operation arzt ärzte ärztin aufklärung
        unterricht gesetz gesetze tiere tierart skulptur ausstellung übergriff übergriffe
        missbrauch einwilligung forschung forscher paare studio sondaggio tribunale processo
        imputato condannato vittima vittime procura polizia reato sintomi infezione infezioni
        malattia malattie contraccezione contraccettivi gravidanza incinta fertilità ormoni
        pubertà utero chirurgia medico medici pazienti educazione legge leggi specie animali
        romanzo scultura consenso abusi aggressione ricerca ricercatori coppie исследование
        исследования исследований опрос процентов суд суда суде приговор обвинение обвиняемый
        подсудимый осужден осудили потерпевшая потерпевшей жертва жертвы следствие полиция
        полиции статья преступление симптомы инфекция инфекции инфекций болезнь болезни
        заболевания контрацепция презерватив презервативы беременность беременности гормоны
        анатомия матка матки операция врач врачи врача медицина пациентов пациенты образование
        закон закона виды животные животных фильм фильма роман музей насилие насилия согласие
        пары ученые""",
}

# The beginnings of words.
STEMS: dict[str, str] = {
    "ACT": "copulat orgas оргазм masturb мастурб ejacul éjacul эякул",
    "ORGAN": "vagin clitor genital",
    "DEED": """thrust penetr ejakul eyacul eiacul caress acarici accarezz deshabill раздева
        проник ласка стонущ entkleid streichel""",
}

# Found inside text without spaces.
WRITTEN_TOGETHER: dict[str, str] = {
    "ACT": """性交 性行为 性行為 性爱 性愛 性关系 性關係 做爱 做愛 口交 手淫 自慰 セックス
        フェラ オナニー 섹스 성관계 성교 성행위 자위행위""",
    "ORGAN": "性器 阴茎 陰茎 阴道",
    "PART": """ペニス クリトリス オーガズム 精液 勃起 膣 阴蒂 阴唇 龟头 下体 私处 음경 음핵 정액
        발기 페니스 오르가슴 오르가즘 클리토리스""",
    "DEED": """挿入 喘ぎ 喘ぐ 喘い 舐め 愛撫 絶頂 射精 腰を動かし 腰を振 插入 抽插 呻吟 舔 爱抚
        高潮 삽입 신음 핥 애무 절정 사정 벗기""",
    "WHO": """彼女 彼は 彼の 彼が 彼を 二人 ふたり 她的 他的 她们 他们 她們 他們 两人 兩人 彼此
        그녀 그는 그의 그가 두사람 서로""",
    "SOBER": """研究 調査 裁判 判決 被告 被害 逮捕 病院 医師 症状 感染 避妊 妊娠 治療 教育 動物
        統計 映画 作品 記事 法律 警察 講座 検査 患者 痛い 痛み 疼痛 很疼 会疼 통증 아프 아파
        法院 法庭 判决 警方 受害 医院 医生 避孕 怀孕 治疗 动物 统计 调查 电影 电视剧 疾病 疫苗
        課程 课程 专家 법원 재판 판결 피고 피해 경찰 체포 병원 의사 증상 감염 피임 임신 치료
        교육 동물 통계 조사 연구 영화 혐의 법률 환자 전문가""",
}
