// Numbers and times as the reader writes them.  Sentences come from the database, whose words are English.
const locale = navigator.languages

export const number = n => new Intl.NumberFormat(locale).format(n)
export const percent = n => new Intl.NumberFormat(locale, { style: 'percent' }).format(Math.floor(n) / 100)

const moment = new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' })
export const time = date => moment.format(new Date(date))

const unit = (n, name) => new Intl.NumberFormat(locale, { style: 'unit', unit: name, unitDisplay: 'long', maximumFractionDigits: 0 }).format(n)
export const count = (n, noun) => `${number(n)} ${noun}${n === 1 ? '' : 's'}`

export function duration (seconds) {
  const s = Math.max(1, Math.round(seconds))
  if (s < 60) return unit(s, 'second')
  if (s < 3600) return unit(Math.round(s / 60), 'minute')
  return unit(Math.round(s / 3600), 'hour')
}

// Decimal, as in the database's words.
export function size (bytes) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']
  let n = bytes
  let i = 0
  for (; n >= 999.5 && i < units.length - 1; i++) n /= 1000
  return new Intl.NumberFormat(locale, { style: 'unit', unit: units[i], unitDisplay: i ? 'short' : 'long', maximumFractionDigits: i && n < 99.95 ? 1 : 0 }).format(n)
}

// A sentence of the database, with the job's own numbers, and the time at which it begins, as the reader writes them.
export function localized (text, job) {
  if (!text) return ''
  const numbers = ['processed', 'total', 'rows', 'succeeded', 'failed', 'skipped', 'warnings'].map(key => job[key])
  for (const n of [...numbers, Number(job.total?.toPrecision(2))]) { // the last is what an estimate is rounded to
    if (n >= 1000) text = replaceNumber(text, n.toLocaleString('en-US'), number(n))
  }
  if (job.bytes >= 1000) text = text.replace(/(^|\s)(\d+\.\d) (kB|MB|GB|TB)(?=\s|$)/, (all, before, n, name) =>
    `${before}${new Intl.NumberFormat(locale, { minimumFractionDigits: 1 }).format(n)} ${name}`)
  return text.replace(/^At (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d[+-]\d\d)(:\d\d)?$/, (all, day, clock, minutes = ':00') => `At ${time(`${day}T${clock}${minutes}`)}`)
}

const replaceNumber = (text, english, own) => text.split(' ').map(word => word === english ? own : word).join(' ')

export const KINDS = { export: 'Export', import_preview: 'Preview', import: 'Import', bulk: 'Bulk', run: 'Task', external: 'Task' }
