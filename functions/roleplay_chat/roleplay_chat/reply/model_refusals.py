"""Recognises replies that are only a model's refusal to write.

A reply counts only if every sentence matches the tables here. A character who says "I'm sorry, but
I can't help you, traveller" does not, nor does anything with a gesture, a name or a story in it.
docs/decisions.md explains what follows from a refusal.
"""

from functools import cache

import regex

LONGEST_CHARS = 300
"""Longer replies are not taken for refusals, so their beginning is not held back any longer."""

_REFUSAL = (
    # English
    r"(i('m| am) )?((very|really|so) )?(sorry|afraid),?( but)? (that )?i {cannot}"
    r" (help|assist)( you)?( with (that|this)( {thing})?)?",
    r"i {cannot} (assist|comply)( you)?( with (that|this|your)( {thing})?)?",
    r"((i('m| am) )?sorry,?( but)? )?i {cannot}( \w+){{0,2}} ({write})( in| with)? (that|this"
    r"|your|any|an?"
    r"|such|explicit|sexual|sexually|inappropriate|harmful|content|material)( [\w-]+){{0,3}}"
    r" {thing}{tail}",
    r"i (must|have to|need to)( respectfully| politely)? decline (that|this|your|to)("
    r" \w+){{0,6}}",
    r"as an? (ai|artificial intelligence)( language)?( model| assistant)?( (developed|created"
    r"|trained) by \w+)?,?"
    r" i('m| am)? (not (able|allowed|programmed|designed|comfortable)|unable|{cannot}|do not"
    r"|don't|must|have to"
    r"|strive|aim|(am )?designed|(am )?programmed){tail}",
    r"(that|this)( {thing})? (goes|is) against my (guidelines|programming|policies"
    r"|principles){tail}",
    # Spanish
    r"lo siento,?( pero)? no puedo (ayudar(te|le)?|asistir(te|le)?|cumplir|continuar)"
    r" (con|en) (eso|esto|(esa|esta|tu|su) (solicitud|petición|conversación))",
    r"como (modelo de lenguaje|(una )?(ia|inteligencia artificial)|asistente( virtual| de"
    r" ia)?)( de ia)?,? no {es}{tail}",
    # Portuguese
    r"(desculpe|sinto muito|lamento),?( mas)? (eu )?não posso (ajudar|ajudá-lo|atender"
    r"|continuar)( com)?"
    r" (isso|isto|essa|esse|esta|a essa|a esse)( (solicitação|pedido|conversa))?",
    r"como (um |uma )?(modelo de linguagem|ia|inteligência artificial|assistente( virtual| de"
    r" ia)?)( de ia)?,? (eu )?não {pt}{tail}",
    # French
    r"(je suis )?désolée?,?( mais)? je ne peux pas (vous |t')?(aider|répondre|continuer"
    r"|donner suite)"
    r" (avec|à|dans|sur) (cela|ça|(cette|votre|ta) (demande|requête|conversation))",
    r"en tant qu('|e )(modèle de langage|ia|intelligence artificielle|assistant( virtuel|"
    r" ia)?)( d'ia)?,? je (ne|n'){tail}",
    # German
    r"(es )?tut mir (wirklich )?leid,?( aber)? (ich kann (ihnen |dir )?|dabei kann ich (ihnen"
    r" |dir )?)"
    r"(dabei |damit |bei dieser anfrage |diese anfrage )?(leider )?nicht (helfen|weiterhelfen"
    r"|erfüllen|behilflich sein)",
    r"als (ki|künstliche intelligenz|(ki-)?sprachmodell|ki-(modell|assistent))( von \w+)? "
    r"(kann|darf|bin|habe) ich{tail}",
    # Italian
    r"mi dispiace,?( ma)? non posso (aiutarti|aiutarla|assisterti|soddisfare|continuare)"
    r" (con|in)? ?(questo|questa|quello|ciò)( (richiesta|conversazione))?",
    r"come (modello (di linguaggio|linguistico)|ia|intelligenza artificiale|assistente("
    r" virtuale)?)( ai)?,? non {it}{tail}",
    # Russian
    r"(извините|простите|к сожалению|мне жаль),?( но)? я не могу (помочь (вам |тебе )?(с этим"
    r"|в этом)( запросом)?"
    r"|выполнить (этот|ваш|твой) запрос)",
    r"как (языковая модель|искусственный интеллект|ии|ии-ассистент),? я не{tail}",
    # Chinese, Japanese, Korean
    r"(很|非常)?(抱歉|对不起)[，,]?(但)?我(无法|不能)(协助|帮助|满足|完成|提供|回答"
    r"|继续)[^。！？\n]{{0,20}}(请求|要求|内容|问题|帮助|对话)",
    r"(作为|身为)一?个?(人工智能|ai)(语言)?(模型|助手|助理)?[，,]?我(无法|不能|不会){tail}",
    r"(申し訳(ありません|ございません)|すみません|ごめんなさい)(が)?[、,]?[^。！？\n]{{0,20}}"
    r"(リクエスト|ご要望|ご依頼|要求|内容)[^。！？\n]{{0,10}}(できません|できかねます"
    r"|お応えできません)",
    r"(私は)?ai(言語モデル|アシスタント)?(として|なので|であるため)[、,]?{tail}(できません"
    r"|できかねます)",
    r"(죄송합니다|미안합니다|죄송하지만|미안하지만)[.,]?( 하지만)? ?(그|이|해당|그런|이런) ?"
    r"(요청|내용|대화)[^.!?\n]{{0,20}}"
    r"(수 없습니다|없어요|어렵습니다)",
    r"(저는 )?(ai|인공지능)( 언어)?( 모델| 어시스턴트)?(로서|이므로|이기 때문에),?{tail}(수"
    r" 없습니다|없어요)",
)
_BEGINNINGS = (
    *("afr", "as ", "i ", "i'", "rea", "so ", "sor", "tha", "thi", "ver"),  # English
    *("com", "lo ", "des", "lam", "sin", "dés", "en ", "je "),  # Spanish, Portuguese, French
    *("als", "es ", "tut", "mi ", "изв", "к с", "как", "мне", "про"),  # German, Italian, Russian
    *("作为", "对不", "很", "抱歉", "身为", "非常", "ai", "ごめ", "すみ", "申し", "私は"),
    *("미안", "인공", "저는", "죄송"),
)
"""How the sentences above begin. Most replies begin otherwise, and need no pattern compiled."""
_BEGINNING_CHARS = 4
"""More than any of them has."""
_FOLLOWING = (
    r"(is there|can i|could i|may i|how( else)? can i|what else can i|would you like)("
    r" \w+){{0,8}}"
    r" (help|assist|something|anything|discuss|talk)( [\w']+){{0,10}}",
    r"(please )?(let me know|feel free)[^.!?\n]{{0,100}}",
    r"(but )?(i('d| would) be|i('m| am)) (happy|glad) to (help|assist)[^.!?\n]{{0,100}}",
    r"if you (have|need|want|would like|'d like)[^.!?\n]{{0,120}}",
    r"(let's|perhaps we could|maybe we could|we could) (talk|discuss|focus|change"
    r"|explore)[^.!?\n]{{0,100}}",
    r"(thank you|thanks) for (your )?understanding",
    r"(my|i'm|i am) (purpose|designed|here|programmed)[^.!?\n]{{0,120}}",
    r"¿[^?\n]{{0,80}}(ayudar|asistir)[^?\n]{{0,60}}",
    r"(posso|há|existe)[^.!?\n]{{0,40}} (ajudar|ajudá-lo)[^.!?\n]{{0,60}}",
    r"(puis-je|comment puis-je|y a-t-il)[^.!?\n]{{0,100}}",
    r"(kann ich|wie kann ich|gibt es)[^.!?\n]{{0,60}} (helfen|tun)[^.!?\n]{{0,60}}",
    r"(posso|c'è)[^.!?\n]{{0,40}} (aiutarti|aiutarla)[^.!?\n]{{0,60}}",
    r"(могу ли я|чем( ещё| еще)? я могу|если (у вас|вам))[^.!?\n]{{0,100}}",
    r"(如果|请问|还有|请)[^。！？\n]{{0,60}}",
    r"(他に|何か|もし)[^。！？\n]{{0,60}}",
    r"(다른|혹시|도움이)[^.!?\n]{{0,60}}",
)
"""Sentences that follow a refusal. Alone they are not one."""

