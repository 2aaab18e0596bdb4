"""
Names and codes of countries that people write and neither ISO 3166-1 nor CLDR lists.

CLDR gives one name per language and territory. Its own alternatives ("UK",
"Czech Republic", "Ivory Coast") are not part of Babel's data, and ISO's formal
names ("Korea, Republic of") are not part of CLDR.
"""

from __future__ import annotations

# Pairs of a code that people write and the alpha-2 code that it means.
# European Union: https://style-guide.europa.eu/en/content/-/isg/topic?identifier=7.1.1-designations-and-abbreviations
_EUROPEAN_UNION = "EL:GR"
# Reserved in ISO 3166-1 for parts of countries: https://www.iso.org/glossary-for-iso-3166.html
_RESERVED = "AC:SH TA:SH CP:FR CQ:GG DG:IO EA:ES IC:ES"
# User-assigned code elements for Kosovo, which ISO 3166-1 does not list
_KOSOVO = "XKX:XK RKS:XK"
# Abbreviations, and codes of sports associations that are not the ISO code of another country
_ABBREVIATED = (
    "UAE:AE KSA:SA RSA:ZA PRC:CN ROK:KR DPRK:KP DRC:CD FYROM:MK USVI:VI BVI:VG BIH:BA GER:DE NED:NL SUI:CH "
    "DEN:DK GRE:GR POR:PT CRO:HR BUL:BG ENG:GB SCO:GB WAL:GB NIR:GB PNG:PG"
)
_PAIRS = f"{_EUROPEAN_UNION} {_RESERVED} {_KOSOVO} {_ABBREVIATED}"

CODES = dict(pair.split(":") for pair in _PAIRS.split())

NOT_COUNTRIES = frozenset({"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"})
"""Codes that CLDR names beside those of ISO 3166-1: unions of countries, parts of countries, test data."""

_SHARED = (
    "america|amerika|congo|kongo|kongu|khongo|kongoo|конго|コンゴ|刚果|剛果|콩고|"
    "korea|corea|coree|coreia|koreja|koreya|korejo|корея|κορεα|virgin islands"
)
AMBIGUOUS = frozenset(_SHARED.split("|"))
"""Names that two countries share; they are never guessed."""

