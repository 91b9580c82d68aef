// The panel in Chromium: node browser.js CHROMIUM.  Each part is one thing that a user meets; they run in order, and
// leave their jobs for the next.
import { mkdirSync, writeFileSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { hash } from '../panel/sessions.js'
import { LIMIT, is, ok, program, proxy, sql } from './steps.js'
import { door } from './door.js'
import { exporting } from './exporting.js'
import { importing } from './importing.js'
import { bulk } from './bulk.js'
import { queue } from './queue.js'
import { limits } from './limits.js'
import { looks } from './looks.js'

// Rows of the export up to a point come at once; the rest when the gate is opened.
async function prepare () {
  await sql(`CREATE SEQUENCE gate;
    GRANT SELECT ON gate TO ada, grace;
    CREATE OR REPLACE FUNCTION pace(id bigint) RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN
        WHILE id = 32355 AND (SELECT last_value FROM gate) = 1 LOOP
            PERFORM pg_sleep(0.01);
        END LOOP;
        RETURN id;
    END $$;
    CREATE TABLE sales AS SELECT id, md5(id::text) || md5((-id)::text) AS secret FROM generate_series(1, 600000) AS id;
    ANALYZE sales;
    GRANT SELECT ON sales TO ada, grace`)
  const password = await hash('analytical engine')
  writeFileSync('users.json', JSON.stringify({
    ada: { name: 'Ada Lovelace', role: 'ada', email: 'ada@example.com', password },
    grace: { name: 'Grace Hopper', role: 'grace', password },
    stranger: { role: 'stranger', password }
  }))
}

// A window of a user's own, whose complaints are kept.
async function visit (world, user, options = {}) {
  const context = await world.chromium.newContext({ viewport: { width: 1000, height: 800 }, locale: 'en-GB', deviceScaleFactor: PICTURES ? 2 : 1, ...options })
  context.setDefaultTimeout(LIMIT)
  const page = await context.newPage()
  page.on('pageerror', error => world.complaints.push(error.message))
  page.on('console', message => { if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) world.complaints.push(message.text()) })
  await page.goto(world.url)
  if (user) {
    await page.getByLabel('Name').fill(user)
    await page.getByLabel('Password').fill('analytical engine')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Queue' }).waitFor()
  }
  return page
}

const PICTURES = process.env.JOBS_SCREENSHOTS

// Of what the window shows, or of one job.
async function picture (page, name, job) {
  if (!PICTURES) return
  mkdirSync(PICTURES, { recursive: true })
  await page.mouse.move(0, 0)
  await page.evaluate(() => document.activeElement.blur())
  if (job) await job.evaluate(element => element.scrollIntoView({ block: 'center' }))
  else await page.evaluate(() => scrollTo(0, 0))
  const box = job && await job.boundingBox()
  const clip = box && { x: box.x - 16, y: box.y - 16, width: box.width + 32, height: box.height + 32 }
  await page.screenshot({ path: `${PICTURES}/${name}.png`, animations: 'disabled', clip })
}

async function main () {
  await prepare()
  const world = { complaints: [], picture, port: 0 }
  world.proxy = await proxy(() => world.port)
  world.url = `http://localhost:${world.proxy.port}/`
  world.server = program(['panel/server.js'], {
    PGUSER: 'panel', PORT: '0', PANEL_USERS: 'users.json', PANEL_UPLOAD: '3000000', PANEL_ORIGIN: world.url.slice(0, -1)
  }, /listens on port (\d+)/)
  world.port = Number((await world.server.ready)[1])
  world.chromium = await chromium.launch({ executablePath: process.argv[2], args: ['--disable-gpu', '--disable-dev-shm-usage'] })
  world.visit = (...of) => visit(world, ...of)
  try {
    for (const part of [door, exporting, importing, bulk, queue, limits, looks]) await part(world)
    is(world.complaints, [], 'nothing in the browser\'s console')
  } finally {
    await world.chromium.close()
    world.proxy.close()
    world.server.child.kill('SIGTERM')
  }
  ok(await world.server.ended === 0, 'the server ends well', world.server.output())
  console.log('end')
  process.exit()
}

main().catch(error => {
  console.log(`# ${(error.stack ?? String(error)).replace(/\n/g, '\n# ')}`)
  process.exit(1)
})
