// The journey of a person through YTEMPIRE. Each step either holds or the run
// ends with its name, a picture of the page, and status 1.
import dns from 'node:dns';
import { mkdirSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const { BASE_URL, N8N_URL, EMAIL, PASSWORD, WEBHOOK_TOKEN, CHROMIUM, SCREENSHOTS } = process.env;
const MINUTES = 60_000;
const stamp = Date.now().toString(36);
const channel = `Night sky ${stamp}`;
const title = 'Why the night sky is dark, in three seconds';

mkdirSync(SCREENSHOTS, { recursive: true });
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--autoplay-policy=no-user-gesture-required',
  ],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const problems = [];
page.on('pageerror', (error) => problems.push(String(error)));
let picture = 0;

async function shot(name) {
  picture += 1;
  await page.screenshot({ path: join(SCREENSHOTS, `${picture}-${name}.png`) });
}

let passed = 0;

async function step(name, work) {
  const started = Date.now();
  try {
    const found = await work();
    passed += 1;
    console.log(`ok    ${name}${found ? ` (${found})` : ''}  ${Date.now() - started} ms`);
  } catch (problem) {
    await shot('failed').catch(() => {});
    console.log(`FAIL  ${name}\n      ${String(problem.message ?? problem)}`);
    await browser.close();
    console.log(`e2e: ${passed} passed, 1 failed`);
    process.exit(1);
  }
}

function must(holds, says) {
  if (!holds) throw new Error(says);
}

const row = (text) => page.locator('.videos li', { hasText: text });

await step('the page is served', async () => {
  const answer = await page.goto(BASE_URL, { timeout: MINUTES });
  must(answer.ok(), `${BASE_URL} answered ${answer.status()}`);
  await page.getByRole('heading', { name: 'Welcome back' }).waitFor();
  await shot('login');
  return answer.headers()['x-build-id'];
});

await step('a wrong password is refused', async () => {
  await page.getByLabel('E-mail').fill(EMAIL);
  await page.getByLabel('Password').fill('not the password');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('alert').waitFor();
});

await step('the right one logs in', async () => {
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('button', { name: 'Create channel' }).waitFor();
});

await step('a channel is created', async () => {
  await page.getByLabel('Channel name').fill(channel);
  await page.getByLabel('Channel topic').fill('Astronomy for people in a hurry');
  await page.getByRole('button', { name: 'Create channel' }).click();
  await page.getByRole('heading', { name: channel }).waitFor();
  await shot('channel');
});

await step('a video is queued', async () => {
  await page.getByLabel('Video title').fill(title);
  await page.getByRole('button', { name: 'Queue video' }).click();
  await row(title).waitFor();
  await shot('queued');
});

await step('it is rendered', async () => {
  await row(title).and(page.locator('[data-status=ready], [data-status=failed]')).waitFor({
    timeout: 2 * MINUTES,
  });
  const status = await row(title).getAttribute('data-status');
  must(status === 'ready', `it is ${status}`);
  await shot('ready');
});

await step('it plays', async () => {
  await row(title).getByRole('button', { name: 'Watch' }).click();
  await page.waitForFunction(
    () => {
      const video = document.querySelector('video');
      return video && video.readyState >= 2 && video.currentTime > 1;
    },
    null,
    { timeout: MINUTES },
  );
  await shot('playing');
  const { width, height, duration } = await page.evaluate(() => {
    const video = document.querySelector('video');
    return { width: video.videoWidth, height: video.videoHeight, duration: video.duration };
  });
  must(width > 0 && duration > 2, `it is ${width} wide and ${duration} s long`);
  return `${width}×${height}, ${duration.toFixed(1)} s`;
});

// Names under `localhost` mean this machine, but not every resolver knows that.
const lookup = (host, options, done) =>
  host.endsWith('.localhost') ? done(null, [{ address: '127.0.0.1', family: 4 }], 4) : dns.lookup(host, options, done);

function ask(url, { method, headers = {}, body = '', signal }) {
  return new Promise((resolve, reject) => {
    const options = { method, headers: { ...headers, 'Content-Length': Buffer.byteLength(body) }, lookup, signal };
    const request = http.request(url, options, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => {
        const status = answer.statusCode;
        resolve({ status, ok: status >= 200 && status < 300, text: async () => Buffer.concat(parts).toString() });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

if (N8N_URL) {
  await step('n8n refuses a caller without the token', async () => {
    const answer = await ask(`${N8N_URL}/webhook/queue-video`, { method: 'POST' });
    must(answer.status === 403, `it answered ${answer.status}`);
  });

  const automated = `From a workflow ${stamp}`;
  await step('n8n queues a video', async () => {
    const answer = await ask(`${N8N_URL}/webhook/queue-video`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Webhook-Token': WEBHOOK_TOKEN },
      body: JSON.stringify({ title: automated }),
      signal: AbortSignal.timeout(MINUTES),
    });
    const read = await answer.text();
    must(answer.ok, `it answered ${answer.status}: ${read.slice(0, 300)}`);
    must(JSON.parse(read).status === 'queued', read.slice(0, 300));
  });

  await step('and that one is rendered too', async () => {
    await page.getByRole('button', { name: 'Automation' }).first().click();
    await row(automated).and(page.locator('[data-status=ready]')).waitFor({ timeout: 2 * MINUTES });
    await shot('automation');
  });
} else {
  console.log('left out: n8n (N8N_URL is not set)');
}

await step('a small screen fits', async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - window.innerWidth,
  );
  await shot('small');
  must(overflow <= 0, `the page is ${overflow} pixels too wide`);
});

await step('logging out works', async () => {
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('heading', { name: 'Welcome back' }).waitFor();
});

await browser.close();
if (problems.length) {
  console.log(`FAIL  the page had errors\n      ${problems.join('\n      ')}`);
  process.exit(1);
}
console.log(`pictures in ${SCREENSHOTS}`);
console.log(`e2e: ${passed} passed, 0 failed`);