NAMES = {
    "AE": "emirates",
    "AG": "antigua",
    "AX": "aland",
    "BA": "bosnia|bosnia hercegovina|herzegovina",
    "BL": "st barts|st barths|st barth|saint barts",
    "BN": "brunei darussalam",
    "BO": "plurinational state of bolivia",
    "BQ": "bonaire|bonaire sint eustatius and saba|bonaire saint eustatius and saba|netherlands antilles bonaire",
    "BS": "the bahamas",
    "CC": "cocos islands|keeling islands",
    "CD": "democratic republic of congo|dr congo|congo dr|d r congo|congo kinshasa|congo zaire|zaire|zaïre|"
    "republique democratique du congo|republica democratica del congo|rd congo|rdc|demokratische republik kongo",
    "CG": "republic of congo|congo brazzaville|congo republic|republique du congo|republica del congo|republik kongo",
    "CH": "swiss confederation|confoederatio helvetica|confederation suisse|schweizerische eidgenossenschaft",
    "CI": "ivory coast|cote divoire|cote d ivoire|elfenbeinküste|costa de marfil|costa d avorio|costa do marfim",
    "CN": "mainland china|peoples republic of china|pr china|p r china|p r of china|zhongguo",
    "CV": "cape verde|cabo verde",
    "CY": "republic of cyprus",
    "CZ": "czech republic|czech|ceska republika|tschechische republik|republique tcheque|republica checa|"
    "repubblica ceca|tsjechische republiek|republika czeska|чешская республика",
    "DE": "fed rep of germany|fed republic germany|"
    "bundesrepublik deutschland|brd|federal republic of germany|west germany|east germany",
    "DO": "rep dominicana|dominican rep",
    "ER": "state of eritrea",
    "ES": "canary islands|islas canarias|canarias|ceuta|melilla|ceuta and melilla|balearic islands|islas baleares",
    "FK": "falklands|falkland islands malvinas|malvinas|islas malvinas",
    "FM": "federated states of micronesia|micronesia fed sts|fs micronesia",
    "FR": "french republic|republique française|france metropolitaine|metropolitan france",
    "GB": "n ireland|gr britain|"
    "great britain|britain|england|scotland|wales|northern ireland|england and wales|gt britain|"
    "united kingdom of great britain and northern ireland|united kingdom of great britain|great britain uk|"
    "grossbritannien|vereinigtes königreich|grande bretagne|gran bretaña|gran bretagna|grã bretanha|groot brittannie|"
    "inghilterra|inglaterra|angleterre|schottland|escocia|velika britanija|wielka brytania|velka britanie|"
    "storbritannia|iso britannia|великобритания|велика британія|イギリス|英国|英國|영국|بريطانيا",
    "GA": "gabonese republic",
    "GR": "hellas|hellenic republic|ellada",
    "HK": "hong kong|hong kong china|hongkong|hong kong special administrative region of china|hong kong s a r|香港",
    "HM": "heard and mcdonald islands|heard island and mcdonald islands",
    "IE": "eire|republic of ireland|southern ireland|irish republic",
    "IL": "state of israel",
    "IR": "islamic republic of iran|persia",
    "IT": "italian republic|repubblica italiana",
    "KG": "kyrgyz republic|kirghizia|kirgizia",
    "KM": "union of the comoros",
    "KN": "saint kitts|st christopher and nevis",
    "KP": "north korea|n korea|korea north|korea dpr|dpr korea|democratic peoples republic of korea|corea del norte|"
    "coree du nord|corea del nord",
    "KR": "south korea|s korea|korea south|republic of korea|korea republic|hanguk|corea del sur|coree du sud|"
    "corea del sud",
    "KW": "state of kuwait",
    "LA": "lao peoples democratic republic|lao pdr|lao",
    "LB": "lebanese republic",
    "LI": "fürstentum liechtenstein",
    "LU": "grand duchy of luxembourg",
    "LY": "libyan arab jamahiriya|state of libya",
    "MD": "moldavia",
    "MF": "saint martin french part|saint martin france",
    "MK": "macedonia|north macedonia|former yugoslav republic of macedonia|the former yugoslav republic of macedonia|"
    "macedonia fyrom|mazedonien|makedonien|macedoine|македония",
    "MM": "burma|myanmar|birmania|birma",
    "MO": "macao|macau|macao china|macau china|macao special administrative region of china|澳門|澳门",
    "MX": "united mexican states|estados unidos mexicanos|mexico d f",
    "NL": "holland|the netherlands|nederland|holanda|hollande|olanda|kingdom of the netherlands",
    "PF": "tahiti",
    "PG": "independent state of papua new guinea",
    "PS": "palestine|palestinian territory|palestinian territory occupied|state of palestine|west bank and gaza|gaza|"
    "west bank|occupied palestinian territory",
    "PT": "azores|açores|madeira|portuguese republic",
    "QA": "state of qatar",
    "RE": "reunion island|île de la réunion",
    "RU": "russian federation|russia federation|rossiya|rossija|российская федерация|рф",
    "RW": "rwandese republic",
    "SC": "the seychelles",
    "SH": "ascension|saint helena ascension and tristan da cunha|ascension island|tristan da cunha",
    "SJ": "jan mayen|spitsbergen",
    "SK": "slovak republic|slovenska republika",
    "ST": "sao tome",
    "SX": "sint maarten dutch part|st maarten",
    "SY": "syrian arab republic",
    "SZ": "swaziland",
    "TC": "turks and caicos",
    "TG": "togolese republic",
    "TL": "east timor|timor leste|timor",
    "TR": "turkey|türkiye cumhuriyeti",
    "TT": "trinidad",
    "TW": "中華民國|中華民国|"
    "taiwan province of china|taiwan roc|taiwan republic of china|chinese taipei|臺灣|republic of china|formosa|"
    "taiwan china",
    "TZ": "united republic of tanzania|tanzania united republic",
    "UM": "wake island|midway|midway islands|midway atoll",
    "US": "アメリカ|米国|美利坚合众国|美利堅合衆國|"
    "united states of america|the states|us of a|the usa|estados unidos de america|etats unis d amerique|"
    "vereinigte staaten von amerika|stati uniti d america|соединенные штаты америки|сша|usa",
    "UY": "eastern republic of uruguay",
    "VA": "vatican|holy see|holy see vatican city state|vatican city state|santa sede|vatikan",
    "VC": "saint vincent|st vincent|saint vincent and grenadines",
    "VE": "bolivarian republic of venezuela|venezuela rb",
    "VG": "virgin islands british|uk virgin islands",
    "VI": "virgin islands u s|us virgin islands|united states virgin islands|virgin islands of the united states",
    "VN": "viet nam",
    "WS": "western samoa|independent state of samoa",
    "XK": "kosova",
}

_FORMAL = (
    "republic republik republica republique repubblica republika kingdom konigreich reino royaume regno federal "
    "federative federation islamic democratic peoples socialist commonwealth principality independent sultanate "
    "bundesrepublik cooperative hashemite arab"
)
FORMAL = frozenset(_FORMAL.split())
"""Words of formal names that may be left out: "Republic of Chile" is Chile. Not "state": Georgia has one, too."""

_ARTICLES = "the of and la le les l el los las die der das il gli de du des d del della di da do dos y et und e van von"
ARTICLES = frozenset(_ARTICLES.split())
"""Words that names are compared without."""

ABBREVIATIONS = {"saint": "st", "rep": "republic", "dem": "democratic", "fed": "federated", "sts": "states"}
"""Words that are compared as others."""
