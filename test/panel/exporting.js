// States one and two: an export in progress, and one that is complete.
import { readFileSync } from 'node:fs'
import { is, ok, one, sha256, sql, until } from './steps.js'

// In kB.
const memory = pid => Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])

export async function exporting (world) {
  const page = world.page = await world.visit('ada')
  const card = title => page.getByRole('article', { name: title })
  world.card = card

  // -- In progress --
  await page.getByLabel('What to export').selectOption('Q4 Revenue Report')
  await page.getByRole('button', { name: 'Export', exact: true }).click()
  const report = card('Q4 Revenue Report')
  const bar = report.getByRole('progressbar')
  await until(async () => await bar.getAttribute('aria-valuenow') === '66', 'the bar goes on while the export runs')
  const [seen] = await sql('SELECT id, headline, detail FROM jobs.panel LIMIT 1')
  world.report = seen.id
  is(await report.locator('.headline').textContent(), seen.headline, 'the words are the view\'s: headline')
  is(await report.locator('.detail').textContent(), seen.detail, 'the words are the view\'s: detail')
  const figures = await report.locator('.figures').textContent()
  ok(/^32,\d{3} of (about )?4\d,\d{3} · [\d,]+\/s · \d+ (second|minute|hour)s? left$/.test(figures), 'rows, rate, time left', figures)
  is(await bar.getAttribute('aria-valuetext'), `66%, ${figures}`, 'the same for who does not see it')
  ok(await report.getByText('You can leave this page').isVisible(), 'you can leave this page')
  ok((await page.title()).startsWith('66% · Q4 Revenue Report'), 'and see how far it is in the window\'s title', await page.title())
  await until(() => bar.evaluate(element => Math.abs(element.firstChild.offsetWidth / element.offsetWidth - 0.665) < 0.01), 'as far as it looks')
  await world.picture(page, 'export-running', report)
  is(await page.locator('job-card').first().evaluate(element => {
    const { job } = element
    element.job = { ...job, detail: 'You can leave this page — we\'ll email you when it\'s ready' }
    const shown = [element.querySelector('.detail').textContent, element.querySelector('.leave').hidden]
    element.job = job
    return shown
  }), ['You can leave this page — we\'ll email you when it\'s ready', true], 'where the view has a word about mail, it is that')

  // -- Somebody else --
  const other = world.other = await world.visit('grace')
  await other.getByText('No jobs yet').waitFor()
  is(await other.getByRole('article').count(), 0, 'another user sees nothing of it')
  for (const [method, path] of [['POST', 'cancel'], ['POST', 'delete'], ['POST', 'import'], ['POST', 'retry'], ['GET', 'file'], ['GET', 'rejects'], ['GET', 'findings'], ['GET', 'outcome']]) {
    const status = await other.evaluate(async ([method, path]) => (await fetch(path, { method, body: method === 'POST' ? '{}' : undefined, headers: { 'content-type': 'application/json' } })).status,
      [method, `/api/jobs/${world.report}/${path}`])
    is(status, 404, `another user: there is no such job for ${path}`)
  }

  // -- Leaving --
  await page.goto('about:blank')
  await page.goto(world.url)
  await until(async () => await bar.getAttribute('aria-valuenow') === '66', 'left and come back: there it is')

  // -- Cancelling, by the keyboard --
  await page.getByRole('button', { name: 'Export', exact: true }).press('Enter')
  const second = page.getByRole('article').first()
  await until(async () => await second.getAttribute('data-state') === 'running' && await page.getByRole('article').count() === 2, 'a second one')
  await second.getByRole('button', { name: 'Cancel' }).focus()
  await page.keyboard.press('Enter')
  await until(async () => await second.getAttribute('data-state') === 'cancelled', 'cancelled by the keyboard')
  is(await second.locator('.headline').textContent(), 'Cancelled', 'it says so')
  await until(async () => /Q4 Revenue Report: Cancelled\./.test(await page.locator('.unseen[role=status]').textContent()), 'and a screen reader is told')
  ok(await second.evaluate(article => article.contains(document.activeElement)), 'the focus stays with the job')
  is(await one('SELECT count(*) FROM jobs.job WHERE state = \'cancelled\''), 1, 'so it is')
  await second.getByRole('button', { name: /^Delete/ }).press('Space')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  is(await page.getByRole('article').count(), 2, 'not deleted: Escape')
  await second.getByRole('button', { name: /^Delete/ }).press('Enter')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await until(async () => await page.getByRole('article').count() === 1, 'deleted, when asked twice')
  is(await page.evaluate(async () => {
    const app = document.querySelector('jobs-app')
    const first = app.confirm('Delete it?', 'Delete')
    app.dialog.close()
    const second = app.confirm('Delete it?', 'Delete')
    await new Promise(resolve => app.dialog.addEventListener('close', resolve, { once: true }))
    app.yes.click()
    return [await first, await second]
  }), [false, true], 'a question right after another has an answer of its own')
  ok(await page.evaluate(() => document.activeElement.closest('article, section') !== null), 'the focus is near')

  // -- Complete --
  await sql('SELECT setval(\'gate\', 2)')
  await until(async () => await report.getAttribute('data-state') === 'succeeded', 'the export is complete')
  const [file] = await sql('SELECT * FROM jobs.artifact WHERE job = $1', [world.report])
  is(await report.locator('.headline').textContent(), await one('SELECT headline FROM jobs.panel WHERE id = $1', [world.report]), 'rows, size, format')
  ok(/^48,291 rows · \d+\.\d MB · CSV$/.test(await report.locator('.headline').textContent()), 'in words', await report.locator('.headline').textContent())
  is(await report.locator('.detail').textContent(), 'Link expires in 24 hours', 'and until when')
  is(new Date(await report.locator('time').getAttribute('datetime')).getTime(), file.expires_at.getTime(), 'to the minute')
  is(await report.getByRole('progressbar').count(), 0, 'no bar any more')
  const [download] = await Promise.all([page.waitForEvent('download'), report.getByRole('link', { name: 'Download' }).click()])
  is([download.suggestedFilename(), sha256(readFileSync(await download.path()))], [file.filename, file.sha256], 'downloaded: the same file')
  const response = await world.as('GET', `/api/jobs/${world.report}/file`)
  is([response.status, response.headers['content-type'], Number(response.headers['content-length']), response.headers['cache-control']],
    [200, file.media_type, file.bytes, 'no-store'], 'with the headers of the artifact')
  is(response.headers['content-disposition'], await one('SELECT jobs.content_disposition($1)', [file.filename]), 'and its name')
  await world.picture(page, 'export-complete', report)

  // -- A reader who stops --
  const large = await one('SELECT jobs.export($1, options => \'{"header": false}\', title => \'Large\')', ['SELECT * FROM sales'], 'panel', 'ada')
  await until(async () => await one('SELECT state FROM jobs.job WHERE id = $1', [large]) === 'succeeded', 'a file of 40 MB')
  const bytes = await one('SELECT bytes FROM jobs.artifact WHERE job = $1', [large])
  const before = memory(world.server.child.pid)
  const { body } = await world.as('GET', `/api/jobs/${large}/file`, call => call.on('response', response => {
    response.once('data', () => {
      response.pause() // the sockets hold some of it, and the server a few chunks
      setTimeout(() => response.destroy(), 1000)
    })
  }).end())
  const got = body.length
  ok(memory(world.server.child.pid) - before < 24 * 1024, 'the server does not hold it for one who stops to read', before, memory(world.server.child.pid))
  await until(async () => await one('SELECT count(*) FROM pg_stat_activity WHERE usename = \'panel\' AND state LIKE \'%transaction%\'') === 0, 'one who leaves keeps no transaction open')
  ok(got < bytes, 'a part is no whole', { got, bytes })
  is(await one('SELECT downloads FROM jobs.artifact WHERE job = $1', [large]), 0, 'and is not counted')
  await world.as('POST', `/api/jobs/${large}/delete`, '{}')
  is((await world.as('GET', `/api/jobs/${large}/file`)).status, 404, 'a file that is gone')
}
