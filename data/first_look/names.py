"""What a column's name says: the words that logs call the same things by."""

import re

WORDS = {
    "user_id": "user uid member visitor customer listener viewer account subscriber household player reader profile "
    "passenger shopper buyer guest client person cookie device",
    "item_id": "item ad creative product adgroup sku article video movie film song track episode banner offer "
    "asin listing post recipe book game app content document doc show podcast campaign",
    "request": "request req auction query search slate bid pageview session visit",
    "impression_id": "impression imp exposure event row record log uuid id",
}
TIMES = ("timestamp", "ts", "time", "datetime", "shown", "served", "date", "at", "created", "when")
LATER = {"click", "clicked", "conversion", "converted", "purchase", "purchased", "updated", "registered", "signup"}
LATER |= {"birth", "birthday", "published", "release", "released", "joined", "end", "ended", "modified"}
# fmt: off
LABELS = (
    "label", "click", "clicked", "clk", "clicks", "target", "response", "y", "converted", "conversion",
    "bought", "purchased", "purchase", "played", "watched", "listened", "liked", "engaged", "action",
)
# fmt: on
KEY_ENDS = {"id", "key", "hash", "uuid", "no", "nr", "number", "ids"}
# fmt: off
CODES = {
    "id", "code", "type", "category", "class", "kind", "group", "level", "hour", "weekday", "position", "slot",
    "zip",
}
# fmt: on
OF_USERS = set(WORDS["user_id"].split()) - {"device", "cookie"}
OF_ITEMS = set(WORDS["item_id"].split())


def words_of(name: str) -> list[str]:
    """Cuts a name into its words, in lower case: `shownAt`, `shown_at` and `Shown At` alike."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word for word in re.split(r"[^A-Za-z0-9]+", apart.lower()) if word]


def rank_as_key(name: str, role: str) -> int | None:
    """Ranks a name as that of a key, 0 the best; None where it is not one's."""
    words = words_of(name)
    if not words:
        return None
    known = WORDS[role].split()
    core = [word for word in words if word not in KEY_ENDS and word != "is"] or words[:1]
    joined = "".join(words)
    for n, word in enumerate(known):
        if core == [word] or joined in (word, word + "id"):
            return n
    if words[-1] in KEY_ENDS or words[-1] == "uid":
        found = [n for n, word in enumerate(known) if word in words]
        return 100 + min(found) if found else None
    return None


def rank_as_time(name: str) -> int | None:
    """Ranks a name as that of the impression's instant, 0 the best; None where it is another's or none's."""
    words = words_of(name)
    if LATER.intersection(words):
        return None
    return next((n for n, word in enumerate(TIMES) if word in words or "".join(words).endswith(word)), None)


def rank_as_label(name: str) -> int | None:
    """Ranks a name as that of the label, 0 the best; None where it is none."""
    core = [word for word in words_of(name) if word not in ("is", "has", "was", "did")]
    return next((n for n, word in enumerate(LABELS) if core == [word]), None)
