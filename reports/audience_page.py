"""Renders the page of an audience."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from sklearn.decomposition import PCA

from reports.pages import environment
from reports.svg import COLOR_OF, inline, page_axes

DRAWN = 20_000  # users of the picture, beside those with a known outcome and those chosen
EVERYONE = "all users"  # drawn as pixels: they are many
GRAY = "#8a8f98"  # seen on light and dark: pixels cannot take the page's color
SHOWN = 200  # users of the page's table


@dataclass(frozen=True)
class AudienceFacts:
    """All that the page says.

    Attributes:
        source: data source.
        vertical: what is shown.
        name: of the audience.
        day: as of whose end.
        budget: users that may still be shown it.
        users: ids of all users, n.
        vectors: of all users, (n, d).
        known: whether users converted.
        chosen: id, score and reason of each user chosen, in their order.
    """

    source: str
    vertical: str
    name: str
    day: str
    budget: int
    users: list[str]
    vectors: npt.NDArray[np.float64]
    known: Mapping[str, bool]
    chosen: list[tuple[str, float, str]]


def audience_page(facts: AudienceFacts) -> str:
    """Renders an audience: HTML that needs nothing from outside."""
    return (
        environment()
        .get_template("audience.html")
        .render(
            facts=facts,
            shown=facts.chosen[:SHOWN],
            converters=sum(facts.known.values()),
            expected=sum(score for _, score, _ in facts.chosen),
            picture=_picture(facts),
        )
    )


def _picture(facts: AudienceFacts) -> Markup:
    """Plots the vectors on the plane that keeps most of their spread (principal components)."""
    plane = PCA(2, random_state=0).fit_transform(facts.vectors)
    place = {user: n for n, user in enumerate(facts.users)}
    rows = np.random.default_rng(0).permutation(len(plane))[:DRAWN]
    groups = [
        (EVERYONE, plane[rows], GRAY, 1.0, "."),
        ("shown it, did not convert", plane[_of(place, facts.known, False)], COLOR_OF["var(--champion)"], 14.0, "x"),
        ("converted", plane[_of(place, facts.known, True)], COLOR_OF["var(--candidate)"], 16.0, "o"),
        ("chosen", plane[[place[user] for user, _, _ in facts.chosen]], COLOR_OF["var(--fm)"], 16.0, "^"),
    ]
    with page_axes(height=4.6, width=8.4) as (figure, axes):
        for name, points, color, size, marker in groups:
            axes.scatter(
                points[:, 0],
                points[:, 1],
                s=size,
                marker=marker,
                color=color,
                label=name,
                linewidths=0.8,
                rasterized=name == EVERYONE,
            )
        axes.set_xlabel("first principal component of the users' vectors")
        axes.set_ylabel("second")
        figure.legend(loc="outside upper left", ncols=4, frameon=False)
        return inline(figure, "Users on a plane: all, those who converted or did not, and those chosen")


def _of(place: Mapping[str, int], known: Mapping[str, bool], label: bool) -> list[int]:
    return [place[user] for user, converted in known.items() if converted == label and user in place]
