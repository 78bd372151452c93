from tests.services.queue_fixtures import app, job, workers

__all__ = ["app", "job", "workers"]
