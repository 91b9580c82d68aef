// Imports a CSV file as applications do it: csv-parse, checks of each row, and
// INSERTs of many rows.  Arguments: the file, the table.

const fs = require('fs')
const { parse } = require('csv-parse')
const pg = require('pg')

const ROWS = 1000
const columns = ['id', 'email', 'name', 'amount', 'created_at', 'active', 'notes']

function valid(row) {
  return /^\d+$/.test(row.id) && /^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(row.email) && row.name !== '' &&
    /^-?\d+(\.\d+)?$/.test(row.amount) && !isNaN(Date.parse(row.created_at)) && /^(true|false)$/.test(row.active)
}

async function insert(client, table, rows) {
  const values = []
  const tuples = rows.map((row) => '(' + columns.map((column) => `$${values.push(row[column] === '' ? null : row[column])}`).join(',') + ')')

  await client.query(`INSERT INTO ${table} (${columns}) VALUES ${tuples} ON CONFLICT DO NOTHING`, values)
}

async function main(file, table) {
  const client = new pg.Client({ database: 'postgres' })
  const rejected = []
  let rows = []

  await client.connect()
  await client.query('BEGIN')
  for await (const row of fs.createReadStream(file).pipe(parse({ columns: true, relax_column_count: true }))) {
    if (valid(row)) rows.push(row)
    else rejected.push(row)
    if (rows.length === ROWS) {
      await insert(client, table, rows)
      rows = []
    }
  }
  if (rows.length) await insert(client, table, rows)
  await client.query('COMMIT')
  await client.end()
}

main(...process.argv.slice(2))
