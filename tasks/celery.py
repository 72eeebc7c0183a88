"""The workloads as Celery tasks, and the app that its workers and producers share.

The environment says what the run needs: TASKSCOPE_REDIS_URL (broker in database 1, results in 2)
and TASKSCOPE_SETTINGS, a JSON object of Celery settings from the variant.
"""

import json
import os

from celery import Celery

from tasks import workloads

_REDIS_URL = os.environ.get("TASKSCOPE_REDIS_URL", "redis://127.0.0.1:6379").rstrip("/")

app = Celery("taskscope", broker=f"{_REDIS_URL}/1", backend=f"{_REDIS_URL}/2")
app.conf.update(
    task_default_queue=os.environ.get("TASKSCOPE_QUEUE", "taskscope"),
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    **json.loads(os.environ.get("TASKSCOPE_SETTINGS", "{}")),
)

noop = app.task(name="noop")(workloads.noop)
sleep = app.task(name="sleep")(workloads.sleep)
fetch = app.task(name="fetch")(workloads.fetch)
derive_key = app.task(name="derive_key")(workloads.derive_key)
factorial = app.task(name="factorial")(workloads.factorial)
validate = app.task(name="validate")(workloads.validate)
hash_chain = app.task(name="hash_chain")(workloads.hash_chain)
