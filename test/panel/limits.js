// What one user can take from the others: attempts at passwords, connections of downloads, streams that nobody reads.
import http from 'node:http'
import net from 'node:net'
import { is, ok, one, program, request, until } from './steps.js'

const RIGHT = 'analytical engine'

export async function limits (world) {
  const strict = program(['panel/server.js'], {
    PGUSER: 'panel', PORT: '0', PANEL_USERS: 'users.json', PANEL_PROXY: '1', PANEL_RATE: '20000000', PANEL_PATIENCE: '2'
  }, /listens on port (\d+)/)
  strict.port = Number((await strict.ready)[1])
  try {
    await passwords(world, strict)
    await downloads(world, strict)
    await unread(world)
  } finally {
    strict.child.kill('SIGTERM')
  }
}

// Signs in; from is the address that a proxy would tell.
function signIn (port, host, user, password, from) {
  const headers = { host, origin: `http://${host}`, 'content-type': 'application/json', ...from && { 'x-forwarded-for': from } }
  return request(port, 'POST', '/api/session', headers, JSON.stringify({ user, password }))
}

const cookieOf = ({ headers }) => headers['set-cookie'][0].split(';')[0]

async function passwords (world, strict) {
  const { port } = world
  const { host } = new URL(world.url)
  const attempt = async (user, password) => (await signIn(port, host, user, password)).status

  // -- One name --
  const wrong = async user => {
    const statuses = []
    for (let i = 0; i < 5; i++) statuses.push(await attempt(user, String(i)))
    return statuses
  }
  is(await wrong('mallory'), [401, 401, 401, 401, 401], 'five wrong passwords')
  const more = Array.from({ length: 5 }, () => attempt('mallory', 'x'))
  is(await Promise.race(more), 429, 'guessing is slow: where several wait, the next is refused')
  await wrong('grace')
  is(await attempt('grace', RIGHT), 204, 'after five wrong ones the right password is let in all the same')
  is((await signIn(port, host, 'x'.repeat(60000), 'x')).status, 413, 'a name of 60 kB is not kept')

  // -- Many names --
  let looked = 0
  const many = Array.from({ length: 150 }, (_, i) => attempt(`nobody ${i}`, 'x').then(status => {
    if (status === 401) looked++
    return status
  }))
  await Promise.race(many)
  await request(port, 'GET', '/panel.css', { host })
  ok(looked < 20, 'pages are read while many passwords are looked at', looked)
  is([...new Set(await Promise.all(many))].sort(), [401, 429], 'of which some are refused')

  // -- Behind a proxy --
  const own = `localhost:${strict.port}`
  const from = async (address, password) => (await signIn(strict.port, own, 'ada', password, address)).status
  for (let i = 0; i < 5; i++) await from(`10.0.0.${i}, 192.0.2.1`, 'x')
  is(await Promise.race(Array.from({ length: 5 }, () => from('10.0.0.9, 192.0.2.1', 'x'))), 429, 'behind a proxy: the address that it has seen counts')
  is(await from('192.0.2.1, 192.0.2.2', RIGHT), 204, 'and nobody at another waits')
}

// A response of which nothing is read.
const opened = (port, path, headers) => new Promise((resolve, reject) =>
  http.get({ host: '127.0.0.1', port, path, headers, agent: false }, response => resolve(response.on('error', () => {}))).on('error', reject))

async function downloads (world, strict) {
  const large = await one('SELECT jobs.export($1, title => \'Large\')', ['SELECT * FROM sales'], 'panel', 'ada')
  await until(async () => await one('SELECT state FROM jobs.job WHERE id = $1', [large]) === 'succeeded', 'another file of 40 MB')
  const bytes = await one('SELECT bytes FROM jobs.artifact WHERE job = $1', [large])
  const path = `/api/jobs/${large}/file`

  // -- Many at once --
  const { host } = new URL(world.url)
  const another = cookieOf(await signIn(world.port, host, 'ada', RIGHT))
  const unread = await Promise.all([world.cookie, another, another].map(cookie => opened(world.port, path, { host, cookie })))
  is(unread.map(({ statusCode }) => statusCode), [200, 200, 200], 'three downloads at once, in two sessions')
  is((await world.as('GET', path)).status, 429, 'a user can have no fourth')
  unread[0].destroy()
  await until(async () => {
    const response = await opened(world.port, path, { host, cookie: another })
    response.destroy()
    return response.statusCode === 200
  }, 'but another one when one has ended')
  for (const response of unread) response.destroy()

  // -- One that trickles --
  const own = `localhost:${strict.port}`
  const cookie = cookieOf(await signIn(strict.port, own, 'ada', RIGHT, '192.0.2.3'))
  const slow = await opened(strict.port, path, { host: own, cookie })
  let got = 0
  slow.on('data', data => {
    got += data.length
    slow.pause()
    setTimeout(() => slow.resume(), 50)
  })
  await new Promise(resolve => slow.on('close', resolve))
  ok(got < bytes, 'who reads too slowly is cut off', { got, bytes })
  await world.as('POST', `/api/jobs/${large}/delete`, '{}')
}

// A stream of events behind a download that is not read: nothing of it can be sent, nor its end.
async function unread (world) {
  const { host, origin } = new URL(world.url)
  const large = await one('SELECT jobs.export($1, title => \'Large\')', ['SELECT * FROM sales'], 'panel', 'grace')
  await until(async () => await one('SELECT state FROM jobs.job WHERE id = $1', [large]) === 'succeeded', 'a file that nobody reads')
  const cookie = cookieOf(await signIn(world.port, host, 'grace', RIGHT))
  const socket = net.connect(world.port, '127.0.0.1').on('error', () => {}).pause()
  socket.write([`/api/jobs/${large}/file`, '/api/events'].map(path => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\n\r\n`).join(''))
  await until(async () => await one('SELECT count(*) FROM pg_stat_activity WHERE usename = \'panel\' AND state = \'idle in transaction\'') === 1, 'it is on its way, and events after it')
  is((await request(world.port, 'DELETE', '/api/session', { host, origin, cookie })).status, 204, 'its user signs out')
  await one('SELECT jobs.run(\'SELECT 1\', title => \'After the end\')', [], 'panel', 'grace')
  await world.other.getByRole('article', { name: 'After the end' }).waitFor()
  is((await world.as('GET', '/api/session')).status, 200, 'the server goes on, and tells the others')
  socket.destroy()
}
