// Jobs that ended more than an hour ago: a file can be fetched as long as it is kept.
import { h, icon, say } from './dom.js'
import { KINDS, count, size, time } from './words.js'
import { call } from './net.js'

class EarlierJobs extends HTMLElement {
  connectedCallback () {
    this.list = h('ul', { class: 'earlier' })
    this.button = h('button', { class: 'quiet', onclick: () => this.#load() }, 'Show earlier jobs')
    this.word = h('p', { class: 'hint', role: 'status' })
    this.append(this.list, this.button, this.word)
  }

  async #load () {
    try {
      const jobs = await call(`api/earlier?${new URLSearchParams(this.last ? { before: this.last } : {})}`)
      const rows = jobs.map(job => this.#row(job))
      this.list.append(...rows)
      this.last = jobs.at(-1)?.id ?? this.last
      say(this.word, jobs.length ? '' : this.last ? 'There are no more.' : 'There are no earlier jobs.')
      this.button.hidden = jobs.length < 20
      rows[0]?.focus()
    } catch ({ message }) {
      say(this.word, message)
    }
  }

  #row (job) {
    const there = job.expires_at && new Date(job.expires_at) > Date.now()
    return h('li', { tabindex: '-1' },
      h('span', { class: 'what' }, h('b', {}, job.title), h('span', { class: 'kind' }, KINDS[job.kind] ?? job.kind)),
      h('span', { class: 'hint' }, `${job.state}, `, h('time', { datetime: job.finished_at }, time(job.finished_at)),
        job.error_message && ` — ${job.error_message}`, job.bytes !== null && ` · ${count(job.rows, 'row')} · ${size(job.bytes)}`),
      there && h('a', { class: 'button', href: `api/jobs/${job.id}/file`, 'aria-label': `Download ${job.title}` }, icon('export'), 'Download'))
  }
}
customElements.define('earlier-jobs', EarlierJobs)
