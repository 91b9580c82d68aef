// State five: the queue of all jobs, whatever happens to it.
import { hold, is, ok, one, order, sql, until } from './steps.js'

const run = (title, command = 'SELECT 1') => one('SELECT jobs.run($1, title => $2)', [command, title], 'panel', 'ada')
const NASTY = '<img src=x onerror="window.hit = 1"><script>window.hit = 2</script>'

export async function queue (world) {
  const { page, card } = world
  const connection = page.locator('.connection')
  const titles = () => page.locator('h3').allTextContents()
  const all = async () => (await sql('SELECT title FROM jobs.panel ORDER BY id DESC', [], 'panel', 'ada')).map(({ title }) => title)
  const same = async () => JSON.stringify(await titles()) === JSON.stringify(await all())

  await until(same, 'all jobs, newest first')
  await page.reload()
  await until(same, 'the same after a reload')

  // -- Waiting --
  await sql('SELECT setval(\'gate\', 1, false)')
  const first = await one('SELECT jobs.export($1, title => $2)', ['SELECT * FROM q4_revenue', 'Month-end ledger'], 'panel', 'ada')
  await one('SELECT jobs.run($1, title => $2, after => ARRAY[$3::bigint])', ['SELECT 1', 'Mail the ledger', first], 'panel', 'ada')
  await one('SELECT jobs.run($1, title => $2, run_at => now() + interval \'3 hours\')', ['SELECT 1', 'Refresh statistics'], 'panel', 'ada')
  await until(async () => await card('Mail the ledger').locator('.headline').textContent() === 'Queued · Waiting for Month-end ledger to finish', 'a job that waits says for what')
  await until(async () => await card('Refresh statistics').locator('.headline').textContent() === 'Scheduled · Starts in 3 h', 'and one that waits for its time')
  await until(async () => await page.locator('.summary').textContent() === '1 job running, 2 waiting', 'how many run and wait')
  ok(/^At \w+,? \d+ \w+,? \d?\d:\d\d$/.test(await card('Refresh statistics').locator('.detail').textContent()), 'when, in the reader\'s words', await card('Refresh statistics').locator('.detail').textContent())
  await page.setViewportSize({ width: 1000, height: 1080 })
  await world.picture(page, 'queue')

  // -- The connection is lost --
  world.proxy.cut()
  await until(async () => await connection.getAttribute('data-state') === 'lost', 'the connection is lost: it says so')
  await run('Meanwhile')
  await sql('SELECT setval(\'gate\', 2)')
  await until(async () => await one('SELECT state FROM jobs.job WHERE id = $1', [first]) === 'succeeded', 'meanwhile things go on')
  is(await card('Month-end ledger').getAttribute('data-state'), 'running', 'and nobody hears of it')
  ok(await card('Month-end ledger').getByRole('button', { name: 'Cancel' }).isVisible(), 'what was known is still there')
  await card('Month-end ledger').getByRole('button', { name: 'Cancel' }).click()
  await card('Month-end ledger').getByRole('alert').filter({ hasText: 'The server cannot be reached.' }).waitFor()
  ok(true, 'what cannot be done now says so')
  world.proxy.mend()
  await until(async () => await connection.getAttribute('data-state') === 'live', 'it comes back by itself')
  await until(same, 'with all that has happened')
  await until(async () => await card('Month-end ledger').getAttribute('data-state') === 'succeeded', 'and how it has ended')

  // -- The database is restarted --
  const long = await one('SELECT jobs.run($1, title => $2, max_attempts => 3)', ['SELECT pg_sleep(CASE WHEN (SELECT last_value FROM gate) = 2 THEN 60 ELSE 0 END)', 'Long'], 'panel', 'ada')
  await until(async () => await card('Long').getAttribute('data-state') === 'running', 'a job runs')
  await hold('LOCK TABLE jobs.history')
  await until(async () => await one(`SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                                      WHERE NOT granted AND application_name = 'jobs panel'`) > 0, 'the panel is reading')
  await order('stop')
  await until(async () => await connection.getAttribute('data-state') === 'waiting', 'the database is away: it says so')
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.getByRole('alert').filter({ hasText: 'The database cannot be reached.' }).waitFor()
  ok(true, 'nothing can be started')
  await page.reload()
  await page.getByRole('heading', { name: 'Queue' }).waitFor()
  await until(async () => await connection.getAttribute('data-state') === 'waiting', 'a window that is opened now waits too')
  await order('start')
  await sql('SELECT setval(\'gate\', 3)')
  await until(async () => await connection.getAttribute('data-state') === 'live', 'it is back, and the panel with it')
  await until(async () => await one('SELECT state FROM jobs.job WHERE id = $1', [long]) === 'succeeded', 'the job has begun again, and ended')
  await until(async () => await card('Long').getAttribute('data-state') === 'succeeded', 'which the panel knows')
  await until(same, 'and all the others')

  // -- Messages are hints --
  const before = await card('Long').textContent()
  for (const payload of ['{"job": ' + long + ', "state": "failed", "percent": 1e9}', 'nonsense', '{"job": "<b>"}', '{"job": -1}', '']) await sql('SELECT pg_notify(\'jobs\', $1)', [payload], 'panel')
  await run('After the lies')
  await until(async () => (await titles())[0] === 'After the lies', 'messages that lie')
  is(await card('Long').textContent(), before, 'change nothing')

  // -- Text is text --
  await run(NASTY, `DO $$ BEGIN RAISE '${NASTY}'; END $$`)
  const nasty = page.getByRole('article').first()
  await until(async () => await nasty.getAttribute('data-state') === 'failed', 'a job with markup for a title')
  is(await nasty.locator('h3').textContent(), NASTY, 'it is a title')
  ok((await nasty.locator('.headline').textContent()).includes('<img'), 'and an error', await nasty.locator('.headline').textContent())
  await page.locator('.drop input').setInputFiles({ name: `${NASTY.replaceAll('/', '_')}.csv`, mimeType: 'text/csv', buffer: Buffer.from(`name,email,${NASTY.replaceAll('"', '')}\n${NASTY.replaceAll('"', '')},${NASTY.replaceAll('"', '')}@,1\n`) })
  await until(async () => await page.getByRole('article').first().locator('tbody tr').count() === 1, 'a file with markup in name, header and values')
  is(await page.evaluate(() => [window.hit, document.querySelectorAll('article img, article script').length]), [null, 0].map(value => value ?? undefined), 'nothing of it is more than text')
  await page.reload()
  await until(same, 'not after a reload either')
  is(await page.evaluate(() => window.hit ?? 'no'), 'no', 'text is text')

  // -- Users side by side --
  await sql('SELECT jobs.run(\'SELECT 1\', title => \'Of Grace\')', [], 'panel', 'grace')
  await world.other.getByRole('article', { name: 'Of Grace' }).waitFor()
  is(await world.other.locator('h3').allTextContents(), ['Of Grace'], 'each user has his own')
  ok(!(await titles()).includes('Of Grace'), 'and nobody else\'s')
  const grace = (await world.other.context().cookies())[0]
  const answers = []
  for (let n = 0; n < 25; n++) { // the server has as many connections as there are in each round
    answers.push(...await Promise.all(Array.from({ length: 8 }, (_, i) =>
      world.as('GET', `/api/jobs/${long}/outcome`, undefined, i % 2 === 0 ? {} : { cookie: `${grace.name}=${grace.value}` }))))
  }
  is([0, 1].map(n => [...new Set(answers.filter((_, i) => i % 2 === n).map(({ status }) => status))]), [[409], [404]],
    'two hundred requests beside each other: no role gets into another\'s')
  is(await one('SELECT jobs._visible($1::regrole, \'\')', ['ada'], 'panel').catch(error => error.code), false, 'the panel itself has no user\'s rights')
}
