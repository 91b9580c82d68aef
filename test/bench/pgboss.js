// Throughput and latency of pg-boss:
//   node pgboss.js throughput N | latency N
// Needs the packages in NODE_PATH and a database in PG*.  It polls; the interval
// is the shortest it allows, half a second.
'use strict';
const Boss = require('pg-boss');
const PgBoss = Boss.PgBoss || Boss;

const [what, count] = [process.argv[2], Number(process.argv[3])];
const now = () => performance.timeOrigin + performance.now();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const BATCH = 1000;
const WORKERS = 2;

async function throughput(boss) {
  let done = 0, first = 0, last = 0;
  const t = now();
  for (let i = 0; i < count; i += 10000) {
    const jobs = Array.from({ length: Math.min(10000, count - i) }, () => ({ name: 'noop', data: {} }));
    await (boss.insert.length > 1 ? boss.insert('noop', jobs) : boss.insert(jobs));
  }
  const submitting = count / ((now() - t) / 1000);
  for (let i = 0; i < WORKERS; i++)
    await boss.work('noop', { batchSize: BATCH, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      first = first || now();
      done += jobs.length;
    });
  let left = count;
  while (left > 0) {
    await sleep(5);
    last = now();
    if (done < count) continue;
    left = await boss.getQueueSize('noop', { before: 'completed' });
  }
  return { rate: count / ((last - first) / 1000), submitting };
}

async function latency(boss) {
  const times = [];
  let sent = 0;
  await boss.work('noop', { pollingIntervalSeconds: 0.5 }, async () => { times.push(now() - sent); });
  for (let i = 0; i < count; i++) {
    await sleep(Math.random() * 500);
    sent = now();
    await boss.send('noop', {});
    while (times.length <= i) await sleep(1);
  }
  times.sort((a, b) => a - b);
  return { p50: times[Math.floor(count * 0.5)], p99: times[Math.floor(count * 0.99)] };
}

(async () => {
  const boss = new PgBoss({ host: process.env.PGHOST, database: process.env.PGDATABASE, user: process.env.PGUSER, max: 10 });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue('noop');
  const result = what === 'latency' ? await latency(boss) : await throughput(boss);
  console.log(Object.entries(result).map(([key, value]) => `${key}=${value.toFixed(3)}`).join('\n'));
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
