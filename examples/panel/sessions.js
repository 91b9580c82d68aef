// Who is signed in.  An application has this already: it needs find(), which gives the user of a request, and the two
// checks of allowed().  Users stand in a file of JSON, which PANEL_USERS names:
//   {"ada": {"name": "Ada Lovelace", "role": "ada", "email": "ada@example.com", "password": "scrypt:…"}}
// `node sessions.js` reads a password from standard input and prints its hash.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { pathToFileURL } from 'node:url'

const derive = promisify(scrypt)
const LIFETIME = 12 * 3600 * 1000
const ATTEMPTS = 5 // in a row under one name from one address; those that follow are PAUSE apart
const PAUSE = 3 * 1000
const PATIENCE = 10 * 1000 // that one waits for its turn
const MEMORY = 60 * 1000
const NAMES = 1000 // that have failed and are kept
const QUEUE = 50 // passwords that wait to be looked at

export async function hash (password) {
  const salt = randomBytes(16)
  return `scrypt:${salt.toString('base64url')}:${(await derive(password, salt, 32)).toString('base64url')}`
}

async function matches (password, hashed) {
  const [, salt, key] = hashed.split(':')
  return timingSafeEqual(await derive(password, Buffer.from(salt, 'base64url'), 32), Buffer.from(key, 'base64url'))
}

// One after the other, since pages are read by the same few threads.
let queued = 0
let last = Promise.resolve()
function inTurn (work) {
  queued++
  const result = last.then(work).finally(() => queued--)
  last = result.catch(() => {})
  return result
}

export class Sessions {
  #users
  #origins
  #name
  #secure
  #open = new Map() // by the cookie's value
  #failures = new Map() // by address and name, the latest last
  #proxy
  #nobody = hash(randomBytes(16)) // takes as long as a user's

  // Behind a proxy, the address is what that has written last into X-Forwarded-For.
  constructor (file, origins, proxy = false) {
    this.#users = new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8'))))
    for (const [name, { role, password }] of this.#users) {
      if (!role || role === 'none' || !/^scrypt:[\w-]+:[\w-]{43}$/.test(password)) throw new Error(`user ${name}: role or password is not right`)
    }
    this.#origins = origins
    this.#proxy = proxy
    this.#secure = origins.every(origin => origin.startsWith('https:'))
    this.#name = this.#secure ? '__Host-panel' : 'panel'
    setInterval(() => this.#sweep(), 60000).unref()
  }

  // Whether a request may come from where it comes from.  The host keeps out sites whose name leads to this address; the
  // origin, which browsers send with everything that is no GET, keeps out all others' forms and scripts.  The cookie
  // does not go along with those either, since it is SameSite=Strict.
  allowed ({ method, headers: { host, origin } }) {
    if (!this.#origins.some(own => new URL(own).host === host)) return false
    return method === 'GET' || method === 'HEAD' || this.#origins.includes(origin)
  }

  find (request) {
    const session = this.#open.get(this.#cookie(request))
    return session && session.until > Date.now() ? session.user : undefined
  }

  // Returns the header that signs in, undefined for a wrong name or password, or null where too many wait already.  After
  // wrong ones each waits for its turn, also with the right password, which is let in all the same.
  async open (request, name, password) {
    const key = `${this.#address(request)} ${name}`
    const now = Date.now()
    const { times, free } = this.#failures.get(key) ?? { times: 0, free: 0 }
    const turn = times < ATTEMPTS ? now : Math.max(now, free)
    if (turn - now > PATIENCE || queued >= QUEUE) return null
    this.#failures.delete(key)
    this.#failures.set(key, { times: times + 1, free: turn + PAUSE }) // before the wait, so that none comes beside it
    if (this.#failures.size > NAMES) this.#failures.delete(this.#failures.keys().next().value)
    if (turn > now) await sleep(turn - now)
    const user = this.#users.get(name)
    const hashed = user?.password ?? await this.#nobody
    if (!await inTurn(() => matches(password, hashed)) || !user) return undefined
    this.#failures.delete(key)
    const id = randomBytes(32).toString('base64url')
    this.#open.set(id, { until: Date.now() + LIFETIME, user: { ...user, login: name, session: id } })
    return this.#header(id, LIFETIME / 1000)
  }

  close (request) {
    this.#open.delete(this.#cookie(request))
    return this.#header('', 0)
  }

  #address ({ headers, socket }) {
    return (this.#proxy && headers['x-forwarded-for']?.split(',').at(-1).trim()) || socket.remoteAddress
  }

  #cookie ({ headers: { cookie = '' } }) {
    for (const pair of cookie.split(/; */)) if (pair.startsWith(`${this.#name}=`)) return pair.slice(this.#name.length + 1)
  }

  #header (id, seconds) {
    return `${this.#name}=${id}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${this.#secure ? '; Secure' : ''}`
  }

  #sweep () {
    const now = Date.now()
    for (const [id, { until }] of this.#open) if (until <= now) this.#open.delete(id)
    for (const [key, { free }] of this.#failures) if (now - free >= MEMORY) this.#failures.delete(key)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(await hash(readFileSync(0, 'utf8').replace(/\r?\n$/, '')))
}
