// The panel's server: pages, actions, files, and one stream of events for each window.
//   PORT, HOST      where it listens (8080, 127.0.0.1)
//   PANEL_ORIGIN    what browsers call it (http://localhost:PORT); others' requests are refused
//   PANEL_USERS     the file of users, see sessions.js
//   PANEL_PROXY     1: a proxy is in front of it, and writes browsers' addresses into X-Forwarded-For
//   PANEL_UPLOAD    bytes that a file may have (1 GB)
//   PANEL_RATE      bytes a second that a reader of a file must take (32,000)
//   PANEL_PATIENCE  seconds that a reader or sender may stand still (60)
//   PANEL_MAIL      1: ask for mail at the end of a job
import http from 'node:http'
import { readFile } from 'node:fs/promises'
import { readdirSync } from 'node:fs'
import { extname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import QueryStream from 'pg-query-stream'
import { bulks, exportsOf, imports, shown } from './catalogue.js'
import { close, listen, read, stream, unavailable, value, write } from './database.js'
import { Sessions } from './sessions.js'
import { done, told, watch } from './watch.js'

const PUBLIC = new URL('public/', import.meta.url)
const PAGES = new Set(readdirSync(PUBLIC))
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' }
const PIECE = 1 << 20
const MAX_UPLOAD = Number(process.env.PANEL_UPLOAD ?? 1e9)
const MAX_BODY = 65536
const MAX_SIGN_IN = 4096 // what fails is remembered
const RATE = Number(process.env.PANEL_RATE ?? 32000) / 1000
const STALLED = Number(process.env.PANEL_PATIENCE ?? 60) * 1000
const UPLOADS = 4 // of a session at once
const DOWNLOADS = 3 // of a user at once, since each has a connection and a snapshot
const FAREWELL = 1000 // ms for the end of a stream of events
const BEAT = 15000
const ISSUES = 100

const HEADERS = {
  'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin'
}

class Refused extends Error {
  constructor (status, message, headers = {}) {
    super(message)
    Object.assign(this, { status, headers })
  }
}

// The errors that say to a user what he did, by SQLSTATE or its class; all others are ours.
const STATUS = { 42501: 403, 42704: 404, '42P01': 404, 55000: 409, 54000: 413, 53400: 429, 22: 400, 42703: 400, 42701: 400 }
const statusOf = ({ code = '' }) => STATUS[code] ?? STATUS[code.slice(0, 2)]

let sessions
let up = false
const browsers = new Set()
const uploading = new Map() // by session
const downloading = new Map() // by user

// ---------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------

const routes = [
  ['GET', /^\/api\/session$/, (request, response, user) => json(response, 200, me(user))],
  ['GET', /^\/api\/events$/, events],
  ['GET', /^\/api\/earlier$/, earlier],
  ['GET', /^\/api\/jobs\/(\d{1,15})\/findings$/, findings],
  ['GET', /^\/api\/jobs\/(\d{1,15})\/outcome$/, outcome],
  ['GET', /^\/api\/jobs\/(\d{1,15})\/file$/, file],
  ['GET', /^\/api\/jobs\/(\d{1,15})\/rejects$/, rejects],
  ['POST', /^\/api\/jobs\/(\d{1,15})\/(\w+)$/, act],
  ['POST', /^\/api\/exports\/(\w+)$/, submitExport],
  ['POST', /^\/api\/bulks\/(\w+)$/, submitBulk],
  ['POST', /^\/api\/imports\/(\w+)$/, submitImport]
]

async function answer (request, response) {
  const { pathname } = new URL(request.url, 'http://panel')
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
  if (!sessions.allowed(request)) throw new Refused(403, 'This request does not come from the panel.')
  if (!pathname.startsWith('/api/')) return page(request, response, pathname)
  response.setHeader('Cache-Control', 'no-store')
  if (pathname === '/api/session' && request.method === 'POST') return signIn(request, response)
  if (pathname === '/api/session' && request.method === 'DELETE') return signOut(request, response)
  const user = sessions.find(request)
  if (!user) throw new Refused(401, 'Please sign in.')
  for (const [method, pattern, handler] of routes) {
    const match = method === request.method && pattern.exec(pathname)
    if (match) return handler(request, response, user, ...match.slice(1))
  }
  throw new Refused(404, 'There is no such page.')
}

function failed (request, response, error) {
  if (request.aborted || response.destroyed) return
  if (response.headersSent) return response.destroy() // nobody must take a part for the whole
  const away = unavailable(error)
  const status = error.status ?? statusOf(error) ?? (away ? 503 : 500)
  if (status >= 500) console.error(`${request.method} ${request.url.replace(/\?.*/, '')}: ${error.message}`)
  const message = status === 500 ? 'Something went wrong here.' : away ? 'The database cannot be reached.' : sentence(error.message)
  if (!request.complete) response.setHeader('Connection', 'close') // the rest of a file is not waited for
  json(response, status, { error: message, hint: status < 500 ? error.hint : undefined }, error.headers)
}

const sentence = text => text.charAt(0).toUpperCase() + text.slice(1)

function json (response, status, body, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body))
}

