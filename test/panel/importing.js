// State three: the preview of an import.
import { readFileSync, writeFileSync } from 'node:fs'
import { is, ok, one, sql, until } from './steps.js'

const rowsOf = async table => (await table.locator('tbody tr').evaluateAll(rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim().replace(/\s+/g, ' ')))))

export async function importing (world) {
  const { page } = world
  const contents = await one(`SELECT E'name,email,phone,company\\n' || string_agg(concat_ws(',', coalesce(name, ''), email, phone, '"' || company || '"'), E'\\n' ORDER BY phone) || E'\\n'
    FROM contacts_file`)

  // -- Drag and drop --
  const dropped = await page.evaluateHandle(text => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([text], 'contacts.csv', { type: 'text/csv' }))
    return transfer
  }, contents)
  await page.locator('.drop').dispatchEvent('dragenter', { dataTransfer: dropped })
  ok(await page.locator('.drop.over').count() === 1, 'the place to drop shows that it is one')
  await page.locator('.drop').dispatchEvent('drop', { dataTransfer: dropped })
  const preview = page.getByRole('article').filter({ has: page.locator('.tiles') }).first()
  await preview.waitFor()
  ok(true, 'dropped: there is a preview')
  const [job] = await sql('SELECT id, title, headline FROM jobs.panel LIMIT 1')
  is(await preview.locator('.headline').textContent(), job.headline, 'the view\'s words')
  is(await preview.locator('dd').allTextContents(), ['842', '839', '2', '1'], 'parsed, ready, warnings, errors')
  const issues = await sql('SELECT row_no, severity, message, action FROM jobs.import_issue WHERE job = $1 ORDER BY row_no', [job.id])
  is(await rowsOf(preview), issues.map(({ row_no: row, severity, message, action }) => [String(row), `${severity}: ${message}`, action]),
    'row by row: what was found, and what will happen')
  await world.picture(page, 'import-preview', preview)
  await preview.getByLabel('Errors').check()
  await until(async () => (await rowsOf(preview)).length === 1, 'only the errors')
  await preview.getByLabel('All').check()
  await until(async () => (await rowsOf(preview)).length === 3, 'all of them again')

  // -- The rows left out --
  const [rejects] = await Promise.all([page.waitForEvent('download'), preview.getByRole('link', { name: 'Download 2 left out' }).click()])
  const left = readFileSync(await rejects.path(), 'utf8')
  is(left.split('\n')[0], 'name,email,phone,company,row_no,reason', 'the rows left out, as a file')
  ok(left.includes('Missing required field ""name""') && left.includes('alice@acme.com'), 'with the reasons', left)

  // -- Importing --
  const button = preview.getByRole('button', { name: /^Import/ })
  is(await button.textContent(), 'Import 840 rows', 'how many it would be')
  await preview.getByLabel('with rows that have warnings').uncheck()
  is(await button.textContent(), 'Import 839 rows', 'and without those that have warnings')
  await preview.getByLabel('with rows that have warnings').check()
  await button.click()
  const done = page.getByRole('article').filter({ hasText: '840 rows imported' })
  await done.waitFor()
  is(await one('SELECT count(*) FROM contacts'), 841, 'imported')
  await until(async () => await button.count() === 0, 'once only')
  await until(async () => !await preview.locator('details').evaluate(details => details.open), 'what was found steps back')

  // -- The file, mended --
  writeFileSync('mended.csv', left.replace(/^,/m, 'Mended Person,').replace('alice@acme.com', 'alice@zhao.example'))
  await preview.getByLabel('Upload mended file').setInputFiles('mended.csv')
  const mended = page.getByRole('article').filter({ hasText: '2 rows: 2 ready' })
  await mended.waitFor()
  await mended.getByRole('button', { name: 'Import 2 rows' }).click()
  await page.getByRole('article').filter({ hasText: '2 rows imported' }).waitFor()
  is(await one('SELECT count(*) FROM contacts'), 843, 'the mended rows are in')

  // -- Taking back --
  await done.getByRole('button', { name: /^Take back/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Take back' }).click()
  await until(async () => await one('SELECT count(*) FROM contacts') === 3, 'taken back')
  await until(async () => await done.getByRole('button', { name: /^Take back/ }).count() === 0, 'once only, too')

  // -- What does not fit --
  const upload = page.locator('.drop input')
  await upload.setInputFiles({ name: 'large.csv', mimeType: 'text/csv', buffer: Buffer.alloc(3000001, 'x') })
  await page.getByRole('alert').filter({ hasText: 'large.csv is larger than 3 MB.' }).waitFor()
  ok(true, 'a file that is too large: said at once')
  const tooMuch = await world.as('POST', '/api/imports/contacts?filename=large.csv', Buffer.alloc(3000001, 'x'))
  is(tooMuch.status, 413, 'and refused by the server')
  const unsaid = await world.as('POST', '/api/imports/contacts?filename=large.csv', call => {
    const piece = Buffer.alloc(100000, 'x')
    const more = () => { if (!call.destroyed) call.write(piece, () => setImmediate(more)) }
    more()
    call.on('response', () => call.destroy())
  }).catch(error => ({ status: error.code }))
  ok([413, 'ECONNRESET', 'EPIPE'].includes(unsaid.status), 'also where nobody said how large it is', unsaid.status)
  await world.as('POST', '/api/imports/contacts?filename=half.csv', call => {
    call.write(Buffer.alloc(1500000, 'x'), () => setTimeout(() => call.destroy(), 100))
  }, { 'content-length': 2000000 }).catch(() => {})
  await until(async () => await one('SELECT count(*) FROM jobs.upload WHERE jobs = \'{}\'') === 0, 'an upload that stops leaves nothing')

  // -- What is no file of contacts --
  await upload.setInputFiles({ name: 'other.csv', mimeType: 'text/csv', buffer: Buffer.from('colour,shape\nred,round\n') })
  const failed = page.getByRole('article').filter({ hasText: 'Failed' })
  await failed.waitFor()
  is(await failed.locator('.headline').textContent(), await one('SELECT headline FROM jobs.panel WHERE state = \'failed\''), 'a file of something else: the view\'s words')
  await failed.getByRole('button', { name: /^Delete/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await until(async () => await failed.count() === 0, 'away with it')
}
