// What can be started, from the server's catalogue; and files on their way there.
import { ProgressBar, h, icon, say } from './dom.js'
import { percent, size } from './words.js'
import { call, send } from './net.js'

class StartArea extends HTMLElement {
  connectedCallback () {
    const { exports, imports, bulks } = this.me.catalogue
    this.trouble = h('p', { class: 'trouble', role: 'alert', hidden: true })
    this.uploads = h('ul', { class: 'uploads', 'aria-label': 'Files on their way' })
    this.wide = matchMedia('(min-width: 721px)')
    this.wide.addEventListener('change', this.#fold)
    this.append(h('section', { 'aria-label': 'Start a job' },
      this.details = h('details', { class: 'new' }, h('summary', { class: 'button' }, 'New job'),
        h('div', { class: 'starts' },
          exports.length > 0 && this.#exports(exports),
          imports.length > 0 && this.#imports(imports),
          bulks.length > 0 && this.#bulks(bulks))),
      this.trouble, this.uploads))
    this.#fold()
    // A file that misses its place must not take the page's.
    for (const type of ['dragover', 'drop']) window.addEventListener(type, this.#outside)
  }

  disconnectedCallback () {
    this.wide.removeEventListener('change', this.#fold)
    for (const type of ['dragover', 'drop']) window.removeEventListener(type, this.#outside)
  }

  // A phone has room for the queue, or for this.
  #fold = () => { this.details.open = this.wide.matches }

  #outside = event => {
    event.preventDefault()
    if (!event.target.closest?.('.drop')) event.dataTransfer.dropEffect = 'none'
  }

  async #start (button, path, body) {
    if (button.hasAttribute('aria-disabled')) return
    say(this.trouble, '')
    button.setAttribute('aria-disabled', 'true')
    await call(path, body).catch(({ message }) => say(this.trouble, message))
    button.removeAttribute('aria-disabled')
  }

  // -- Exports --------------------------------------------------------------

  #exports (list) {
    const which = h('select', { 'aria-label': 'What to export', onchange: () => formats() }, list.map(({ name, label }) => h('option', { value: name }, label)))
    const format = h('select', { 'aria-label': 'Format' })
    const formats = () => format.replaceChildren(...list[which.selectedIndex].formats.map(name => h('option', { value: name }, name.toUpperCase())))
    const button = h('button', { class: 'primary' }, 'Export')
    formats()
    return h('form', { class: 'start', onsubmit: event => {
      event.preventDefault()
      this.#start(button, `api/exports/${which.value}`, { format: format.value })
    } }, h('h2', {}, icon('export'), 'Export'), which, h('div', { class: 'fields' }, format, button))
  }

  // -- Bulk jobs ------------------------------------------------------------

  #bulks (list) {
    const which = h('select', { 'aria-label': 'What to do', onchange: () => hint() }, list.map(({ name, label }) => h('option', { value: name }, label)))
    const text = h('p', { class: 'hint' })
    const hint = () => say(text, list[which.selectedIndex].hint)
    const button = h('button', { class: 'primary' }, 'Start')
    hint()
    return h('form', { class: 'start', onsubmit: event => {
      event.preventDefault()
      this.#start(button, `api/bulks/${which.value}`, {})
    } }, h('h2', {}, icon('bulk'), 'For many at once'), which, text, h('div', { class: 'fields' }, button))
  }

  // -- Imports --------------------------------------------------------------

  #imports (list) {
    const which = list.length > 1 && h('select', { 'aria-label': 'What to import' }, list.map(({ name, label }) => h('option', { value: name }, label)))
    const target = () => which ? which.value : list[0].name
    const input = h('input', { type: 'file', class: 'unseen', onchange: () => {
      this.#all(target(), input.files)
      input.value = ''
    } })
    const drop = h('label', { class: 'drop' }, input, h('span', {}, 'Drop a file here, or ', h('u', {}, 'choose one')),
      h('span', { class: 'hint' }, `CSV, also compressed, up to ${size(this.me.maxUpload)}`))
    let inside = 0 // elements within it are entered before the one around them is left
    const mark = by => drop.classList.toggle('over', (inside = Math.max(0, inside + by)) > 0)
    drop.addEventListener('dragenter', () => mark(1))
    drop.addEventListener('dragleave', () => mark(-1))
    drop.addEventListener('dragover', event => event.preventDefault())
    drop.addEventListener('drop', event => {
      event.preventDefault()
      mark(-inside)
      this.#all(target(), event.dataTransfer.files)
    })
    return h('div', { class: 'start' }, h('h2', {}, icon('import'), `Import ${which ? '' : list[0].label.toLowerCase()}`), which, drop)
  }

  #all (target, files) {
    for (const file of files) this.upload(target, file)
  }

  // Sends a file, and shows how far it is until the preview's job takes its place.
  async upload (target, file) {
    if (!file) return
    say(this.trouble, '')
    if (file.size > this.me.maxUpload) return say(this.trouble, `${file.name} is larger than ${size(this.me.maxUpload)}.`)
    const stop = new AbortController()
    const title = h('b', { id: `upload-${Math.random().toString(36).slice(2)}` }, file.name)
    const bar = new ProgressBar()
    const far = h('span', { class: 'hint' })
    const item = h('li', {}, h('div', {}, title, far), bar, h('button', { onclick: () => stop.abort(), 'aria-label': `Stop uploading ${file.name}` }, 'Stop'))
    bar.setAttribute('aria-labelledby', title.id)
    this.uploads.append(item)
    const progress = done => {
      bar.show({ done })
      say(far, done === undefined ? '' : `${percent(done * 100)} of ${size(file.size)}`)
    }
    progress(0)
    try {
      await send(`api/imports/${target}?${new URLSearchParams({ filename: file.name })}`, file, { progress, signal: stop.signal })
    } catch ({ message, status }) {
      if (status === 401) window.dispatchEvent(new Event('signed-out'))
      if (message) say(this.trouble, `${file.name}: ${message}`)
    }
    item.remove()
  }
}
customElements.define('start-area', StartArea)