// To leave a loop over it early must not end the connection: an answer is still to come.
const contentOf = request => request.iterator({ destroyOnReturn: false })

async function bodyOf (request, most = MAX_BODY) {
  if (!/^application\/json\b/.test(request.headers['content-type'])) throw new Refused(415, 'This is not JSON.')
  let text = ''
  for await (const piece of contentOf(request.setEncoding('utf8'))) {
    text += piece
    if (text.length > most) throw new Refused(413, 'This is too much.')
  }
  try {
    return Object(JSON.parse(text || '{}'))
  } catch {
    throw new Refused(400, 'This is not JSON.')
  }
}

async function page (request, response, pathname) {
  const name = pathname === '/' ? 'index.html' : pathname.slice(1)
  if (!PAGES.has(name)) throw new Refused(404, 'There is no such page.')
  if (!['GET', 'HEAD'].includes(request.method)) throw new Refused(405, 'Pages can be read only.', { Allow: 'GET, HEAD' })
  const content = await readFile(new URL(name, PUBLIC))
  response.writeHead(200, { 'Content-Type': TYPES[extname(name)], 'Content-Length': content.length, 'Cache-Control': 'no-cache' })
  response.end(request.method === 'HEAD' ? undefined : content)
}

// ---------------------------------------------------------------------------
// Who it is
// ---------------------------------------------------------------------------

const me = ({ login, name }) => ({ login, name: name ?? login, catalogue: shown, maxUpload: MAX_UPLOAD })

async function signIn (request, response) {
  const { user, password } = await bodyOf(request, MAX_SIGN_IN)
  const cookie = await sessions.open(request, String(user), String(password))
  if (cookie === null) throw new Refused(429, 'Too many attempts. Wait ten seconds.', { 'Retry-After': '10' })
  if (!cookie) throw new Refused(401, 'Name or password is not right.')
  response.writeHead(204, { 'Set-Cookie': cookie }).end()
}

function signOut (request, response) {
  const user = sessions.find(request)
  response.setHeader('Set-Cookie', sessions.close(request))
  for (const browser of browsers) if (browser.session === user?.session) browser.end()
  response.writeHead(204).end()
}

// ---------------------------------------------------------------------------
// Events
// ---------------------------------------------------------------------------

function events (request, response, user) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' })
  const browser = {
    session: user.session,
    // Whether it was sent: not to one who does not read.
    send (event, data) {
      if (response.writableEnded || response.writableNeedDrain) return false
      response.write(`event: ${event}\ndata: ${data}\n\n`)
      return true
    },
    // The session may have run out meanwhile.
    beat: () => sessions.find(request) ? browser.send('database', up ? '"up"' : '"down"') : browser.end(),
    // One who does not read would never come to the end.
    end () {
      gone()
      response.end()
      setTimeout(() => response.destroy(), FAREWELL).unref()
    }
  }
  const forget = watch(user.role, browser)
  const beat = setInterval(browser.beat, BEAT)
  const gone = () => {
    request.socket.off('close', gone)
    browsers.delete(browser)
    clearInterval(beat)
    forget()
  }
  // The socket's end: a response that waits behind another on it has none of its own.
  request.socket.on('close', gone)
  response.on('error', () => {})
  browsers.add(browser)
  browser.beat()
}

