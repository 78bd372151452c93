"""What the template writer says between the facts, language by language.

Glue states nothing about the topic: it turns the head, it does not inform. `{topic}` is the topic,
`{fact}` a fact in the middle of a sentence, `{count}` the number of facts told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's glue; every tuple offers variety, chosen by topic and channel.

    `starters` are words that may become small when a sentence moves behind a hook; `small` are
    words that never begin or end a heading: those without a meaning of their own, and common verbs.
    `pointing` words refer to something said before, so that their fact cannot come first.
    """

    titles: tuple[str, ...]
    hooks: tuple[str, ...]
    teasers: tuple[str, ...]
    openers: tuple[str, ...]
    last_openers: tuple[str, ...]
    outros: tuple[str, ...]
    farewells: tuple[str, ...]
    outro_headings: tuple[str, ...]
    in_this_video: str
    source: str
    made_by: str
    starters: frozenset[str]
    small: frozenset[str]
    pointing: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = Phrases(
    titles=(
        "{topic}: {count} Facts Worth Remembering",
        "{topic} in {count} Surprising Facts",
        "{count} Things to Know About {topic}",
        "{topic}: {count} True Things to Tell a Friend",
    ),
    hooks=(
        "Did you know that {fact}",
        "Here is something to think about: {fact}",
        "You may not believe this at first: {fact}",
        "Would you have guessed that {fact}",
        "Imagine telling a friend that {fact}",
    ),
    teasers=(
        "And that is only the beginning.",
        "Stay with me, there is more to it.",
        "It sounds made up, but it is true.",
        "Let that sink in for a moment.",
    ),
    openers=(
        "Let's take a closer look.",
        "It gets better.",
        "And there is more.",
        "Now look at it from another side.",
        "Keep this one in mind.",
        "Then there is this.",
        "Here is one to tell a friend.",
        "Now for the next surprise.",
    ),
    last_openers=("And finally, my favourite.", "One more, before you go.", "Last but not least."),
    outros=(
        "Now you know a little more about {topic}.",
        "So much for {topic}.",
        "And that was our look at {topic}.",
    ),
    farewells=(
        "Which of these surprised you most? Tell me in the comments.",
        "If you learned something, pass it on.",
        "Stay curious, and see you in the next one.",
    ),
    outro_headings=("Stay Curious", "Pass It On", "Until Next Time"),
    in_this_video="In this video:",
    source="Read more:",
    made_by="Voice and pictures are computer-generated; the facts come from the source above.",
    starters=_words(
        "a an the it its this that these those in on at by for from with within without no not all"
        " some most many more about around every each one two three four five six seven eight nine"
        " ten their they there when while if only under over after before between during even"
    ),
    small=_words(
        "a an the and or but so nor yet of to in on at by for from with without within into onto"
        " over under about around between than then as is are was were be been being it its he she"
        " they them their his her this that these those there here which who whose what when where"
        " how why can could may might will would shall should must do does did has have had not no"
        " only even still just also more most less least very much many some any each every all"
        " other another such own same up down out off if because while although since until before"
        " after during through across per more too we you i our your up nearly almost usually"
        " once again in so that's it's as never always ever both either neither one ones onto"
        " them like make makes made take takes took go goes went come comes came get gets got"
        " cannot carries carry tell tells told keep keeps kept called built build seen see sees"
        " saw find found finds show shows showed shown run runs ran stand stands stood hold holds"
        " held grow grows grew move moves moved say says said think thought help helps helped"
        " begin begins began open opens opened launched finished become becomes became reach"
        " reaches reached cover covers covered published survive survives survived stay stays"
        " stayed stop stops cast walk walks walked cross crosses crossed count instead relative"
        " itself himself herself themselves together alone somewhere nearly exactly roughly slowly"
        " around usually entirely probably known mixed passed passes received lift lifts losing"
        " losed flows flow saves save brought visit visits visited recorded measured stretched"
        " running works worked lies lie later ago away flashes explodes faces drifts range ranges"
        " erupt squeeze feeds eat pumps beats closing speaks spoke started died born won lost sent"
        " send sends spent spend meant mean means eats drink use uses used call calls"
    ),
    pointing=_words(
        "it its itself he him his she her hers they them their this these those there here then"
        " later such that both former latter one ones afterwards since also too instead"
    ),
)

