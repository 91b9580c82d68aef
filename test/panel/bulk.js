// State four: a bulk job with partial failure.
import { is, ok, one, sql, until } from './steps.js'

export async function bulk (world) {
  const { page } = world
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  const card = world.card('Send invitations')
  await until(async () => Number(await card.getByRole('progressbar').getAttribute('aria-valuenow')) > 0, 'a bulk job on its way')
  await until(async () => await card.getAttribute('data-state') === 'partial', 'it has come to an end, in part')
  const { id, headline, detail } = (await sql('SELECT id, headline, detail FROM jobs.panel LIMIT 1'))[0]
  is([headline, detail], ['Finished processing 50 items', '47 succeeded · 3 failed'], 'what the view says')
  is([await card.locator('.headline').textContent(), await card.locator('.detail').textContent()], [headline, detail], 'and the panel')
  await until(async () => await card.locator('.reasons li').count() === 2, 'reasons')
  const reasons = await sql('SELECT count, reason, example FROM jobs.failures($1)', [id])
  is(await card.locator('.reasons li').evaluateAll(items => items.map(item => [item.querySelector('.n').textContent, item.querySelector('p').textContent, item.querySelector('code').textContent])),
    reasons.map(({ count, reason, example }) => [String(count), reason, JSON.stringify(example)]), 'the reasons, most first, with examples')
  await world.picture(page, 'bulk-partial', card)

  await card.getByRole('button', { name: 'Retry 3 failed' }).click()
  await until(async () => await card.locator('.detail').textContent() === '49 succeeded · 1 failed · 2nd round', 'tried again: only what had failed')
  await until(async () => await card.locator('.reasons li').count() === 1, 'the reasons follow')
  is(await one('SELECT count(*) FROM jobs.item_history($1)', [id]), 53, '50 and 3 items, no more')
  ok(await card.getByRole('button', { name: 'Retry 1 failed' }).isVisible(), 'and again, for who hopes')
}
