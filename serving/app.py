"""Serves a vertical's champion over HTTP: one user and his candidates in, a probability a candidate out.

`python -m serving.app --vertical NAME` runs it. A promotion is live within POLL_S, without a restart; while Feast's
online store fails, users and items are scored as unknown ones, and the header FEATURES says so. Requests that wait are
scored together. `/metrics` is for Prometheus.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, NamedTuple

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field, StrictFloat, StrictInt, StrictStr

from config import load_config
from data.ids import UnreadableId, ids_of_request
from serving.batching import Batches, Limits, Overloaded
from serving.champion import Champion, Loaded
from serving.metrics import Measured, Metrics
from serving.request_scorer import Asked

LOG = logging.getLogger("headwater.serving")
POLL_S = 20.0  # between two looks at the alias
FEATURES = "X-Headwater-Features"  # header: `online`, or `unavailable` where they could not be read
MAX_CANDIDATES = 500  # of a request; more would keep the others waiting
# A batch takes some milliseconds, so that a request that comes while it is scored does not wait long.
LIMITS = Limits(requests=32, size=4 * MAX_CANDIDATES, waiting=512)
Id = StrictStr | StrictInt | StrictFloat | None


class ScoreRequest(BaseModel):
    """A user and what could be shown to him."""

    user_id: Id
    candidates: Annotated[list[Id], Field(max_length=MAX_CANDIDATES, description="Item ids; there may be none.")]


class Scores(BaseModel):
    """Click probabilities in the order of the candidates, and the version that gave them."""

    version: str
    scores: list[float]


class Health(BaseModel):
    """What serves."""

    vertical: str
    version: str


class Scored(NamedTuple):
    """What becomes of a request."""

    scores: Scores
    features: str  # the header FEATURES


def create_app(champion: Champion, *, vertical: str, poll_s: float = POLL_S) -> FastAPI:
    """Builds the app; it loads the champion as it starts."""
    metrics = Metrics(seconds_since_check=lambda: time.monotonic() - champion.checked_at)

    def loaded() -> Loaded:
        if champion.loaded is None:
            raise HTTPException(503, f"{champion.name} has no champion that can be loaded yet; promote a version")
        return champion.loaded

    def score_batch(requests: Sequence[Asked]) -> list[Scored]:
        serving = loaded()  # one version for all
        metrics.batch_requests.observe(len(requests))
        features = "online"
        try:
            scores = serving.scorer.score(requests)
        except Exception:  # whatever the online store's client raises
            LOG.warning("the online store cannot be read; scored as unknown", exc_info=True)
            metrics.fallbacks.inc(len(requests))
            features = "unavailable"
            scores = serving.scorer.score(requests, read_features=False)
        return [Scored(Scores(version=serving.version, scores=each.tolist()), features) for each in scores]

    batches = Batches(score_batch, lambda asked: len(asked.candidates), LIMITS)

    @asynccontextmanager
    async def watched(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(champion.refresh)
        watch = asyncio.create_task(_watch(champion, poll_s))
        yield
        watch.cancel()
        batches.close()

    app = FastAPI(title=f"Headwater: {vertical}", lifespan=watched)
    app.add_middleware(Measured, metrics=metrics, path="/score")

    @app.get("/health")
    async def health() -> Health:
        """Says which version serves; 503 where there is none."""
        return Health(vertical=vertical, version=loaded().version)

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Shows the metrics in Prometheus' text format."""
        metrics.champion.info({"vertical": vertical, "version": champion.loaded.version if champion.loaded else ""})
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.post("/score")
    async def score(request: ScoreRequest, response: Response) -> Scores:
        """Scores a user's candidates; 422 where an id cannot be read, 503 where nothing serves or too many wait."""
        loaded()
        metrics.candidates.observe(len(request.candidates))
        try:
            (user,) = ids_of_request([request.user_id], "user_id")
            scored = await batches.result(Asked(user, ids_of_request(request.candidates, "candidates")))
        except UnreadableId as error:
            raise HTTPException(422, str(error)) from error
        except Overloaded as error:
            raise HTTPException(503, f"{error}; ask again later, or run another server") from error
        response.headers[FEATURES] = scored.features
        return scored.scores

    return app


async def _watch(champion: Champion, poll_s: float) -> None:
    while True:
        await asyncio.sleep(poll_s)
        await run_in_threadpool(champion.refresh)


def main() -> None:
    """Runs the server until it is stopped."""
    config = load_config()
    parser = argparse.ArgumentParser(prog="python -m serving.app", description="Serves a vertical's champion.")
    parser.add_argument("--vertical", required=True, choices=config.verticals)
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    torch.set_num_threads(1)  # the models are too small to share
    app = create_app(Champion(config, options.vertical), vertical=options.vertical)
    uvicorn.run(app, host=options.host, port=options.port, access_log=False)


if __name__ == "__main__":
    main()
