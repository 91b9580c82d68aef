// Talking to the server: calls, and the stream of events.

export class Trouble extends Error {
  constructor (message, status, hint) {
    super(hint ? `${message} ${hint}` : message)
    this.status = status
  }
}

const AWAY = 'The server cannot be reached.'

// A call with a body is a POST unless said; resolves to the answer's JSON.
export async function call (path, body, method = body === undefined ? 'GET' : 'POST') {
  let response
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body)
    })
  } catch {
    throw new Trouble(AWAY, 0)
  }
  const answer = response.status === 204 ? {} : await response.json().catch(() => ({}))
  if (response.ok) return answer
  if (response.status === 401 && path !== 'api/session') window.dispatchEvent(new Event('signed-out'))
  throw new Trouble(answer.error ?? AWAY, response.status, answer.hint)
}

// A file as a request's body, by the one interface that tells how far it is.
export function send (path, file, { progress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('POST', path)
    request.setRequestHeader('Content-Type', 'application/octet-stream')
    request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : undefined)
    request.onload = () => {
      let answer = {}
      try { answer = JSON.parse(request.responseText) } catch {}
      if (request.status < 300) resolve(answer)
      else reject(new Trouble(answer.error ?? AWAY, request.status, answer.hint))
    }
    request.onerror = () => reject(new Trouble('The connection was lost on the way. Nothing has been kept; try again.', 0))
    request.onabort = () => reject(new Trouble('', 0))
    signal.addEventListener('abort', () => request.abort())
    request.send(file)
  })
}

const SILENCE = 40000 // ms; the server says something each 15 s
const HIDDEN = 30000

// The stream of events, opened anew whenever it is lost.  Events: jobs, with the server's object in detail; state, "live",
// "lost" or "waiting" (the server is there and its database is not).  A window that nobody sees gives its connection up.
export class Live extends EventTarget {
  #source
  #watchdog
  #retry
  #hidden
  #pause = 500
  #state

  start () {
    document.addEventListener('visibilitychange', this.#seen)
    window.addEventListener('online', this.#now)
    this.#open()
  }

  stop () {
    document.removeEventListener('visibilitychange', this.#seen)
    window.removeEventListener('online', this.#now)
    clearTimeout(this.#hidden)
    this.#close()
    this.#state = undefined
  }

  #seen = () => {
    clearTimeout(this.#hidden)
    if (document.hidden) this.#hidden = setTimeout(() => this.#close(), HIDDEN)
    else if (!this.#source) this.#now()
  }

  #now = () => {
    this.#pause = 500
    this.#open()
  }

  #open () {
    this.#close()
    const source = this.#source = new EventSource('api/events')
    source.addEventListener('database', ({ data }) => {
      this.#heard()
      this.#say(JSON.parse(data) === 'up' ? 'live' : 'waiting')
    })
    source.addEventListener('jobs', ({ data }) => {
      this.#heard()
      this.#say('live')
      this.dispatchEvent(new CustomEvent('jobs', { detail: JSON.parse(data) }))
    })
    source.onerror = () => this.#lost()
    this.#watchdog = setTimeout(() => this.#lost(), SILENCE)
  }

  #heard () {
    this.#pause = 500
    clearTimeout(this.#watchdog)
    this.#watchdog = setTimeout(() => this.#lost(), SILENCE)
  }

  // The browser would try again by itself, but not after every kind of failure.
  #lost () {
    this.#close()
    this.#say('lost')
    this.#retry = setTimeout(async () => {
      await call('api/session').catch(({ status }) => { if (status === 401) window.dispatchEvent(new Event('signed-out')) })
      if (!this.#source && this.#state === 'lost') this.#open()
    }, this.#pause * (0.75 + Math.random() / 2))
    this.#pause = Math.min(this.#pause * 2, 10000)
  }

  #close () {
    clearTimeout(this.#watchdog)
    clearTimeout(this.#retry)
    this.#source?.close()
    this.#source = undefined
  }

  #say (state) {
    if (state === this.#state) return
    this.#state = state
    this.dispatchEvent(new CustomEvent('state', { detail: state }))
  }
}