function database (state) {
  up = state
  for (const browser of browsers) browser.beat()
  if (up) told(undefined) // what happened meanwhile, nobody has told
}

// ---------------------------------------------------------------------------
// What there is to read
// ---------------------------------------------------------------------------

// Jobs that have left the view, newest first.
async function earlier (request, response, user) {
  const before = Number(new URL(request.url, 'http://panel').searchParams.get('before')) || Number.MAX_SAFE_INTEGER
  const { rows } = await read(user.role, client => client.query(`
    SELECT j.id, j.kind, j.title, j.state, j.finished_at, j.error_message, a.rows, a.bytes, a.format, a.expires_at
      FROM (SELECT * FROM jobs.job
             WHERE id < $1 AND state IN ('succeeded', 'partial', 'failed', 'cancelled') AND finished_at < now() - interval '1 hour'
             ORDER BY id DESC LIMIT 20) j
           LEFT JOIN jobs.artifact a ON a.job = j.id
     ORDER BY j.id DESC`, [Math.min(before, Number.MAX_SAFE_INTEGER)]))
  json(response, 200, rows)
}

// What a preview, or an import, has found.
async function findings (request, response, user, id) {
  const { searchParams } = new URL(request.url, 'http://panel')
  const skip = Math.min(Number(searchParams.get('skip')) || 0, 1e9)
  const severity = searchParams.get('severity')
  const found = await read(user.role, async client => {
    const { rows: [job] } = await client.query(`
      SELECT result FROM jobs.job WHERE id = $1 AND kind IN ('import_preview', 'import') AND result IS NOT NULL`, [id])
    if (!job) throw new Refused(404, 'There is no such preview.')
    const { rows } = await client.query(`
      SELECT row_no, column_name, severity, message, action FROM jobs.import_issue
       WHERE job = $1 AND ($4::text IS NULL OR severity = $4) ORDER BY row_no, line_no LIMIT $3 OFFSET $2`, [id, skip, ISSUES + 1, severity])
    return { result: job.result, rows }
  })
  const { result } = found
  json(response, 200, {
    result: pick(result, ['rows_parsed', 'ready', 'warnings', 'errors', 'to_insert', 'to_update', 'to_skip', 'inserted', 'updated', 'skipped',
      'fell_out', 'issues_kept', 'stopped_early', 'rejected', 'import']),
    columns: pick(result.columns ?? {}, ['left_over', 'missing', 'suggestions', 'generated']),
    target: Object.keys(imports).find(name => imports[name].table === result.table),
    issues: found.rows.slice(0, ISSUES),
    more: found.rows.length > ISSUES
  })
}

// Why items of a bulk job have failed.
async function outcome (request, response, user, id) {
  const { rows } = await read(user.role, client => client.query('SELECT reason, error_code, count, example FROM jobs.failures($1)', [id]))
  json(response, 200, rows)
}

const pick = (object, keys) => Object.fromEntries(keys.filter(key => key in object).map(key => [key, object[key]]))

// ---------------------------------------------------------------------------
// What there is to do
// ---------------------------------------------------------------------------

