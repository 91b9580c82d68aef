#!/usr/bin/env node
// Does the jobs of a queue, as they come: node worker.js QUEUE DIRECTORY [OWNER ...], those of all who let it where no
// owner is named.  Needs the package pg; PGHOST and the like say where.
const fs = require('fs');
const path = require('path');
const { Client } = require('pg');

const [queue, directory, ...owners] = process.argv.slice(2);

// Writes an invoice for each customer into the directory; returns the job's result.
async function work({ customers, month }, report) {
  // A payload is a stranger's: where files are is not for it to say, and names are looked at.
  if (![month, ...customers].every((name) => /^[A-Za-z0-9_-]{1,60}$/.test(name))) throw new Error('a month or customer is not a word');
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

async function perform(db, { job, owner, payload, claim }) {
  const keep = setInterval(() => db.query(`SELECT jobs.extend_lease($1, '1 minute', $2)`, [job, claim]).catch(() => {}), 20000);
  try {
    if (owners.length > 0 && !owners.includes(owner)) throw new Error(`jobs of ${owner} are not done here`);
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

async function main() {
  const db = new Client();
  let told = false;
  let wake = () => {};
  db.on('notification', () => { told = true; wake(); }); // anybody can notify, so a message only wakes
  await db.connect();
  await db.query('LISTEN jobs');
  for (;;) {
    told = false;
    const { rows } = await db.query('SELECT job, owner, payload, claim FROM jobs.claim($1)', [queue]);
    for (const job of rows) await perform(db, job);
    if (rows.length === 0 && !told) {
      await new Promise((resolve) => { // and one may get lost
        const timer = setTimeout(resolve, 60000);
        wake = () => { clearTimeout(timer); resolve(); };
      });
    }
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
