// Who is signed in.  An application has this already: it needs find(), which gives the user of a request, and the two
// checks of allowed().  Users stand in a file of JSON, which PANEL_USERS names:
//   {"ada": {"name": "Ada Lovelace", "role": "ada", "email": "ada@example.com", "password": "scrypt:…"}}
// `node sessions.js` reads a password from standard input and prints its hash.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { pathToFileURL } from 'node:url'

const derive = promisify(scrypt)
const LIFETIME = 12 * 3600 * 1000
const ATTEMPTS = 5 // in a row; then each waits
const PATIENCE = 30 * 1000

export async function hash (password) {
  const salt = randomBytes(16)
  return `scrypt:${salt.toString('base64url')}:${(await derive(password, salt, 32)).toString('base64url')}`
}

async function matches (password, hashed) {
  const [, salt, key] = hashed.split(':')
  return timingSafeEqual(await derive(password, Buffer.from(salt, 'base64url'), 32), Buffer.from(key, 'base64url'))
}

export class Sessions {
  #users
  #origins
  #name
  #secure
  #open = new Map() // by the cookie's value
  #failures = new Map() // by address and name
  #nobody = hash(randomBytes(16)) // takes as long as a user's

  constructor (file, origins) {
    this.#users = new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8'))))
    for (const [name, { role, password }] of this.#users) {
      if (!role || role === 'none' || !/^scrypt:[\w-]+:[\w-]{43}$/.test(password)) throw new Error(`user ${name}: role or password is not right`)
    }
    this.#origins = origins
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

  // Returns the header that signs in, undefined for a wrong name or password, or null after too many of them.
  async open (request, name, password) {
    const address = `${request.socket.remoteAddress} ${name}`
    const failed = this.#failures.get(address) ?? { times: 0, at: 0 }
    if (failed.times >= ATTEMPTS && Date.now() - failed.at < PATIENCE) return null
    const user = this.#users.get(name)
    this.#failures.set(address, { times: failed.times + 1, at: Date.now() }) // before the wait, so that none comes beside it
    if (!await matches(password, user?.password ?? await this.#nobody) || !user) return undefined
    this.#failures.delete(address)
    const id = randomBytes(32).toString('base64url')
    this.#open.set(id, { until: Date.now() + LIFETIME, user: { ...user, login: name, session: id } })
    return this.#header(id, LIFETIME / 1000)
  }

  close (request) {
    this.#open.delete(this.#cookie(request))
    return this.#header('', 0)
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
    for (const [address, { at }] of this.#failures) if (now - at >= PATIENCE) this.#failures.delete(address)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(await hash(readFileSync(0, 'utf8').replace(/\r?\n$/, '')))
}