// By the names that jobs.panel.actions has.  Taking back runs triggers, so it is a job: that one's session is the owner's.
const actions = {
  cancel: ({ role }, id) => value(role, 'SELECT jobs.cancel($1)', [id]),
  retry: ({ role }, id) => value(role, 'SELECT jobs.retry($1)', [id]),
  retry_failed: ({ role }, id, { reason }) => value(role, 'SELECT jobs.retry_failed($1, $2)', [id, reason === undefined ? null : String(reason)]),
  delete: ({ role }, id) => value(role, 'SELECT jobs.delete($1)', [id]),
  import: (user, id, { include_warnings: warnings }) =>
    value(user.role, 'SELECT jobs.import($1, include_warnings => $2, notify => $3)', [id, warnings !== false, notice(user)]),
  undo_import: ({ role }, id) =>
    value(role, `SELECT jobs.run(format('WITH undone AS MATERIALIZED (SELECT * FROM jobs.undo_import(%s)) ' ||
                                        'SELECT jobs.report_progress(deleted + restored) FROM undone', id), title => 'Take back: ' || title)
                   FROM jobs.job WHERE id = $1`, [id])
}

async function act (request, response, user, id, name) {
  if (!Object.hasOwn(actions, name)) throw new Refused(404, 'There is no such action.')
  const result = await actions[name](user, id, await bodyOf(request))
  done(user.role) // nobody is told that a job was deleted
  json(response, 200, { result })
}

// Work of somebody who may have so much of it at once.
async function atMost (most, running, who, message, work) {
  const others = running.get(who) ?? 0
  if (others >= most) throw new Refused(429, message)
  running.set(who, others + 1)
  try {
    await work()
  } finally {
    running.set(who, running.get(who) - 1)
    if (running.get(who) === 0) running.delete(who)
  }
}

const notice = ({ email }) => process.env.PANEL_MAIL === '1' && email ? JSON.stringify({ email }) : null

function entry (list, name) {
  if (!Object.hasOwn(list, name)) throw new Refused(404, 'There is no such thing to start.')
  return list[name]
}

async function submitExport (request, response, user, name) {
  const { label, query, formats, options = {} } = entry(exportsOf, name)
  const { format = formats[0] } = await bodyOf(request)
  if (!formats.includes(format)) throw new Refused(400, 'There is no such format.')
  const job = await value(user.role, 'SELECT jobs.export($1, format => $2, options => $3, title => $4, notify => $5)',
    [query, format, options, label, notice(user)])
  json(response, 202, { job })
}

async function submitBulk (request, response, user, name) {
  const { label, command, items, workers = 1 } = entry(bulks, name)
  await bodyOf(request)
  const job = await value(user.role, 'SELECT jobs.bulk_query($1, $2, workers => $3, title => $4, notify => $5)',
    [command, items, workers, label, notice(user)])
  json(response, 202, { job })
}

// The file is the request's body.  Each piece is one transaction, and the next is not read before it is written: the
// sender goes at the database's pace, a slow one keeps no connection, and one that stops leaves nothing.
async function submitImport (request, response, user, name) {
  const { table, options } = entry(imports, name)
  const filename = new URL(request.url, 'http://panel').searchParams.get('filename')?.slice(0, 200) || null
  if (Number(request.headers['content-length']) > MAX_UPLOAD) throw new Refused(413, `The file is larger than ${MAX_UPLOAD} bytes.`)
  await atMost(UPLOADS, uploading, user.session, `${UPLOADS} files are being uploaded already.`, async () => {
    let upload
    try {
      request.setTimeout(STALLED, () => request.destroy())
      upload = await value(user.role, 'SELECT jobs.upload($1)', [filename])
      for await (const piece of pieces(request)) {
        await write(user.role, client => client.query('SELECT jobs.upload_append($1, $2)', [upload, piece]))
      }
      const job = await value(user.role, 'SELECT jobs.import_preview($1::regclass, $2::bigint, options => $3, notify => $4)',
        [table, upload, options, notice(user)])
      json(response, 202, { job })
    } catch (error) {
      if (upload) await value(user.role, 'SELECT jobs.upload_delete($1)', [upload]).catch(() => {}) // else it goes within a day
      throw error
    }
  })
}

