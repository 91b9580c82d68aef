// How the items of a bulk job have ended, and why some have failed.
import { h } from './dom.js'
import { number } from './words.js'
import { call } from './net.js'

const PARTS = ['succeeded', 'failed', 'skipped']

class BulkOutcome extends HTMLElement {
  #job
  #seen

  set job (job) {
    const seen = `${job.state} ${PARTS.map(part => job[part])}`
    this.#job = job
    if (seen === this.#seen) return
    this.#seen = seen
    this.#render(seen)
  }

  async #render (seen) {
    const job = this.#job
    this.replaceChildren(h('div', { class: 'split', 'aria-hidden': 'true' }, PARTS.filter(part => job[part] > 0).map(part => this.#part(part))))
    if (!(job.failed > 0)) return
    try {
      const reasons = await call(`api/jobs/${job.id}/outcome`)
      if (seen === this.#seen) this.append(this.#reasons(reasons))
    } catch ({ message }) {
      if (seen === this.#seen) this.append(h('p', { class: 'trouble' }, message))
    }
  }

  #part (part) {
    const element = h('span', { class: part })
    element.style.flexGrow = this.#job[part]
    return element
  }

  #reasons (reasons) {
    const retry = this.#job.actions.includes('retry_failed') && reasons.length > 1
    return h('ul', { class: 'reasons', 'aria-label': 'Why items failed' }, reasons.map(({ reason, count, example }) => h('li', {},
      h('b', { class: 'n' }, number(count)),
      h('div', {}, h('p', {}, reason), h('p', { class: 'example' }, 'for example ', h('code', {}, JSON.stringify(example)))),
      retry && h('button', { 'aria-label': `Retry those with: ${reason}`, onclick: event => this.#press(event.target, reason) }, 'Retry these'))))
  }

  async #press (button, reason) {
    if (button.hasAttribute('aria-disabled')) return
    button.setAttribute('aria-disabled', 'true')
    if (!await this.card.act('retry_failed', { reason })) button.removeAttribute('aria-disabled')
  }
}
customElements.define('bulk-outcome', BulkOutcome)
