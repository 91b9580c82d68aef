// Hands out shared files: GET /<token of jobs.share>.  The connection is set by
// PGHOST, PGUSER and so on; the role needs nothing but what docs/sharing.md grants.
//   PORT      where it listens (8080)
//   RATE      bytes a second that a reader must take (32,000)
//   PATIENCE  seconds that a reader may stand still (60)
import http from 'node:http'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import QueryStream from 'pg-query-stream'

const RATE = Number(process.env.RATE ?? 32000) / 1000
const PATIENCE = Number(process.env.PATIENCE ?? 60) * 1000
const pool = new pg.Pool({ max: 20, application_name: 'download', connectionTimeoutMillis: 10000 })
pool.on('error', error => console.error(error.message))
pool.on('connect', client => client.on('error', () => {})) // lost while it is used: its query fails, and that is enough

async function answer (request, response) {
  if (!['GET', 'HEAD'].includes(request.method)) return response.writeHead(405, { Allow: 'GET, HEAD' }).end()
  let client, failure
  try {
    const token = new URL(request.url, 'http://localhost').pathname.slice(1)
    client = await pool.connect()
    const { rows: [file] } = await client.query('SELECT * FROM jobs.shared($1)', [token])
    response.writeHead(200, {
      'Content-Type': file.media_type,
      'Content-Length': file.bytes,
      'Content-Disposition': file.content_disposition,
      'Cache-Control': 'private, no-store',
      'X-Content-Type-Options': 'nosniff'
    })
    if (request.method === 'HEAD') return response.end()
    const rows = client.query(new QueryStream('SELECT jobs.download($1::text) AS chunk', [token], { batchSize: 4 }))
    response.setTimeout(PATIENCE, () => response.destroy())
    await pipeline(paced(rows, response), response)
  } catch (error) {
    const invalid = error.code === '42704'
    if (!invalid) console.error((failure = error).message)
    if (response.headersSent) response.destroy() // the reader must not take a part for the whole
    else response.writeHead(invalid ? 404 : 503, { 'Content-Type': 'text/plain' }).end(invalid ? 'This link is not valid.\n' : 'Try again later.\n')
  } finally {
    client?.release(failure)
  }
}

// A reader may stand still for a while, and gains time by what he takes, but no more than that.  So one who is too slow
// all along is cut off, who takes a byte now and then as well: each has a connection and a snapshot.
async function * paced (rows, response) {
  let left = PATIENCE
  for await (const { chunk } of rows) {
    const begun = Date.now()
    const end = setTimeout(() => response.destroy(), left)
    try {
      yield chunk
    } finally {
      clearTimeout(end)
    }
    left = Math.min(left - (Date.now() - begun) + chunk.length / RATE, PATIENCE)
  }
}

const server = http.createServer(answer)
server.listen(process.env.PORT ?? 8080, '127.0.0.1', () => console.log(`listening on port ${server.address().port}`))
