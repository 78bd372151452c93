"""An app for Procrastinate's own command line; TEST_QUEUE_URL says where the database is."""

import os

from workers.queue.app import QueueApp
from workers.queue.connector import JobQueueConnector

app = QueueApp(connector=JobQueueConnector(os.environ["TEST_QUEUE_URL"]))


@app.task(name="add")
async def add(a: int, b: int) -> int:
    return a + b
