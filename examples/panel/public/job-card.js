// One job of the queue.  What can be done with it is what jobs.panel.actions names.
import { ProgressBar, h, icon, say } from './dom.js'
import { KINDS, count, duration, localized, number, percent, time } from './words.js'
import { call } from './net.js'
import './import-findings.js'
import './bulk-outcome.js'

const ACTIONS = {
  cancel: { label: () => 'Cancel', busy: 'Cancelling' },
  retry: { label: () => 'Try again', busy: 'Starting' },
  retry_failed: { label: job => `Retry ${number(job.failed)} failed`, busy: 'Starting', class: 'primary' },
  undo_import: { label: () => 'Take back', busy: 'Starting', ask: job => [`Take back ${job.title}? Rows that have changed since stay.`, 'Take back'] },
  delete: { label: () => 'Delete', busy: 'Deleting', icon: true, ask: job => [`Delete ${job.title}, with all that belongs to it?`, 'Delete'] }
}
const PATIENCE = 5000 // ms until a button that nothing came of can be pressed again

class JobCard extends HTMLElement {
  #job
  #buttons = new Map()

  get job () { return this.#job }

  set job (job) {
    this.#job = job
    if (this.isConnected) this.#render()
  }

  connectedCallback () {
    if (!this.heading) this.#build()
    this.#render()
  }

  // In words, for who does not see it.
  get words () {
    return `${this.#job.title}: ${localized(this.#job.headline, this.#job)}.`
  }

  #build () {
    const id = `job-${this.#job.id}`
    this.badge = h('span', { class: 'badge' })
    this.heading = h('h3', { id, tabindex: '-1' })
    this.headline = h('p', { class: 'headline' })
    this.detail = h('p', { class: 'detail' })
    this.figures = h('p', { class: 'figures' })
    this.bar = new ProgressBar()
    this.bar.setAttribute('aria-labelledby', id)
    this.leave = h('p', { class: 'leave' }, icon('leave'), h('span', {}, 'You can leave this page. The job goes on without it.'))
    this.file = h('p', { class: 'file' })
    this.more = h('div', { class: 'more' })
    this.trouble = h('p', { class: 'trouble', role: 'alert', hidden: true })
    this.actions = h('div', { class: 'actions' })
    this.append(h('article', { class: 'card', 'aria-labelledby': id },
      this.badge,
      h('div', { class: 'body' },
        h('div', { class: 'title-line' }, this.heading, this.kind = h('span', { class: 'kind' })),
        this.headline, this.bar,
        h('div', { class: 'line' }, this.detail, this.figures),
        this.file, this.leave),
      this.actions, this.more, this.trouble))
  }

  #render () {
    const job = this.#job
    const article = this.firstChild
    if (article.dataset.state !== job.state) {
      article.dataset.state = job.state
      this.badge.replaceChildren(icon(['succeeded', 'partial', 'failed', 'cancelled'].includes(job.state) ? job.state : job.kind))
    }
    say(this.heading, job.title)
    const kind = KINDS[job.kind] ?? job.kind
    say(this.kind, job.title.toLowerCase().includes(kind.toLowerCase()) ? '' : kind)
    say(this.headline, localized(job.headline, job))
    say(this.detail, localized(job.detail, job))
    this.#progress(job)
    this.leave.hidden = !job.can_leave || !['queued', 'running'].includes(job.state) || /you can leave this page/i.test(job.detail ?? '')
    this.#renderFile(job)
    this.#renderMore(job)
    this.#renderActions(job)
  }

  #progress (job) {
    const running = job.state === 'running'
    this.bar.hidden = !running
    const figures = running
      ? [job.total > 0 && job.processed !== null && `${number(job.processed)} of ${job.total_is_estimate ? 'about ' : ''}${number(job.total)}`,
          job.rows_per_second >= 1 && `${number(Math.round(job.rows_per_second))}/s`,
          job.eta !== null && `${duration(job.eta)} left`].filter(Boolean).join(' · ')
      : ''
    say(this.figures, figures)
    if (running) this.bar.show({ done: job.percent === null ? undefined : job.percent / 100, text: job.percent === null ? figures : `${percent(job.percent)}, ${figures}` })
  }

  #renderFile (job) {
    const here = job.filename && job.actions.includes('download')
    this.file.hidden = !here
    if (!here || this.file.dataset.of === job.filename + job.expires_at) return
    this.file.dataset.of = job.filename + job.expires_at
    this.file.replaceChildren(icon('file'), h('span', { class: 'file-name' }, job.filename), h('span', {}, 'until ', h('time', { datetime: job.expires_at }, time(job.expires_at))))
  }

  #renderMore (job) {
    const tag = { import_preview: 'import-findings', import: 'import-findings', bulk: 'bulk-outcome' }[job.kind]
    const wanted = tag && ['succeeded', 'partial', 'failed'].includes(job.state) && (job.kind !== 'bulk' || job.processed > 0)
    if (!wanted) return this.more.replaceChildren()
    if (!this.more.firstChild) this.more.append(Object.assign(document.createElement(tag), { card: this }))
    this.more.firstChild.job = job
  }

  #renderActions (job) {
    const wanted = job.actions.filter(name => name in ACTIONS || name === 'download')
    for (const [name, button] of this.#buttons) {
      if (wanted.includes(name)) continue
      if (button === document.activeElement) this.heading.focus()
      button.remove()
      this.#buttons.delete(name)
    }
    for (const name of wanted) {
      if (!this.#buttons.has(name)) this.#buttons.set(name, name === 'download' ? this.#download(job) : this.#button(name))
      this.#label(name, this.#buttons.get(name))
      this.actions.append(...(this.#buttons.get(name).parentNode ? [] : [this.#buttons.get(name)]))
    }
  }

  #download (job) {
    return h('a', { class: 'button primary', href: `api/jobs/${job.id}/file`, download: job.filename, 'aria-label': `Download ${job.filename}` }, icon('export'), 'Download')
  }

  #button (name) {
    const { class: look, icon: picture } = ACTIONS[name]
    return h('button', { class: picture ? 'quiet round' : look, 'data-action': name, onclick: () => this.#press(name) }, picture ? icon(name) : h('span'))
  }

  // It says what it does as long as nothing has come of it.
  #label (name, button) {
    const action = ACTIONS[name]
    if (!action) return
    const busy = button.dataset.busy === this.#job.state
    const label = busy ? `${action.busy}…` : action.label(this.#job)
    if (!busy) button.removeAttribute('aria-disabled')
    button.setAttribute('aria-label', `${label} ${this.#job.title}`)
    if (action.icon) button.title = label
    else say(button.firstChild, label)
  }

  async #press (name) {
    const { ask } = ACTIONS[name]
    const button = this.#buttons.get(name)
    if (button.hasAttribute('aria-disabled') || (ask && !await this.app.confirm(...ask(this.#job)))) return
    button.dataset.busy = this.#job.state
    button.setAttribute('aria-disabled', 'true')
    this.#label(name, button)
    const free = () => {
      delete button.dataset.busy
      if (this.#buttons.has(name)) this.#label(name, button)
    }
    setTimeout(free, PATIENCE)
    if (!await this.act(name)) free()
  }

  // Returns the answer, or nothing after it has said what was wrong.
  async act (name, body = {}) {
    say(this.trouble, '')
    try {
      return await call(`api/jobs/${this.#job.id}/${name}`, body)
    } catch ({ message }) {
      say(this.trouble, message)
    }
  }
}
customElements.define('job-card', JobCard)
