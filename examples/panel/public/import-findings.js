// What a preview has found, row by row, and what to do about it; or which rows fell out of an import.
import { h, icon, say } from './dom.js'
import { count, number } from './words.js'
import { call } from './net.js'

const COUNTS = { rows_parsed: 'Parsed', ready: 'Ready', warnings: 'Warnings', errors: 'Errors' }

class ImportFindings extends HTMLElement {
  #job
  #seen

  set job (job) {
    const seen = `${job.state} ${job.actions}`
    this.#job = job
    if (seen === this.#seen || !job.kind.startsWith('import') || job.state !== 'succeeded') return
    this.#seen = seen
    this.#load()
  }

  async #load () {
    const job = this.#job
    try {
      this.found = await call(`api/jobs/${job.id}/findings`)
    } catch ({ message }) {
      this.#seen = undefined // the next word about the job asks again
      return this.replaceChildren(h('p', { class: 'trouble' }, message))
    }
    if (job !== this.#job && `${this.#job.state} ${this.#job.actions}` !== this.#seen) return
    if (job.kind === 'import_preview') this.#preview()
    else this.#import()
  }

  // -- A preview ------------------------------------------------------------

  #preview () {
    const { result, issues } = this.found
    const open = this.#job.actions.includes('import')
    const parts = [this.#tiles(result), this.#columns(), this.#verdict(result)]
    if (!open && issues.length) {
      parts.push(h('details', {}, h('summary', {}, 'What was found'), this.#table()))
    } else if (issues.length) parts.push(this.#table())
    this.replaceChildren(...parts.filter(Boolean), this.#buttons(open, result))
  }

  #tiles (result) {
    return h('dl', { class: 'tiles' }, Object.entries(COUNTS).map(([key, label]) =>
      h('div', { class: `tile ${key}`, 'data-none': result[key] === 0 }, h('dt', {}, label), h('dd', {}, number(result[key])))))
  }

  #columns () {
    const { left_over: left = [], missing = [], suggestions = {} } = this.found.columns
    const lines = [
      ...left.map(name => suggestions[name] ? `Column “${name}” is not imported. Does it mean “${suggestions[name]}”?` : `Column “${name}” is not imported.`),
      missing.length > 0 && this.found.result.ready === 0 && `The file has no ${missing.map(name => `“${name}”`).join(', ')}.`
    ].filter(Boolean)
    return lines.length > 0 && h('ul', { class: 'notes' }, lines.map(line => h('li', {}, line)))
  }

  #verdict ({ stopped_early: stopped, rejected }) {
    if (stopped) return h('p', { class: 'notes' }, 'There were so many errors that the rest of the file was not looked at.')
    if (rejected) return h('p', { class: 'notes' }, 'A rule refuses the whole file.')
  }

  #buttons (open, { ready, to_insert: inserts, to_update: updates, to_skip: skips }) {
    const all = inserts + updates
    const warnings = h('input', { type: 'checkbox', checked: true, onchange: () => label() })
    const button = h('button', { class: 'primary', onclick: () => this.#press(button, warnings.checked) })
    const label = () => say(button, `Import ${count(warnings.checked ? all : ready, 'row')}`)
    label()
    return h('div', { class: 'choices' },
      open && all > 0 && button,
      open && all > ready && h('label', { class: 'check' }, warnings, 'with rows that have warnings'),
      h('span', { class: 'gap' }),
      skips > 0 && this.#rejects(skips),
      skips > 0 && this.found.target && this.#mend())
  }

  async #press (button, warnings) {
    if (button.hasAttribute('aria-disabled')) return
    button.setAttribute('aria-disabled', 'true')
    if (!await this.card.act('import', { include_warnings: warnings })) button.removeAttribute('aria-disabled')
  }

  #rejects (n) {
    return h('a', { class: 'button', href: `api/jobs/${this.#job.id}/rejects`, download: '' }, icon('export'), `Download ${number(n)} left out`)
  }

  // The rows that were left out, mended, come back as a file of their own.
  #mend () {
    const input = h('input', { type: 'file', class: 'unseen', onchange: () => {
      this.card.app.querySelector('start-area').upload(this.found.target, input.files[0])
      input.value = ''
    } })
    return h('label', { class: 'button' }, input, icon('import'), 'Upload mended file')
  }

  // -- An import ------------------------------------------------------------

  #import () {
    const { result, issues } = this.found
    this.replaceChildren(...[
      issues.length > 0 && h('details', { open: true }, h('summary', {}, `${count(result.fell_out ?? issues.length, 'row')} fell out`), this.#table()),
      result.skipped > 0 && h('div', { class: 'choices' }, this.#rejects(result.skipped))
    ].filter(Boolean))
  }

  // -- Row by row -----------------------------------------------------------

  #table () {
    const { result } = this.found
    const body = h('tbody')
    const more = h('button', { class: 'quiet', hidden: true, onclick: () => load(body.rows.length) }, 'Show more rows')
    const kinds = this.#job.kind === 'import_preview' && result.warnings > 0 && result.errors > 0
    let severity = ''
    const show = found => {
      body.append(...found.issues.map(issue => this.#row(issue)))
      more.hidden = !found.more
    }
    const load = async skip => {
      const query = new URLSearchParams({ skip, ...(severity && { severity }) })
      const found = await call(`api/jobs/${this.#job.id}/findings?${query}`).catch(({ message }) => say(this.card.trouble, message))
      if (!found) return
      if (skip === 0) body.replaceChildren()
      show(found)
    }
    show(this.found)
    return h('div', { class: 'rows' },
      kinds && h('fieldset', { class: 'filter' }, h('legend', { class: 'unseen' }, 'Which rows'),
        [['', 'All'], ['warning', 'Warnings'], ['error', 'Errors']].map(([value, label]) => h('label', {},
          h('input', { type: 'radio', name: `filter-${this.#job.id}`, value, checked: value === '', onchange: () => { severity = value; load(0) } }), label))),
      h('table', {},
        h('thead', {}, h('tr', {}, h('th', { scope: 'col', class: 'n' }, 'Row'), h('th', { scope: 'col' }, 'What was found'), h('th', { scope: 'col' }, this.#job.kind === 'import' ? 'What happened' : 'What will happen'))),
        body),
      more)
  }

  #row ({ row_no: row, severity, message, action }) {
    return h('tr', { class: severity },
      h('td', { class: 'n' }, number(row)),
      h('td', { class: 'message' }, h('span', { class: 'mark' }, icon(severity === 'error' ? 'failed' : 'partial')), h('span', { class: 'unseen' }, `${severity}: `), message),
      h('td', { class: 'action' }, action))
  }
}
customElements.define('import-findings', ImportFindings)
