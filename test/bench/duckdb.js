// Reads a CSV file with DuckDB, which keeps what it cannot read.  Argument: the file.

const { DuckDBInstance } = require('@duckdb/node-api')

async function main(file) {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()

  await connection.run(`CREATE TABLE t AS SELECT count(*) n, sum(hash(id, email, name, amount, created_at, active, notes)) h
    FROM read_csv('${file}', store_rejects = true, columns = {id: 'BIGINT', email: 'VARCHAR', name: 'VARCHAR',
      amount: 'DECIMAL(12,2)', created_at: 'TIMESTAMP', active: 'BOOLEAN', notes: 'VARCHAR'})`)
}

main(process.argv[2])
