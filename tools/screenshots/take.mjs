/**
 * Takes the pictures of the dashboard in docs/: `npm run screenshots`. It starts a Redis, an application and a second
 * process with work to do, and lets them work for `--minutes` (default 3), so that the plots have something to show.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { openScene } from './scene.mjs';

const PICTURES = [
  { file: 'dashboard-desktop.png', hash: '#/', width: 1280, height: 800 },
  { file: 'dashboard-semaphore.png', hash: '#/s/reports%3Arender', width: 1280, height: 1260 },
  {
    file: 'dashboard-phone.png',
    hash: '#/s/reports%3Arender',
    width: 375,
    height: 800,
    colorScheme: 'dark',
  },
];

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '3' } } });
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  .concat('/Applications/Google Chrome.app/Contents/MacOS/Google Chrome')
  .find((path) => existsSync(path));
if (executablePath === undefined) throw new Error('There is no Chromium: npm run ensure-redis');

const port = await freePort();
const redis = spawn('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '']);
try {
  for await (const line of redis.stdout) if (`${line}`.includes('Ready to accept')) break;
  const scene = await openScene(`redis://127.0.0.1:${port}`);
  await delay(Number(values.minutes) * 60_000);
  const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox'] });
  for (const picture of PICTURES) await take(browser, scene.url, picture);
  await browser.close();
  await scene.close();
} finally {
  redis.kill();
}

async function take(browser, url, { file, hash, width, height, colorScheme = 'light' }) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  await page.goto(url + hash);
  const ready = hash === '#/' ? '.rows .meter-text' : '.chart canvas';
  await page.locator(ready).first().waitFor();
  await page.waitForTimeout(1_500);
  const path = fileURLToPath(new URL(`../../docs/${file}`, import.meta.url));
  await page.screenshot({ path });
  await page.close();
  console.log(path);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