_SPANISH = Phrases(
    titles=(
        "{topic}: {count} datos para recordar",
        "{topic} en {count} datos sorprendentes",
        "{count} cosas que debes saber sobre {topic}",
    ),
    hooks=("¿Sabías que {fact}", "¿Te imaginabas que {fact}", "Piénsalo un momento: {fact}"),
    teasers=(
        "Y esto es solo el principio.",
        "Quédate, que todavía hay más.",
        "Parece inventado, pero es verdad.",
    ),
    openers=(
        "Veámoslo más de cerca.",
        "La cosa mejora.",
        "Y todavía hay más.",
        "Míralo ahora desde otro lado.",
        "Recuerda bien este dato.",
        "Y luego está esto.",
        "Este es para contárselo a un amigo.",
    ),
    last_openers=("Y por último, mi favorito.", "Uno más, antes de terminar."),
    outros=("Ahora sabes un poco más sobre {topic}.", "Hasta aquí, {topic}."),
    farewells=(
        "¿Qué dato te ha sorprendido más? Cuéntamelo en los comentarios.",
        "Si has aprendido algo, compártelo.",
        "Mantén la curiosidad y hasta la próxima.",
    ),
    outro_headings=("Hasta la próxima", "Sigue curioseando"),
    in_this_video="En este vídeo:",
    source="Más información:",
    made_by="Voz e imágenes generadas por ordenador; los datos proceden de la fuente indicada.",
    starters=_words(
        "el la los las un una unos unas su sus este esta estos estas en con sin no todo toda todos"
        " cada hay más la lo se desde hasta por para cuando solo dos tres cuatro cinco"
    ),
    small=_words(
        "el la los las un una unos unas y o u e pero ni de del a al en con sin por para desde hasta"
        " sobre entre que quien cual cuando donde como es son fue fueron era eran ser está están"
        " se su sus lo le les este esta estos estas ese esa eso no sí más menos muy ya todo toda"
        " todos todas cada solo también hay ha han había puede pueden unos aleja alejan mira miran"
        " hacia siempre caminado durar dura llega llegan tiene tienen"
    ),
    pointing=_words("su sus ella él ellos ellas lo le les este esta esto ese esa eso allí aquí"),
)

_GERMAN = Phrases(
    titles=(
        "{topic}: {count} Fakten zum Merken",
        "{topic} in {count} erstaunlichen Fakten",
        "{topic}: {count} Dinge zum Weitererzählen",
    ),
    hooks=("Kaum zu glauben: {fact}", "Wer hätte das gedacht? {fact}", "Stell dir vor: {fact}"),
    teasers=(
        "Und das ist erst der Anfang.",
        "Bleib dran, da kommt noch mehr.",
        "Klingt erfunden, ist aber wahr.",
    ),
    openers=(
        "Schauen wir genauer hin.",
        "Es wird noch besser.",
        "Und das ist nicht alles.",
        "Jetzt von einer anderen Seite.",
        "Das hier lohnt sich zu merken.",
        "Und dann wäre da noch das.",
        "Das kannst du weitererzählen.",
    ),
    last_openers=("Und zum Schluss mein Favorit.", "Eins noch, bevor du gehst."),
    outros=("Jetzt weißt du etwas mehr über: {topic}.", "So viel zum Thema: {topic}."),
    farewells=(
        "Was hat dich am meisten überrascht? Schreib es in die Kommentare.",
        "Wenn du etwas gelernt hast, erzähl es weiter.",
        "Bleib neugierig, und bis zum nächsten Mal.",
    ),
    outro_headings=("Bleib neugierig", "Bis zum nächsten Mal"),
    in_this_video="In diesem Video:",
    source="Mehr dazu:",
    made_by="Stimme und Bilder sind computererzeugt; die Fakten stammen aus der genannten Quelle.",
    starters=frozenset(),  # German hooks end before the fact: its word order does not change
    small=_words(
        "der die das den dem des ein eine einen einem einer eines und oder aber sondern von vom zu"
        " zum zur in im an am auf aus bei mit nach seit über unter um für durch gegen ohne bis als"
        " wie ist sind war waren sein wird wurde wurden hat haben hatte er sie es wir ihr sich ihre"
        " sein seine nicht kein keine nur auch noch schon sehr mehr weniger alle alles jede jeder"
        " dass weil wenn ob da dort hier lang bis zu kann können so rund etwa halten hält wächst"
        " fertig ausdehnt liegt steht gibt geht"
    ),
    pointing=_words(
        "er sie es ihm ihn ihr ihre ihren seine sein seinen seiner dort hier dies diese"
    ),
)