_OUT_OF_CHARACTER = (
    # English
    r"\b(ai|artificial intelligence|language model|assistant|guidelines?|polic(y|ies)|programm(ed"
    r"|ing)|content|material|explicit|sexual(ly)?|inappropriate|harmful|role-?play|themes?"
    r"|scenario|activit(y|ies))\b",
    r"\b(help|assist|fulfil|fulfill|respond|engage|participate|create|write)\b[^.!?]{{0,30}}"
    r"\b(request|kind of|type of)\b",
    r"\b(feel free|let me know|other questions|something else|anything else|happy to (help|assist)"
    r"|understanding)\b",
    # Spanish, Portuguese, French, German, Italian, Russian
    r"\b(ia|inteligencia artificial|inteligência artificial|intelligence artificielle|intelligenza"
    r" artificiale|ki|künstliche intelligenz|ии|искусственный интеллект)\b",
    r"modelo de|modèle de|modello|sprachmodell|ki-|языковая|asistente|assistente|solicitud|petición"
    r"|solicitação|pedido|requête|demande|richiesta|anfrage|запрос|convers",
    # Chinese, Japanese, Korean
    r"人工智能|请求|内容|对话|帮助您|リクエスト|ご要望|ご依頼|内容|인공지능|요청|내용|대화",
)
"""Words that no character needs to say no to somebody."""

