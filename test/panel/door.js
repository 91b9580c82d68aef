// Who comes in, and what does not.
import { is, ok, request } from './steps.js'

export async function door (world) {
  const { port } = world
  const origin = world.url.slice(0, -1)
  const host = new URL(origin).host
  const json = { host, origin, 'content-type': 'application/json' }
  const credentials = JSON.stringify({ user: 'ada', password: 'analytical engine' })

  const page = await world.visit()
  await page.getByLabel('Name').fill('ada')
  await page.getByLabel('Password').fill('difference engine')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').filter({ hasText: 'Name or password is not right.' }).waitFor()
  ok(await page.getByLabel('Password').evaluate(input => input === document.activeElement), 'a wrong password: said, and the field is ready for another')
  await page.keyboard.type('analytical engine')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Queue' }).waitFor()
  ok(true, 'signed in, by the keyboard')
  const [cookie] = await page.context().cookies()
  is([cookie.httpOnly, cookie.sameSite, cookie.value.length], [true, 'Strict', 43], 'the cookie')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Password').waitFor()
  is((await request(port, 'GET', '/api/session', { host, cookie: `panel=${cookie.value}` })).status, 401, 'signed out: the cookie is worth nothing')

  const { headers } = await request(port, 'POST', '/api/session', json, credentials)
  world.cookie = headers['set-cookie'][0].split(';')[0]
  world.as = (method, path, body, more = {}) => request(port, method, path, { ...json, cookie: world.cookie, ...more }, body)
  is((await world.as('GET', '/api/session')).status, 200, 'a session of no browser\'s')
  is((await world.as('GET', '/')).headers['content-security-policy'].includes("require-trusted-types-for 'script'"), true, 'a policy')

  for (const [name, status, more] of [
    ['another origin', 403, { origin: 'https://evil.example' }], ['no origin', 403, { origin: '' }], ['the origin "null"', 403, { origin: 'null' }],
    ['another port of the same host', 403, { origin: 'http://localhost:1' }], ['another name of this address', 403, { host: 'evil.example' }],
    ['a form', 415, { 'content-type': 'text/plain' }], ['no cookie', 401, { cookie: '' }], ['a cookie made up', 401, { cookie: 'panel=AAAA' }]
  ]) is((await world.as('POST', '/api/exports/q4', '{}', more)).status, status, `refused: ${name}`)

  for (const [name, status, method, path, body] of [
    ['a statement for a name', 404, 'POST', "/api/exports/q4'--", '{}'], ['a name that every object has', 404, 'POST', '/api/exports/constructor', '{}'],
    ['a format that is not offered', 400, 'POST', '/api/exports/q4', '{"format": "csv\', filename => \'x"}'],
    ['an action that is none', 404, 'POST', '/api/jobs/1/constructor', '{}'], ['a job that is no number', 404, 'POST', '/api/jobs/1%20OR%201=1/cancel', '{}'],
    ['a job that is not there', 404, 'POST', '/api/jobs/999999/cancel', '{}'], ['a file that is not there', 404, 'GET', '/api/jobs/999999/file'],
    ['a program of the server\'s', 404, 'GET', '/../sessions.js'], ['the file of users', 404, 'GET', '/%2e%2e/users.json'],
    ['no JSON', 400, 'POST', '/api/exports/q4', '{'], ['a body without an end', 413, 'POST', '/api/exports/q4', JSON.stringify('x'.repeat(100000))]
  ]) is((await world.as(method, path, body)).status, status, `refused: ${name}`)

  await page.context().close()

  // A role that the panel is no member of, or that is not there, can do nothing.
  const stranger = await request(port, 'POST', '/api/session', json, credentials.replace('ada', 'stranger'))
  const refused = await world.as('POST', '/api/exports/q4', '{}', { cookie: stranger.headers['set-cookie'][0].split(';')[0] })
  ok(refused.status >= 400, 'refused: a user whose role is not there', refused.status, refused.body.toString())
}
