"""A generated log whose true click probabilities are known; any day can be made on its own.

Everything is a pure function of the seed and the day. Users, ads and advertisers have fixed latent traits; a
user's interests turn slowly with the days; users and ads arrive every day. Which ad is shown to whom, and when,
never depends on a click, so the exposures of past days can be made again: the click probability falls each time
the user saw the same advertiser within the last `MEMORY_DAYS` days. A small share of the clicks is noise.

Latent traits and probabilities are never features. `true_probability` gives them to benchmarks, so that a model's
normalised entropy can be held against the best one reachable.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

import storage
from config import PlatformConfig, Source
from data.schema import Schema
from data.sources.data_source import DataSource

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


SEED = 20260101  # of the world; a model's seed does not change the data
INTERESTS = 8  # dimensions of the latent interests
CATEGORIES = 24
EVENTS_PER_USER = 6  # a day, on average
EVENTS_PER_AD = 30  # a day, on average, on the first day
ARRIVALS = 0.01  # new users and new ads a day, as a share of the first day's
MAX_USERS, MAX_ADS = 2_000_000, 200_000  # on the first day, so that 10^8 events fit in memory
MEMORY_DAYS = 3  # an exposure tires the user for so long
AFFINITY = 1.1  # rise of the logit by the match of user and ad
FATIGUE = 0.25  # fall of the logit by exposure to the same advertiser, up to 6 exposures
NOISE = 0.002  # share of impressions whose click is a coin flip
SURFACES = ("feed", "search", "video")
SURFACE_SHARE = (0.5, 0.3, 0.2)
SURFACE_LOGIT = (-4.4, -3.6, -5.1)  # click rates near 5%, 10% and 3%
DEVICES = ("phone", "tablet", "desktop")
DEVICE_LOGIT = (0.0, -0.2, 0.3)
AGE_GROUPS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
FORMATS = ("image", "carousel", "clip")

SCHEMA = Schema(
    user_categorical=("age_group", "country"),
    user_dense=("account_age_days",),
    item_categorical=("advertiser_id", "category", "format"),
    item_dense=("price",),
    context_categorical=("surface", "device", "hour_of_day"),
    context_dense=("shown_today",),
    crosses=("item_id", "advertiser_id"),
)


def schema(source: Source) -> Schema:
    """Returns user, ad and context features; `shown_today` counts the user's earlier impressions of the log's day."""
    return SCHEMA


def fetch(config: PlatformConfig) -> None:
    """Does nothing: the log is generated."""


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Generates the impressions of a platform day."""
    source = config.source
    frames = []
    shown: dict[date, Exposures] = {}
    for log_day in storage.calendar_days(config, day):
        now, probability = _day(source, log_day, shown)
        label = _generator("click", log_day).random(len(probability)) < probability
        frames.append(_features(config, log_day, now, label))
    return pl.concat(frames)


