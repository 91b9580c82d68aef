// Connections to the database.  They log in as one role, which is a member of the users' roles (NOINHERIT, so that it
// has their rights only where it says so); PGHOST, PGUSER and so on say where and as whom.
import pg from 'pg'
import { setTimeout as sleep } from 'node:timers/promises'

pg.types.setTypeParser(pg.types.builtins.INT8, Number) // ids and counts, far below 2^53

const settings = { application_name: 'jobs panel', connectionTimeoutMillis: 5000, keepAlive: true }
const short = new pg.Pool({ ...settings, max: 8, statement_timeout: 15000, query_timeout: 20000 })
const long = new pg.Pool({ ...settings, max: 16 }) // of downloads, so that slow readers take nothing from the others

for (const pool of [short, long]) {
  pool.on('error', error => console.error(`idle connection: ${error.message}`))
  // One that is lost while it is used: its query fails, and that is enough.
  pool.on('connect', client => client.on('error', () => {}))
}

// Runs work in one transaction as a user's role.  The role lasts to the transaction's end and no longer, whatever the
// way out, so no connection goes back to the pool with it.  It is a parameter, and all statements of this program are
// constants: nothing that a browser sends becomes SQL.
async function transaction (pool, begin, role, work) {
  const client = await pool.connect()
  let broken
  try {
    await client.query(begin)
    await client.query("SELECT set_config('role', $1, true)", [role])
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(failure => { broken = failure })
    throw error
  } finally {
    client.release(broken)
  }
}

export const write = (role, work) => transaction(short, 'BEGIN', role, work)
export const read = (role, work) => transaction(short, 'BEGIN READ ONLY', role, work)
export const stream = (role, work) => transaction(long, 'BEGIN READ ONLY', role, work)

// The one value of one row.
export const value = (role, statement, parameters) =>
  write(role, async client => Object.values((await client.query(statement, parameters)).rows[0])[0])

// Whether an error is about the connection or the server, and not about what was asked of it.
export const unavailable = error =>
  error.code === undefined ? /terminated|timeout|ended/i.test(error.message) : /^(08|57|53[0-3]|ECONN|ENOENT|EPIPE|ETIMEDOUT|EHOST|ENET)/.test(error.code)

// Listens for ever, on a connection of its own; comes back by itself after a lost one.  told(job) for each message,
// with undefined where it makes no sense: anybody may send one.  up and down when the connection comes and goes.
export async function listen ({ told, up, down, signal }) {
  let pause = 100
  while (!signal.aborted) {
    const client = new pg.Client(settings)
    const lost = new Promise(resolve => client.on('error', resolve).on('end', resolve))
    client.on('notification', ({ payload }) => told(jobOf(payload)))
    try {
      await client.connect()
      await client.query('LISTEN jobs; LISTEN jobs_progress')
      pause = 100
      up()
      await Promise.race([lost, silent(client, signal)])
    } catch (error) {
      if (!signal.aborted) console.error(`listener: ${error.message}`)
    }
    client.end().catch(() => {})
    if (signal.aborted) return
    down()
    await sleep(pause * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {})
    pause = Math.min(pause * 2, 5000)
  }
}

function jobOf (payload) {
  try {
    const { job } = JSON.parse(payload)
    return Number.isSafeInteger(job) ? job : undefined
  } catch {
    return undefined
  }
}

// Resolves when the server no longer answers: a connection that is dead without a word is found within a minute.
async function silent (client, signal) {
  for (;;) {
    await sleep(30000, undefined, { signal, ref: false })
    const answered = await Promise.race([client.query('SELECT 1'), sleep(10000, false, { signal, ref: false })])
    if (!answered) return
  }
}

export const close = () => Promise.allSettled([short.end(), long.end()])
