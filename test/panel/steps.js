// What the script of the browser is made of: assertions in TAP's words, waiting for conditions, the programs around it.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import http from 'node:http'
import net from 'node:net'
import readline from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

pg.types.setTypeParser(20, Number)

export const LIMIT = Number(process.env.PG_TEST_TIMEOUT_DEFAULT ?? 180) * 1000

export function ok (condition, name, ...facts) {
  console.log(`${condition ? 'ok' : 'not ok'} - ${name}`)
  if (!condition) for (const fact of facts) console.log(`#   ${String(typeof fact === 'string' ? fact : JSON.stringify(fact)).replace(/\n/g, '\n#   ')}`)
  return condition
}

export const is = (got, wanted, name) => ok(JSON.stringify(got) === JSON.stringify(wanted), name, { got }, { wanted })

// Until it is true; what it throws counts as false.
export async function until (condition, name) {
  const deadline = Date.now() + LIMIT
  let last
  while (Date.now() < deadline) {
    try {
      last = await condition()
      if (last) return ok(true, name)
    } catch (error) {
      last = error.message
    }
    await sleep(20)
  }
  return ok(false, name, 'timed out', last)
}

// Asks the Perl part for something, and waits until it is done.
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
export async function order (what) {
  console.log(`!${what}`)
  await answers.next()
}

// One connection a statement, since the server comes and goes.
export async function sql (statement, parameters, user = 'postgres', role) {
  const client = new pg.Client({ user })
  await client.connect()
  try {
    if (role) await client.query("SELECT set_config('role', $1, false)", [role])
    const { rows } = await client.query(statement, parameters)
    return rows
  } finally {
    await client.end()
  }
}

// Runs statements and keeps the transaction open, until the server ends it.
export async function hold (statements) {
  const client = new pg.Client({ user: 'postgres' })
  client.on('error', () => {})
  await client.connect()
  await client.query(`BEGIN; ${statements}`)
}

export const one = async (...of) => Object.values((await sql(...of))[0])[0]

// A program; ready resolves to the match of its first line that fits.
export function program (args, env, pattern) {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const ready = new Promise((resolve, reject) => {
    const look = data => {
      const match = pattern.exec(output += data)
      if (match) resolve(match)
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.on('exit', code => reject(new Error(`it ended with ${code}: ${output}`)))
  })
  const ended = new Promise(resolve => child.on('exit', resolve))
  return { child, ready, ended, output: () => output }
}

// A network that can be cut between the browser and the panel.
export async function proxy (to) {
  const sockets = new Set()
  let cut = false
  const server = net.createServer(socket => {
    if (cut) return socket.destroy()
    const other = net.connect(to(), '127.0.0.1')
    for (const [from, into] of [[socket, other], [other, socket]]) {
      sockets.add(from)
      from.pipe(into)
      from.on('error', () => {}).on('close', () => { into.destroy(); sockets.delete(from) })
    }
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: server.address().port,
    cut () { cut = true; for (const socket of sockets) socket.destroy() },
    mend () { cut = false },
    close () { this.cut(); server.close() }
  }
}

// A request of no browser's: any header, any body.
export function request (port, method, path, headers = {}, body) {
  return new Promise((resolve, reject) => {
    const call = http.request({ host: '127.0.0.1', port, method, path, headers }, response => {
      const pieces = []
      response.on('data', piece => pieces.push(piece)).on('error', reject)
        .on('close', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }))
    })
    call.on('error', reject)
    if (typeof body === 'function') body(call)
    else call.end(body)
  })
}

export const sha256 = data => createHash('sha256').update(data).digest('hex')
