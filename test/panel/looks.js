// For every reader: the keyboard, a screen reader, dark and light, a phone, other languages.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { is, ok, sql, until } from './steps.js'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

async function accessible (page, name) {
  await page.evaluate(AXE)
  const violations = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations }) =>
    violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, any }) => html.slice(0, 160) + ' ' + (any[0]?.message ?? '')).join(' | ')}`)))
  ok(violations.length === 0, `axe finds nothing: ${name}`, ...violations)
}

const wide = page => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
const luminance = page => page.evaluate(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d')
  canvas.fillStyle = getComputedStyle(document.body).backgroundColor
  canvas.fillRect(0, 0, 1, 1)
  const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data
  return (r + g + b) / 765
})

export async function looks (world) {
  // -- One of each state, at once --
  await sql('SELECT setval(\'gate\', 1, false)')
  for (const format of ['csv', 'xlsx']) await world.as('POST', '/api/exports/transactions', JSON.stringify({ format: format === 'xlsx' ? 'jsonl' : format }))
  await world.as('POST', '/api/exports/q4', '{}')
  const running = page => page.getByRole('article').first()
  const there = page => until(async () => await running(page).getByRole('progressbar').getAttribute('aria-valuenow') === '66', 'there is one of each state')
  await there(world.page)
  await accessible(world.page, 'light')
  ok(await luminance(world.page) > 0.9, 'light is light')

  const dark = await world.visit('ada', { colorScheme: 'dark' })
  await there(dark)
  ok(await luminance(dark) < 0.15, 'dark is dark')
  await accessible(dark, 'dark')
  await world.picture(dark, 'dark')
  await dark.context().close()

  const phone = await world.visit('ada', { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true })
  await there(phone)
  await world.picture(phone, 'phone')
  is(await wide(phone), 0, 'a phone: nothing to scroll sideways')
  await accessible(phone, 'a phone')
  await phone.getByText('New job').click()
  is(await wide(phone), 0, 'nor with what can be started')
  const small = await phone.locator('button:visible, a.button:visible').evaluateAll(buttons => buttons.map(button => [button.textContent, button.getBoundingClientRect().height]).filter(([, height]) => height < 40))
  is(small, [], 'a phone: buttons for fingers')
  await phone.setViewportSize({ width: 320, height: 640 })
  is(await wide(phone), 0, 'nor at 320 pixels')
  await phone.context().close()

  // -- Another language --
  const german = await world.visit('ada', { locale: 'de-DE' })
  await there(german)
  const figures = await running(german).locator('.figures').textContent()
  ok(/^32\.\d{3} of .*4\d\.\d{3} .* (Sekunden?|Minuten?|Stunden?) left$/.test(figures), 'numbers and times as the reader writes them', figures)
  const words = await german.getByRole('article').filter({ hasText: 'CSV' }).first().locator('.headline').textContent()
  ok(/^[\d.]+ rows · [\d]+,\d MB · CSV$/.test(words), 'those in sentences too', words)
  await german.context().close()

  // -- Signing in, and the keyboard alone --
  const page = await world.visit(undefined, { reducedMotion: 'reduce' })
  await accessible(page, 'the door')
  await page.keyboard.type('ada')
  await page.keyboard.press('Tab')
  await page.keyboard.type('analytical engine')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Queue' }).waitFor()
  await page.getByRole('article').first().waitFor()
  const stops = []
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab')
    const stop = await page.evaluate(() => {
      const element = document.activeElement
      const style = getComputedStyle(element.matches('input[type=file]') ? element.parentNode : element)
      return { name: element.getAttribute('aria-label') ?? element.innerText?.trim() ?? element.labels?.[0]?.innerText ?? '', type: element.type, seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 }
    })
    stops.push(stop)
    if (stop.name === 'Export') break
  }
  ok(stops.every(({ seen }) => seen), 'where the focus is can be seen', stops.filter(({ seen }) => !seen))
  is(stops.at(-1).name, 'Export', 'the keyboard finds what can be started')
  const count = await page.getByRole('article').count()
  await page.keyboard.press('Enter')
  await until(async () => await page.getByRole('article').count() === count + 1, 'and starts it')
  await until(async () => (await page.locator('.unseen[role=status]').textContent()).includes('Q4 Revenue Report'), 'which a screen reader is told, once it is')
  await page.context().close()
}
