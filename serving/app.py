"""Serves a vertical's champion over HTTP: one user and his candidates in, a probability a candidate out.

`python -m serving.app --vertical NAME` runs it. A promotion is live within POLL_S, without a restart; while Feast's
online store fails, users and items are scored as unknown ones, and the header FEATURES says so.
"""

import argparse
import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, StrictFloat, StrictInt, StrictStr

from config import load_config
from data.ids import UnreadableId
from serving.champion import Champion, Loaded

LOG = logging.getLogger("headwater.serving")
POLL_S = 20.0  # between two looks at the alias
FEATURES = "X-Headwater-Features"  # header: `online`, or `unavailable` where they could not be read
Id = StrictStr | StrictInt | StrictFloat | None


class ScoreRequest(BaseModel):
    """A user and what could be shown to him."""

    user_id: Id
    candidates: list[Id]  # item ids


class Scores(BaseModel):
    """Click probabilities in the order of the candidates, and the version that gave them."""

    version: str
    scores: list[float]


class Health(BaseModel):
    """What serves."""

    vertical: str
    version: str


def create_app(champion: Champion, *, vertical: str, poll_s: float = POLL_S) -> FastAPI:
    """Builds the app; it loads the champion as it starts."""
    one_at_a_time = threading.Lock()  # a second thread would only share the processor, and Feast's connection

    @asynccontextmanager
    async def watched(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(champion.refresh)
        watch = asyncio.create_task(_watch(champion, poll_s))
        yield
        watch.cancel()

    app = FastAPI(title=f"Headwater: {vertical}", lifespan=watched)

    def loaded() -> Loaded:
        if champion.loaded is None:
            raise HTTPException(503, f"{champion.name} has no champion that can be loaded yet; promote a version")
        return champion.loaded

    @app.get("/health")
    def health() -> Health:
        """Says which version serves; 503 where there is none."""
        return Health(vertical=vertical, version=loaded().version)

    @app.post("/score")
    def score(request: ScoreRequest, response: Response) -> Scores:
        """Scores a user's candidates; 422 where an id cannot be read."""
        serving = loaded()
        users, items = [request.user_id] * len(request.candidates), request.candidates
        response.headers[FEATURES] = "online"
        with one_at_a_time:
            try:
                scores = serving.scorer.score(users, items)
            except UnreadableId as error:
                raise HTTPException(422, str(error)) from error
            except Exception:  # whatever the online store's client raises
                LOG.warning("the online store cannot be read; scored as unknown", exc_info=True)
                response.headers[FEATURES] = "unavailable"
                scores = serving.scorer.score(users, items, read_features=False)
        return Scores(version=serving.version, scores=scores.tolist())

    return app


async def _watch(champion: Champion, poll_s: float) -> None:
    while True:
        await asyncio.sleep(poll_s)
        await run_in_threadpool(champion.refresh)


def main() -> None:
    """Runs the server on 127.0.0.1 until it is stopped."""
    config = load_config()
    parser = argparse.ArgumentParser(prog="python -m serving.app", description="Serves a vertical's champion.")
    parser.add_argument("--vertical", required=True, choices=config.verticals)
    parser.add_argument("--port", type=int, default=5001)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    torch.set_num_threads(1)  # the models are too small to share
    app = create_app(Champion(config, options.vertical), vertical=options.vertical)
    uvicorn.run(app, host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