def true_probability(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Returns the probability that each impression of a platform day was clicked.

    Returns:
        impression_id and probability, in the order of `read`.
    """
    frames = []
    shown: dict[date, Exposures] = {}
    for log_day in storage.calendar_days(config, day):
        _, probability = _day(config.source, log_day, shown)
        frames.append(pl.DataFrame({"impression_id": _ids(log_day, len(probability)), "probability": probability}))
    return pl.concat(frames)


@dataclass(frozen=True)
class Exposures:
    """Who was shown what on one day of the log, in time order; every array is (N,)."""

    user: Ints
    ad: Ints
    advertiser: Ints
    micros: Ints  # since midnight, of a day of 24 hours
    surface: Ints
    device: Ints


@dataclass(frozen=True)
class Ads:
    """The ads there are on one day; every array is (A,), but for the latent traits (A, INTERESTS)."""

    advertiser: Ints
    category: Ints
    format: Ints
    price: Floats
    latent: Floats
    quality: Floats  # logit
    weight: Floats  # how often it is shown, sums to 1


def _day(source: Source, day: date, shown: dict[date, Exposures]) -> tuple[Exposures, Floats]:
    """Draws a log day's exposures and click probabilities, (N,); `shown` keeps exposures for the next days."""
    past_days = [
        day - timedelta(days=n) for n in range(MEMORY_DAYS, 0, -1) if day - timedelta(days=n) >= source.first_day
    ]
    for needed in [*past_days, day]:
        if needed not in shown:
            shown[needed] = _expose(source, needed)
    now = shown[day]
    ads = _ads(source, day)
    users = _population(source, day)[0]
    latent, bias = _interests(users, day)
    affinity = np.einsum("nd,nd->n", latent[now.user], ads.latent[now.ad])
    logit = (
        np.array(SURFACE_LOGIT)[now.surface]
        + np.array(DEVICE_LOGIT)[now.device]
        + bias[now.user]
        + ads.quality[now.ad]
        + AFFINITY * affinity
        - FATIGUE * np.minimum(_seen_before([shown[d] for d in past_days], now), 6)
    )
    clicked = 1 / (1 + np.exp(-logit))
    return now, (1 - NOISE) * clicked + NOISE / 2


def _expose(source: Source, day: date) -> Exposures:
    """Draws the impressions of a log day. Half of the ads are chosen for the user's interests, half by weight."""
    number = source.events_per_day
    ads = _ads(source, day)
    users, _ = _population(source, day)
    latent, _ = _interests(users, day)
    activity = np.exp(_generator("activity").standard_normal(users))
    draw = _generator("exposure", day)
    user = _weighted(draw.random(number), activity)
    # The better liked of two ads drawn by weight is shown every other time: a targeting that uses no click.
    first, second = _weighted(draw.random(number), ads.weight), _weighted(draw.random(number), ads.weight)
    likes_first = np.einsum("nd,nd->n", latent[user], ads.latent[first] - ads.latent[second]) > 0
    ad = np.where(likes_first | (draw.random(number) < 0.5), first, second)
    # More of the day's impressions fall on the evening: the density is 1 - 0.6 cos(2 pi (t - 8 h) / 24 h).
    clock = np.linspace(0, 1, 1441)
    share = clock - 0.6 * (np.sin(2 * np.pi * (clock - 1 / 3)) - np.sin(-2 * np.pi / 3)) / (2 * np.pi)
    micros = np.sort((np.interp(draw.random(number), share, clock) * 86_400_000_000).astype(np.int64))
    return Exposures(
        user=user,
        ad=ad,
        advertiser=ads.advertiser[ad],
        micros=np.minimum(micros, 86_400_000_000 - 1),
        surface=_weighted(draw.random(number), np.array(SURFACE_SHARE)),
        device=_weighted(draw.random(number), np.array([0.7, 0.1, 0.2])),
    )


def _seen_before(past: list[Exposures], now: Exposures) -> Ints:
    """Counts how often each impression's user had been shown its advertiser, on past days and earlier today, (N,)."""
    user = np.concatenate([e.user for e in [*past, now]])
    advertiser = np.concatenate([e.advertiser for e in [*past, now]])
    return _occurrence(user * (advertiser.max() + 1) + advertiser)[-len(now.user) :]


def _occurrence(keys: Ints) -> Ints:
    """Counts how many earlier entries of `keys` equal each entry, (N,)."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    lengths = np.diff(np.append(starts, len(keys)))
    counts = np.empty(len(keys), np.int64)
    counts[order] = np.arange(len(keys)) - np.repeat(starts, lengths)
    return counts


def _population(source: Source, day: date) -> tuple[int, int]:
    """Returns the number of users and of ads that exist on a log day."""
    age = (day - source.first_day).days
    users = min(MAX_USERS, max(60, source.events_per_day // EVENTS_PER_USER))
    ads = min(MAX_ADS, max(40, source.events_per_day // EVENTS_PER_AD))
    return users + int(users * ARRIVALS * age), ads + int(ads * ARRIVALS * age)


def _interests(users: int, day: date) -> tuple[Floats, Floats]:
    """Draws users' latent interests on a day, (users, INTERESTS) of length near 1, and logit biases, (users,).

    Interests turn from one random direction to another and back, in 40 to 120 days, each user at their own pace.
    """
    ends = _generator("interests").standard_normal((users, 2, INTERESTS)) / np.sqrt(INTERESTS)
    pace, phase = _generator("drift").random((users, 2)).T
    angle = 2 * np.pi * (phase + day.toordinal() / (40 + 80 * pace))
    latent = np.cos(angle)[:, None] * ends[:, 0] + np.sin(angle)[:, None] * ends[:, 1]
    age_group = _age_groups(users)
    bias = 0.5 * _generator("user bias").standard_normal(users) + 0.15 * (age_group - 2.5)
    return latent, bias


def _ads(source: Source, day: date) -> Ads:
    """Draws the ads of a log day: each belongs to an advertiser, whose category and quality it shares in part."""
    count = _population(source, day)[1]
    advertisers = max(20, _population(source, source.first_day)[1] // 8)
    advertiser = _generator("ad advertiser").integers(0, advertisers, count)
    category = _generator("advertiser category").integers(0, CATEGORIES, advertisers)[advertiser]
    centre = 1.5 * _generator("category").standard_normal((CATEGORIES, INTERESTS))
    own = 0.6 * _generator("ad latent").standard_normal((count, INTERESTS))
    price = np.exp(0.5 * _generator("price").standard_normal(count) + 3)
    quality = (
        0.5 * _generator("advertiser quality").standard_normal(advertisers)[advertiser]
        + 0.4 * _generator("ad quality").standard_normal(count)
        - 0.2 * (np.log(price) - 3)
    )
    weight = 1 / (10 + _generator("ad rank").random(count) * count)
    return Ads(
        advertiser=advertiser,
        category=category,
        format=_generator("format").integers(0, len(FORMATS), count),
        price=price,
        latent=centre[category] + own,
        quality=quality,
        weight=weight / weight.sum(),
    )


def _features(config: PlatformConfig, day: date, now: Exposures, label: NDArray[np.bool_]) -> pl.DataFrame:
    source = config.source
    ads = _ads(source, day)
    users = _population(source, day)[0]
    first_users = _population(source, source.first_day)[0]
    joined = np.maximum(0, np.ceil((np.arange(users) + 1 - first_users) / (first_users * ARRIVALS)))
    before = np.where(joined == 0, (_generator("account age").random(users) * 1000).astype(np.int64), 0)
    account_age = before + (day - source.first_day).days - joined
    country = _weighted(_generator("country").random(users), 1 / np.arange(1, 13))
    start, end = storage.midnights(config, [day])
    micros = now.micros * ((end - start) // timedelta(seconds=1)) // 86_400  # all of a day of 23 or 25 hours
    instants = start + pl.Series(micros).cast(pl.Duration("us"))
    return pl.DataFrame(
        {
            "impression_id": _ids(day, len(label)),
            "event_timestamp": instants,
            "user_id": _named("u", now.user),
            "item_id": _named("ad", now.ad),
            "label": label.astype(np.int32),
            "age_group": _levels(AGE_GROUPS, _age_groups(users)[now.user]),
            "country": _named("c", country[now.user]),
            "account_age_days": account_age[now.user].astype(np.float32),
            "advertiser_id": _named("adv", now.advertiser),
            "category": _named("cat", ads.category[now.ad]),
            "format": _levels(FORMATS, ads.format[now.ad]),
            "price": ads.price[now.ad].astype(np.float32),
            "surface": _levels(SURFACES, now.surface),
            "device": _levels(DEVICES, now.device),
            "hour_of_day": instants.dt.convert_time_zone(source.time_zone).dt.hour().cast(pl.String),
            "shown_today": _occurrence(now.user).astype(np.float32),
        }
    )


def _generator(*stream: str | date) -> np.random.Generator:
    """Returns random numbers of one purpose, and day if it has one; a larger array of them starts the same."""
    words = [item.toordinal() if isinstance(item, date) else int.from_bytes(item.encode()) for item in stream]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([SEED, *words])))


def _age_groups(users: int) -> Ints:
    return _generator("age group").integers(0, len(AGE_GROUPS), users)


def _weighted(uniform: Floats, weights: Floats) -> Ints:
    """Draws indices by weight from numbers in [0, 1), (N,)."""
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative[:-1], uniform * cumulative[-1], side="right")


def _ids(day: date, count: int) -> pl.Series:
    return _named(f"{day}-", np.arange(count))


def _named(prefix: str, numbers: Ints) -> pl.Series:
    return prefix + pl.Series(numbers).cast(pl.String)


def _levels(names: tuple[str, ...], codes: Ints) -> pl.Series:
    return pl.Series(names).gather(codes)


SOURCE = DataSource(
    name="synthetic",
    about="Synthetic: generated by this platform's own program; no real people, no real clicks.",
    schema=schema,
    fetch=fetch,
    read=read,
    true_probability=true_probability,
)
