// What each role's jobs look like now, told to its browsers as it changes.  A notification is a hint that something has
// changed, and can be anybody's; what is told comes from the views, read as the role.  However many notifications come
// and windows are open, a role's views are read once at a time, and at most each PAUSE.
import { read, unavailable } from './database.js'

const PAUSE = 200 // ms
const AGAIN = 20000 // ms: words such as "2 min ago" change without a notification
const AFTER_FAILURE = 1000
const RUNNING = 100
const FINAL = 50

// Jobs that are not final come first, so that none is lost behind many final ones.
const PANEL = `
WITH p AS MATERIALIZED (
  (SELECT * FROM jobs.panel WHERE can_leave LIMIT ${RUNNING})
  UNION ALL
  (SELECT * FROM jobs.panel WHERE NOT can_leave LIMIT ${FINAL})),
ids AS MATERIALIZED (SELECT array_agg(id) AS ids FROM p)
SELECT p.id, g.kind, p.title, p.state, p.headline, p.detail, p.percent, p.can_leave, p.actions, g.phase, g.processed, g.total,
       g.total_is_estimate, g.succeeded, g.failed, g.skipped, g.warnings, g.rows_per_second, g.started_at,
       extract(epoch FROM g.eta)::float8 AS eta, coalesce(a.bytes, g.bytes) AS bytes, a.filename, a.format, a.rows, a.expires_at
  FROM p
       LEFT JOIN (SELECT * FROM jobs.progress WHERE id = ANY ((SELECT ids FROM ids)::bigint[])) g USING (id)
       LEFT JOIN (SELECT * FROM jobs.artifact WHERE job = ANY ((SELECT ids FROM ids)::bigint[])) a ON a.job = p.id
 ORDER BY p.id DESC`

class Watcher {
  #role
  #browsers = new Set()
  #known = new Map() // by the job's id: its JSON, as told
  #strangers = new Set() // jobs that the views did not have when a message named them
  #hints = new Set()
  #stale = true // something has changed
  #reading = false
  #last = 0
  #timer
  #again

  constructor (role) {
    this.#role = role
    this.#again = setInterval(() => {
      this.#strangers.clear() // rights change, and old jobs are tried again
      this.told(undefined)
    }, AGAIN).unref()
  }

  // A browser is told all that there is, then what changes.
  add (browser) {
    this.#browsers.add(browser)
    browser.complete = false
    this.told(undefined)
  }

  // Whether another one is left.
  remove (browser) {
    this.#browsers.delete(browser)
    if (this.#browsers.size) return true
    clearInterval(this.#again)
    clearTimeout(this.#timer)
    return false
  }

  // Of a job, or of none in particular.
  told (job) {
    if (job !== undefined) {
      if (this.#strangers.has(job)) return
      if (!this.#known.has(job)) this.#hints.add(job)
    }
    this.#stale = true
    this.#schedule()
  }

  #schedule (pause = PAUSE) {
    if (!this.#stale || this.#reading || this.#timer || !this.#browsers.size) return
    this.#timer = setTimeout(() => this.#read(), Math.max(0, this.#last + pause - Date.now()))
  }

  async #read () {
    const hints = this.#hints
    let pause
    this.#timer = undefined
    this.#reading = true
    this.#stale = false
    this.#hints = new Set()
    try {
      const { rows } = await read(this.#role, client => client.query({ name: 'panel', text: PANEL }))
      this.#tell(new Map(rows.map(row => [row.id, JSON.stringify(row)])))
      for (const job of hints) if (!this.#known.has(job)) this.#strangers.add(job)
    } catch (error) {
      if (!unavailable(error)) console.error(`${this.#role}: ${error.message}`)
      for (const browser of this.#browsers) browser.send('database', '"down"')
      pause = AFTER_FAILURE
      this.#stale = true
    }
    this.#reading = false
    this.#last = Date.now()
    this.#schedule(pause)
  }

  #tell (now) {
    const all = `{"all":true,"jobs":[${[...now.values()]}]}`
    const changed = [...now].filter(([id, json]) => this.#known.get(id) !== json).map(([, json]) => json)
    const gone = [...this.#known.keys()].filter(id => !now.has(id))
    const difference = changed.length || gone.length ? `{"jobs":[${changed}],"gone":[${gone}]}` : undefined
    this.#known = now
    for (const browser of this.#browsers) {
      // One that does not keep up is told everything when it does.
      const news = browser.complete ? difference : all
      if (news) browser.complete = browser.send('jobs', news)
    }
  }
}

const watchers = new Map() // by role

export function watch (role, browser) {
  if (!watchers.has(role)) watchers.set(role, new Watcher(role))
  watchers.get(role).add(browser)
  return () => { if (!watchers.get(role)?.remove(browser)) watchers.delete(role) }
}

// After something was done for a role that no message tells of, or for which one may have been passed over.
export const done = role => watchers.get(role)?.told(undefined)

export function told (job) {
  for (const watcher of watchers.values()) watcher.told(job)
}