_PARTS = {
    "cannot": r"(can't|cannot|can not|won't|will not|am (not able|unable) to|'m (not able"
    r"|unable) to)",
    "thing": r"(request|content|scenario|material|activit(y|ies)|role-?play|themes?"
    r"|kind of (request|content|thing)|type of (request|content|thing))",
    "write": r"write|create|generate|produce|provide|continue|engage|participate|fulfill"
    r"|fulfil|respond to",
    "tail": r"[^.!?。！？\n]{0,160}",
    "es": r"(puedo|tengo|me es posible|estoy)",
    "pt": r"(posso|tenho|consigo|estou)",
    "it": r"(posso|ho|sono)",
}
_END = r"([.!?。！？…]+|$)[\"”]?"


def _any(sentences: tuple[str, ...]) -> str:
    return "|".join(f"(?:{sentence.format(**_PARTS)})" for sentence in sentences)


@cache
def _reply() -> regex.Pattern[str]:
    """The compiled pattern, made on first use: it takes tens of milliseconds."""
    return regex.compile(
        rf"\s*(?:{_any(_REFUSAL)}){_END}(?:\s*(?:{_any((*_REFUSAL, *_FOLLOWING))}){_END})*+\s*",
        regex.IGNORECASE,
    )


def is_model_refusal(text: str) -> bool:
    """Whether the text is only a refusal."""
    return _begins_like_one(text) and bool(_reply().fullmatch(_plain(text)))


def may_become_model_refusal(text: str) -> bool:
    """Whether the text could become one that is only a refusal."""
    beginning = _beginning(text)
    if any(one.startswith(beginning) for one in _BEGINNINGS):
        return len(text) <= LONGEST_CHARS
    return _begins_like_one(text) and bool(_reply().fullmatch(_plain(text), partial=True))


def _begins_like_one(text: str) -> bool:
    return len(text) <= LONGEST_CHARS and _beginning(text).startswith(_BEGINNINGS)


def _beginning(text: str) -> str:
    return _plain(text[:LONGEST_CHARS].lstrip()[:_BEGINNING_CHARS].casefold())


@cache
def _out_of_character() -> regex.Pattern[str]:
    return regex.compile(_any(_OUT_OF_CHARACTER), regex.IGNORECASE)


def may_be_in_character(text: str) -> bool:
    """Whether a refusal consists only of words that a character may also say."""
    return not _out_of_character().search(_plain(text))


def _plain(text: str) -> str:
    return text.replace("’", "'").replace("‘", "'")