_FRENCH = Phrases(
    titles=(
        "{topic} : {count} faits à retenir",
        "{topic} en {count} faits étonnants",
        "{topic} : {count} choses à raconter",
    ),
    hooks=("Difficile à croire : {fact}", "Qui l'aurait cru ? {fact}", "Imaginez un peu : {fact}"),
    teasers=(
        "Et ce n'est que le début.",
        "Restez, ce n'est pas fini.",
        "On dirait une invention, mais c'est vrai.",
    ),
    openers=(
        "Regardons de plus près.",
        "Mais il y a mieux.",
        "Et ce n'est pas tout.",
        "Voyons cela sous un autre angle.",
        "Retenez bien ceci.",
        "Et puis il y a ceci.",
        "À raconter à vos amis.",
    ),
    last_openers=("Et pour finir, mon préféré.", "Un dernier, avant de partir."),
    outros=("Vous en savez un peu plus sur ce sujet : {topic}.", "Voilà pour ce sujet : {topic}."),
    farewells=(
        "Qu'est-ce qui vous a le plus surpris ? Dites-le en commentaire.",
        "Si vous avez appris quelque chose, partagez-le.",
        "Restez curieux, et à la prochaine.",
    ),
    outro_headings=("Restez curieux", "À la prochaine"),
    in_this_video="Dans cette vidéo :",
    source="En savoir plus :",
    made_by="Voix et images générées par ordinateur ; les faits viennent de la source indiquée.",
    starters=frozenset(),  # French hooks end before the fact, for « que » would need an elision
    small=_words(
        "le la les l' un une des du de d' et ou mais ni à au aux en dans sur sous par pour avec"
        " sans entre vers chez que qui quoi dont où quand comme est sont était étaient être été a"
        " ont avait il elle ils elles on nous vous je tu se s' sa son ses leur leurs ce cet cette"
        " ces ne pas n' plus moins très tout toute tous toutes même aussi encore déjà y peut"
        " peuvent pourrait environ jusqu'à plus met fait montré arriver faire parcourt voyager"
        " temps"
    ),
    pointing=_words("il elle ils elles lui leur leurs son sa ses y en ce cela ceci cet cette ces"),
)

_PORTUGUESE = Phrases(
    titles=(
        "{topic}: {count} fatos para lembrar",
        "{topic} em {count} fatos surpreendentes",
        "{topic}: {count} coisas para contar aos amigos",
    ),
    hooks=("Você sabia que {fact}", "Quem diria que {fact}", "Pense nisto por um momento: {fact}"),
    teasers=(
        "E isso é só o começo.",
        "Fique comigo, ainda tem mais.",
        "Parece invenção, mas é verdade.",
    ),
    openers=(
        "Vamos ver mais de perto.",
        "E fica ainda melhor.",
        "E não é só isso.",
        "Agora veja por outro lado.",
        "Guarde bem esta informação.",
        "E ainda tem isto.",
        "Esta é para contar aos amigos.",
    ),
    last_openers=("E por fim, a minha favorita.", "Mais uma, antes de terminar."),
    outros=("Agora você sabe um pouco mais sobre este assunto: {topic}.",),
    farewells=(
        "O que mais surpreendeu você? Conte nos comentários.",
        "Se aprendeu alguma coisa, passe adiante.",
        "Continue curioso, e até a próxima.",
    ),
    outro_headings=("Até a próxima", "Continue curioso"),
    in_this_video="Neste vídeo:",
    source="Saiba mais:",
    made_by="Voz e imagens geradas por computador; os fatos vêm da fonte indicada.",
    starters=_words(
        "o a os as um uma uns umas seu sua seus suas ele ela eles elas este esta em no na com sem"
        " não todo toda cada há só dois três quatro cinco desde até por para quando"
    ),
    small=_words(
        "o a os as um uma uns umas e ou mas nem de do da dos das em no na nos nas com sem por pelo"
        " pela para desde até sobre entre que quem qual quando onde como é são foi foram era eram"
        " ser está se seu sua seus suas ele ela eles elas lhe este esta isso não mais menos muito"
        " já todo toda todos todas cada só também há pode podem tanto quanto já chamados chegar"
        " alimenta pesar viveu conhecido"
    ),
    pointing=_words(
        "ele ela eles elas seu sua seus suas lhe isso isto este esta esse essa ali aqui"
    ),
)

PHRASES: Mapping[str, Phrases] = MappingProxyType(
    {"en": _ENGLISH, "es": _SPANISH, "de": _GERMAN, "fr": _FRENCH, "pt": _PORTUGUESE}
)
