// Elements without markup: every text becomes a text node, so no title, file name or error can be anything else.

// Attributes by name; on… are listeners, booleans are present or not, and null is left out.
export function h (tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children)
}

function fill (element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) set(element, name, value)
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false))
  return element
}

function set (element, name, value) {
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
  else if (value === true) element.setAttribute(name, '')
  else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value)
}

// Writes only what is different: what has not changed is not read out, nor painted, again.
export function say (element, text) {
  text ??= ''
  if (element.textContent !== text) element.textContent = text
  element.hidden = text === ''
}

const SHAPES = {
  export: 'M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 19.5h14',
  import: 'M12 16V5m0 0 4.5 4.5M12 5 7.5 9.5M5 19.5h14',
  import_preview: 'M5 6h14M5 12h8M5 18h5m6.5-1.5a3 3 0 1 0 0-.01M18.5 18.5 21 21',
  bulk: 'M9 6.5h10M9 12h10M9 17.5h10M5 6.5h.01M5 12h.01M5 17.5h.01',
  run: 'm6 8 4 4-4 4m6.5 0H18',
  external: 'M13 5h6v6m0-6-8 8m-2-7H6a1 1 0 0 0-1 1v11a1 1 0 0 0 1 1h11a1 1 0 0 0 1-1v-3',
  succeeded: 'm5.5 12.5 4.3 4.3L18.5 8',
  partial: 'M12 7.5v5.5m0 3.5v.01',
  failed: 'M12 7v6m0 3.5v.01',
  cancelled: 'm8 8 8 8m0-8-8 8',
  delete: 'M5 7h14M10 7V5h4v2m-7 0 .7 12h8.6L17 7m-6.5 3.5v5m3-5v5',
  file: 'M7 4h7l4 4v12H7zM14 4v4h4',
  leave: 'M14 5h4.5v14H14M4.5 12H14m0 0-3.5-3.5M14 12l-3.5 3.5'
}

export function icon (name) {
  const NS = 'http://www.w3.org/2000/svg'
  const svg = document.createElementNS(NS, 'svg')
  const path = document.createElementNS(NS, 'path')
  for (const [key, value] of Object.entries({ viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' })) svg.setAttribute(key, value)
  path.setAttribute('d', SHAPES[name] ?? SHAPES.run)
  svg.append(path)
  return svg
}

// A bar; done is a part of 1, or undefined where nobody knows.
export class ProgressBar extends HTMLElement {
  connectedCallback () {
    this.setAttribute('role', 'progressbar')
    this.setAttribute('aria-valuemin', '0')
    this.setAttribute('aria-valuemax', '100')
    this.fill ??= this.appendChild(h('span', { class: 'bar-fill' }))
    this.show(this.state ?? {})
  }

  show (state) {
    this.state = state
    if (!this.fill) return
    const { done, text } = state
    this.toggleAttribute('indeterminate', done === undefined)
    if (done === undefined) {
      this.removeAttribute('aria-valuenow')
      this.fill.style.removeProperty('inline-size')
    } else {
      this.setAttribute('aria-valuenow', String(Math.floor(done * 100)))
      this.fill.style.inlineSize = `${done * 100}%`
    }
    if (text) this.setAttribute('aria-valuetext', text)
    else this.removeAttribute('aria-valuetext')
  }
}
customElements.define('progress-bar', ProgressBar)
