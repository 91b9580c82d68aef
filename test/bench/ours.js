// Latency of jobs as graphile.js measures graphile-worker's:
//   node ours.js N
// From before the statement that submits to the start of the work, whose time
// is the server's; client and server have one clock.
'use strict';
const { Client } = require('pg');

const count = Number(process.argv[2]);
const now = () => performance.timeOrigin + performance.now();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

(async () => {
  const client = new Client({ host: process.env.PGHOST, database: process.env.PGDATABASE, user: process.env.PGUSER });
  await client.connect();
  const sent = [];
  for (let i = 0; i < count; i++) {
    sent[i] = now();
    await client.query(`SELECT jobs.run('INSERT INTO bench.begun VALUES (${i}, clock_timestamp())')`);
    await sleep(20);
  }
  await sleep(500);
  const result = await client.query('SELECT n, 1000 * extract(epoch FROM at)::float8 AS at FROM bench.begun');
  const times = result.rows.map((row) => row.at - sent[row.n]).sort((a, b) => a - b);
  console.log(`p50=${times[Math.floor(times.length * 0.5)].toFixed(3)}\np99=${times[Math.floor(times.length * 0.99)].toFixed(3)}`);
  await client.end();
})().catch((error) => { console.error(error); process.exit(1); });
