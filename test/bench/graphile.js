// Throughput and latency of graphile-worker:
//   node graphile.js throughput N | latency N
// Needs the packages in NODE_PATH and a database in PG*.  Settings are those of
// the performance chapter of its documentation: 24 jobs at once, and a local
// queue of 500 with batched completion for throughput.
'use strict';
const { run, runMigrations } = require('graphile-worker');
const { Pool } = require('pg');

const [what, count] = [process.argv[2], Number(process.argv[3])];
const now = () => performance.timeOrigin + performance.now();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const logger = new (require('graphile-worker').Logger)(() => () => {});
const pool = new Pool({ max: 30 });

async function start(batched, taskList) {
  return run({
    pgPool: pool, noHandleSignals: true, taskList, logger,
    preset: {
      worker: {
        concurrentJobs: 24, maxPoolSize: 25, pollInterval: 2000,
        ...(batched ? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } : {})
      }
    }
  });
}

async function throughput(batched) {
  let done = 0, first = 0, last = 0;
  await pool.query('TRUNCATE graphile_worker._private_jobs');
  const t = now();
  await pool.query('SELECT graphile_worker.add_jobs(ARRAY(SELECT json_populate_record(' +
    'NULL::graphile_worker.job_spec, \'{"identifier": "noop", "payload": {}}\') FROM generate_series(1, $1::int)))', [count]);
  const submitting = count / ((now() - t) / 1000);
  await pool.query('VACUUM ANALYZE graphile_worker._private_jobs');
  const runner = await start(batched, {
    noop: async () => { first = first || now(); last = now(); done++; }
  });
  let left = count;
  while (left > 0) {
    await sleep(done < count ? 5 : 1);
    if (done < count) continue;
    left = Number((await pool.query('SELECT count(*) FROM graphile_worker._private_jobs')).rows[0].count);
    last = now();
  }
  await runner.stop();
  return { rate: count / ((last - first) / 1000), submitting };
}

// From before the statement that submits to the start of the task.
async function latency() {
  const times = [];
  let sent = 0;
  const runner = await start(false, { noop: async () => { times.push(now() - sent); } });
  await sleep(500);
  for (let i = 0; i < count; i++) {
    sent = now();
    await pool.query("SELECT graphile_worker.add_job('noop', '{}'::json)");
    while (times.length <= i) await sleep(1);
    await sleep(10);
  }
  await runner.stop();
  times.sort((a, b) => a - b);
  return { p50: times[Math.floor(count * 0.5)], p99: times[Math.floor(count * 0.99)] };
}

(async () => {
  await runMigrations({ pgPool: pool, logger });
  let result;
  if (what === 'latency') result = await latency();
  else {
    const single = await throughput(false);
    const batched = await throughput(true);
    result = { single: single.rate, batched: batched.rate, submitting: single.submitting };
  }
  console.log(Object.entries(result).map(([key, value]) => `${key}=${value.toFixed(3)}`).join('\n'));
  await pool.end();
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
