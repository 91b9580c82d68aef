// What an application does without bulk jobs: one statement for each item, each
// its own transaction, on a pool of 10 connections.
//   node bulk.js N
'use strict';
const { Pool } = require('pg');

const count = Number(process.argv[2]);

(async () => {
  const pool = new Pool({ host: process.env.PGHOST, database: process.env.PGDATABASE, user: process.env.PGUSER, max: 10 });
  await pool.query('SELECT 1');
  const began = performance.now();
  let next = 1;
  const work = async () => {
    while (next <= count) {
      const n = next++;
      try {
        await pool.query('INSERT INTO bench.sink VALUES (($1::jsonb->>\'n\')::integer, \'x\')', [JSON.stringify({ n })]);
      } catch (error) {
        // Here an application would note the failure.
      }
    }
  };
  await Promise.all(Array.from({ length: 10 }, work));
  console.log(`ms=${(performance.now() - began).toFixed(1)}`);
  await pool.end();
})().catch((error) => { console.error(error); process.exit(1); });
