// What an application does without the extension: rows from a cursor, through a
// CSV writer and zlib into a file:
//   node stream.js QUERY FILE
'use strict';
const fs = require('fs');
const zlib = require('zlib');
const { pipeline } = require('stream/promises');
const { Client } = require('pg');
const QueryStream = require('pg-query-stream');
const { stringify } = require('csv-stringify');

(async () => {
  const client = new Client({ host: process.env.PGHOST, database: process.env.PGDATABASE, user: process.env.PGUSER });
  await client.connect();
  await pipeline(
    client.query(new QueryStream(process.argv[2], [], { batchSize: 1000 })),
    stringify({ header: true, cast: { date: (value) => value.toISOString() } }),
    zlib.createGzip({ level: 1 }),
    fs.createWriteStream(process.argv[3]));
  await client.end();
})().catch((error) => { console.error(error); process.exit(1); });
