// The page: who it is, what can be started, and the queue of all jobs.
import { h, say } from './dom.js'
import { count, percent } from './words.js'
import { Live, call } from './net.js'
import './job-card.js'
import './earlier-jobs.js'
import './start-area.js'

const FINAL = ['succeeded', 'partial', 'failed', 'cancelled']
const STATES = {
  live: 'Live',
  waiting: 'The database cannot be reached. What you see may be old; it goes on by itself.',
  lost: 'Connection lost. What you see may be old; trying again.'
}

class JobsApp extends HTMLElement {
  #live
  #cards = new Map()

  async connectedCallback () {
    window.addEventListener('signed-out', () => this.#signIn('You have been signed out.'))
    try {
      this.#open(await call('api/session'))
    } catch ({ status, message }) {
      this.#signIn(status === 401 ? '' : message)
    }
  }

  // -- Signing in -----------------------------------------------------------

  #signIn (message) {
    this.#live?.stop()
    const error = h('p', { class: 'trouble', role: 'alert' })
    const form = h('form', { class: 'sign-in', onsubmit: event => this.#submit(event, form, error) },
      h('h1', {}, 'Jobs'),
      h('label', {}, 'Name', h('input', { name: 'user', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true })),
      h('label', {}, 'Password', h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true })),
      error,
      h('button', { class: 'primary' }, 'Sign in'))
    this.replaceChildren(h('main', { class: 'door' }, form))
    say(error, message)
    form.elements.user.focus()
  }

  async #submit (event, form, error) {
    event.preventDefault()
    const { user, password } = form.elements
    try {
      await call('api/session', { user: user.value, password: password.value })
      this.#open(await call('api/session'))
    } catch ({ message }) {
      say(error, message)
      password.select()
    }
  }

  async #signOut () {
    this.#live.stop()
    await call('api/session', {}, 'DELETE').catch(() => {})
    this.#signIn('')
  }

  // -- The queue ------------------------------------------------------------

  #open (me) {
    this.#cards.clear()
    this.arrived = false
    this.state = h('p', { class: 'connection', role: 'status' }, h('span', { class: 'dot' }), this.stateText = h('span', {}, 'Connecting'))
    this.list = h('ol', { class: 'queue', 'aria-label': 'Jobs, newest first' })
    this.summary = h('p', { class: 'summary' })
    this.empty = h('p', { class: 'empty' }, 'No jobs yet. Start one above; it goes on when you leave this page.')
    this.announcer = h('p', { class: 'unseen', role: 'status' })
    this.replaceChildren(
      h('header', { class: 'top' },
        h('h1', {}, 'Jobs'), this.state,
        h('p', { class: 'me' }, me.name),
        h('button', { class: 'quiet', onclick: () => this.#signOut() }, 'Sign out')),
      h('main', {},
        Object.assign(document.createElement('start-area'), { me, queue: this }),
        h('section', { 'aria-labelledby': 'queue-title' },
          h('div', { class: 'section-head' }, h('h2', { id: 'queue-title', tabindex: '-1' }, 'Queue'), this.summary),
          this.empty, this.list),
        document.createElement('earlier-jobs')),
      this.announcer, this.#confirmation())
    this.empty.hidden = true
    this.#live?.stop()
    this.#live = new Live()
    this.#live.addEventListener('jobs', ({ detail }) => this.#told(detail))
    this.#live.addEventListener('state', ({ detail }) => this.#connection(detail))
    this.#live.start()
  }

  #connection (state) {
    this.state.dataset.state = state
    say(this.stateText, STATES[state])
  }

  #told ({ all, jobs, gone = [] }) {
    if (all) gone = [...this.#cards.keys()].filter(id => !jobs.some(job => job.id === id))
    for (const id of gone) this.#remove(id)
    for (const job of jobs) this.#show(job, all)
    this.empty.hidden = this.#cards.size > 0
    if (all && !this.arrived) this.#arrive()
    this.#summarize()
    this.dispatchEvent(new Event('told'))
  }

  #show (job, quiet) {
    const card = this.#cards.get(job.id)
    if (card) {
      const before = card.job.state
      card.job = job
      if (before !== job.state) this.announce(card.words)
      return
    }
    const created = Object.assign(document.createElement('job-card'), { job, app: this })
    const item = h('li', {}, created)
    this.#cards.set(job.id, created)
    // A place of its own that it keeps: nothing jumps while somebody reads.
    const next = [...this.list.children].find(other => other.firstChild.job.id < job.id)
    this.list.insertBefore(item, next ?? null)
    if (!quiet) this.announce(created.words)
  }

  #remove (id) {
    const item = this.#cards.get(id).parentNode
    const focused = item.contains(document.activeElement)
    const neighbour = item.nextSibling ?? item.previousSibling
    item.remove()
    this.#cards.delete(id)
    if (focused) (neighbour?.querySelector('h3') ?? this.querySelector('#queue-title')).focus()
  }

  // Whoever comes by a link of a mail is led to its job.
  #arrive () {
    this.arrived = true
    if (/^#job-\d+$/.test(location.hash)) document.getElementById(location.hash.slice(1))?.focus()
  }

  #summarize () {
    const jobs = [...this.#cards.values()].map(card => card.job)
    const running = jobs.filter(job => job.state === 'running')
    const waiting = jobs.filter(job => !FINAL.includes(job.state) && job.state !== 'running').length
    say(this.summary, [running.length && `${count(running.length, 'job')} running`, waiting && `${waiting} waiting`].filter(Boolean).join(', '))
    const only = running.length === 1 && running[0].percent !== null ? `${percent(running[0].percent)} · ${running[0].title}` : ''
    document.title = only || (running.length ? `${running.length} running · Jobs` : 'Jobs')
  }

  // What a screen reader says, when it has said what it says now.
  announce (text) {
    this.waiting = [...(this.waiting ?? []), text]
    this.timer ??= setTimeout(() => {
      this.announcer.textContent = this.waiting.join(' ')
      this.waiting = this.timer = undefined
    }, 300)
  }

  // -- Questions ------------------------------------------------------------

  #confirmation () {
    this.question = h('p', { id: 'question' })
    this.yes = h('button', { class: 'danger', value: 'yes' })
    // The event comes a moment after the dialog has gone, and may be that of the question before.
    this.dialog = h('dialog', { 'aria-labelledby': 'question', onclose: () => this.dialog.open || this.answered?.(this.dialog.returnValue === 'yes') },
      h('form', { method: 'dialog' }, this.question, h('div', { class: 'buttons' }, h('button', { value: '' }, 'Keep it'), this.yes)))
    return this.dialog
  }

  confirm (question, yes) {
    this.answered?.(false)
    this.question.textContent = question
    this.yes.textContent = yes
    this.dialog.returnValue = ''
    this.dialog.showModal()
    return new Promise(resolve => { this.answered = resolve })
  }
}
customElements.define('jobs-app', JobsApp)
