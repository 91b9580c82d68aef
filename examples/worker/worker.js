#!/usr/bin/env node
// Does the jobs of a queue, as they come: node worker.js QUEUE.  Needs the package pg; PGHOST and the like say where.
const fs = require('fs');
const path = require('path');
const { Client } = require('pg');

// Writes an invoice for each customer into a directory; returns the job's result.
async function work({ customers, directory, month }, report) {
  for (const [n, customer] of customers.entries()) {
    fs.writeFileSync(path.join(directory, `${month}-${customer}.txt`), `Invoice for ${customer}, ${month}\n`);
    await report(n + 1, customers.length, `${customer} done`);
  }
  return { files: customers.length };
}

// It was cancelled, or the lease ran out: not ours any more.
function lost(error) {
  if (error.code !== '55000') throw error;
  console.error(error.message, error.detail);
}

async function perform(db, { job, payload, claim }) {
  const keep = setInterval(() => db.query(`SELECT jobs.extend_lease($1, '1 minute', $2)`, [job, claim]).catch(() => {}), 20000);
  try {
    const result = await work(payload, (...progress) =>
      db.query('SELECT jobs.report_progress_of($1, $2, $3, $4, $5)', [job, ...progress, claim]));
    await db.query('SELECT jobs.finish($1, $2, $3)', [job, JSON.stringify(result), claim]);
  } catch (error) {
    if (error.code === '55000') return lost(error);
    await db.query('SELECT jobs.fail($1, $2, claim => $3)', [job, error.message, claim]).catch(lost);
  } finally {
    clearInterval(keep);
  }
}

async function main(queue) {
  const db = new Client();
  let told = false;
  let wake = () => {};
  db.on('notification', () => { told = true; wake(); }); // anybody can notify, so a message only wakes
  await db.connect();
  await db.query('LISTEN jobs');
  for (;;) {
    told = false;
    const { rows } = await db.query('SELECT job, payload, claim FROM jobs.claim($1)', [queue]);
    for (const job of rows) await perform(db, job);
    if (rows.length === 0 && !told) {
      await new Promise((resolve) => { // and one may get lost
        const timer = setTimeout(resolve, 60000);
        wake = () => { clearTimeout(timer); resolve(); };
      });
    }
  }
}

main(process.argv[2]).catch((error) => { console.error(error); process.exit(1); });