async function * pieces (request) {
  let parts = []
  let held = 0
  let all = 0
  for await (const part of contentOf(request)) {
    parts.push(part)
    held += part.length
    all += part.length
    if (all > MAX_UPLOAD) throw new Refused(413, `The file is larger than ${MAX_UPLOAD} bytes.`)
    if (held < PIECE) continue
    yield Buffer.concat(parts)
    parts = []
    held = 0
  }
  if (held) yield Buffer.concat(parts)
}

// ---------------------------------------------------------------------------
// Files
// ---------------------------------------------------------------------------

const download = (user, work) =>
  atMost(DOWNLOADS, downloading, user.login, `${DOWNLOADS} files are being downloaded already.`, () => stream(user.role, work))

async function file (request, response, user, id) {
  await download(user, async client => {
    const { rows: [artifact] } = await client.query(`
      SELECT media_type, bytes, jobs.content_disposition(filename) AS disposition FROM jobs.artifact WHERE job = $1`, [id])
    if (!artifact) throw new Refused(404, 'There is no such file.')
    await send(response, client, 'SELECT jobs.download($1::bigint) AS chunk', id,
      { 'Content-Type': artifact.media_type, 'Content-Length': artifact.bytes, 'Content-Disposition': artifact.disposition })
  })
}

async function rejects (request, response, user, id) {
  await download(user, async client => {
    const { rows: [{ disposition }] } = await client.query(`
      SELECT jobs.content_disposition('rejects-' || $1::text || '.csv') AS disposition`, [id])
    await send(response, client, 'SELECT jobs.rejects($1::bigint) AS chunk', id,
      { 'Content-Type': 'text/csv', 'Content-Disposition': disposition })
  })
}

// The first chunk comes before the headers, so that what is refused is said; then a few at a time, as the reader takes them.
async function send (response, client, statement, id, headers) {
  const chunks = client.query(new QueryStream(statement, [id], { batchSize: 4 }))
  try {
    const rows = chunks[Symbol.asyncIterator]()
    let row = await rows.next()
    response.writeHead(200, headers)
    response.setTimeout(STALLED, () => response.destroy())
    await pipeline(paced(async function * () {
      for (; !row.done; row = await rows.next()) yield row.value.chunk
    }(), response), response)
  } finally {
    chunks.destroy()
  }
}

// A reader may stand still for a while, and gains time by what he takes, but no more than that.  So one who is too slow
// all along is cut off, who takes a byte now and then as well.
async function * paced (chunks, response) {
  let left = STALLED
  for await (const chunk of chunks) {
    const begun = Date.now()
    const end = setTimeout(() => response.destroy(), left)
    try {
      yield chunk
    } finally {
      clearTimeout(end)
    }
    left = Math.min(left - (Date.now() - begun) + chunk.length / RATE, STALLED)
  }
}

// ---------------------------------------------------------------------------
// Start and end
// ---------------------------------------------------------------------------

const server = http.createServer((request, response) => answer(request, response).catch(error => failed(request, response, error)))
const ending = new AbortController()
server.requestTimeout = 0 // a large file takes its time; one that stands still is told by its socket

server.on('error', ({ message }) => {
  console.error(message)
  process.exit(1)
})
server.listen(process.env.PORT ?? 8080, process.env.HOST ?? '127.0.0.1', () => {
  const { port } = server.address()
  const origins = process.env.PANEL_ORIGIN?.split(/[ ,]+/) ?? [`http://localhost:${port}`, `http://127.0.0.1:${port}`]
  sessions = new Sessions(process.env.PANEL_USERS ?? 'users.json', origins, process.env.PANEL_PROXY === '1')
  listen({ told, up: () => database(true), down: () => database(false), signal: ending.signal })
  console.log(`The panel is at ${origins[0]} and listens on port ${port}.`)
})

function end () {
  if (ending.signal.aborted) return
  ending.abort()
  for (const browser of browsers) browser.end()
  server.close(() => close().then(() => process.exit()))
  server.closeIdleConnections()
  setTimeout(() => process.exit(), 3000).unref()
}
process.on('SIGTERM', end).on('SIGINT', end)
