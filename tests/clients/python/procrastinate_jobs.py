"""procrastinate (PyPI) against the server of PGHOST and PGPORT: its schema, and 300 jobs by four workers, each job once; retries, locks,
queueing locks, scheduled jobs. Prints passed/total. Its queue is PL/pgSQL functions and triggers, SKIP LOCKED and LISTEN/NOTIFY."""

import asyncio
import collections
import datetime
import logging
import os
import sys

import psycopg
import procrastinate

CONNINFO = "host={} port={} user={} dbname={}".format(
    os.environ.get("PGHOST", "127.0.0.1"), os.environ.get("PGPORT", "5432"),
    os.environ.get("PGUSER", "postgres"), os.environ.get("PGDATABASE", "postgres"))
logging.disable(logging.CRITICAL)
SCHEMA = "py_procrastinate"
app = procrastinate.App(connector=procrastinate.PsycopgConnector(
    conninfo=CONNINFO, kwargs={"options": f"-c search_path={SCHEMA}"}, min_size=1, max_size=12))
done = collections.Counter()
order = []
tries = collections.Counter()


@app.task(queue="plain")
async def count(n):
    await asyncio.sleep(0)
    done[n] += 1


@app.task(queue="locked")
async def in_order(n):
    order.append(n)


@app.task(queue="failing", retry=procrastinate.RetryStrategy(max_attempts=3, wait=0))
async def fails(name, until):
    tries[name] += 1
    if tries[name] < until:
        raise ValueError("on purpose")


def query(sql):
    with psycopg.connect(CONNINFO, options=f"-c search_path={SCHEMA}", autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else None


async def workers(number, queue):
    await asyncio.gather(*(app.run_worker_async(queues=[queue], concurrency=3, wait=False, name=f"w{i}",
                                                install_signal_handlers=False) for i in range(number)))


async def schema():
    with psycopg.connect(CONNINFO, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
    await app.schema_manager.apply_schema_async()
    assert await app.check_connection_async()


async def each_job_once():
    await count.batch_defer_async(*({"n": n} for n in range(300)))
    await workers(4, "plain")
    assert len(done) == 300 and set(done.values()) == {1}, done.most_common(3)
    assert query("SELECT status::text, count(*) FROM procrastinate_jobs WHERE queue_name = 'plain' GROUP BY 1") == [("succeeded", 300)]


async def locks_keep_order():
    for n in range(20):
        await in_order.configure(lock="one").defer_async(n=n)
    # A worker stops when there is nothing that it may take.
    while query("SELECT 1 FROM procrastinate_jobs WHERE queue_name = 'locked' AND status = 'todo'"):
        await workers(3, "locked")
    assert order == list(range(20)), order


async def queueing_locks():
    await count.configure(queueing_lock="only").defer_async(n=-1)
    try:
        await count.configure(queueing_lock="only").defer_async(n=-2)
    except procrastinate.exceptions.AlreadyEnqueued:
        pass
    else:
        raise AssertionError("queued twice")
    await workers(1, "plain")
    assert done[-1] == 1 and done[-2] == 0


async def retries():
    await fails.defer_async(name="third time", until=3)
    await fails.defer_async(name="never", until=99)
    while query("SELECT 1 FROM procrastinate_jobs WHERE queue_name = 'failing' AND status = 'todo'"):
        await workers(2, "failing")
    assert (tries["third time"], tries["never"]) == (3, 4), tries
    found = query("SELECT status::text, attempts FROM procrastinate_jobs WHERE queue_name = 'failing' ORDER BY id")
    assert found == [("succeeded", 3), ("failed", 4)], found


async def scheduled():
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    job = await count.configure(schedule_at=later).defer_async(n=-5)
    await workers(1, "plain")
    assert done[-5] == 0
    assert await app.job_manager.cancel_job_by_id_async(job)
    assert query(f"SELECT status::text FROM procrastinate_jobs WHERE id = {job}") == [("cancelled",)]


async def notified():
    worker = asyncio.create_task(app.run_worker_async(queues=["plain"], listen_notify=True, fetch_job_polling_interval=5,
                                                      wait=True, install_signal_handlers=False))
    while not query("SELECT 1 FROM procrastinate_workers"):
        await asyncio.sleep(0.05)
    for n in range(1000, 1005):
        await count.defer_async(n=n)
        # At once if the notification comes while the worker waits for it, else when it polls.
        for _ in range(400):
            if done[n]:
                break
            await asyncio.sleep(0.05)
        assert done[n] == 1, n
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def history():
    events = query("SELECT type::text, count(*) FROM procrastinate_events GROUP BY 1 ORDER BY 1")
    assert dict(events)["succeeded"] >= 326, events
    assert await app.job_manager.delete_old_jobs(nb_hours=0) is None
    assert query("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'") == [(0,)]


async def main():
    checks = [schema, each_job_once, locks_keep_order, queueing_locks, retries, scheduled, notified, history]
    passed = 0
    async with app.open_async():
        for check in checks:
            try:
                await asyncio.wait_for(check(), 60)
                passed += 1
            except Exception as error:
                print(f"procrastinate: FAILED {check.__name__}: {type(error).__name__} {error}"[:600])
    query(f"DROP SCHEMA {SCHEMA} CASCADE")
    print(f"procrastinate: {passed}/{len(checks)}")
    return 0 if passed == len(checks) else 1


sys.exit(asyncio.run(main()))
