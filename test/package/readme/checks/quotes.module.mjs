import assert from 'node:assert/strict';
import { QuotesModule } from '../dist/quotes.module.js';
import { CreditCheckGuard } from '../dist/work.js';
import { all, free, job, occupied, startApp } from './support.mjs';

const { url, service, close } = await startApp({ imports: [QuotesModule], listen: true });
const key = 'QuotesController.calculate';
let taken = 0;
service.events.subscribe(({ type }) => {
  if (type === 'acquired') taken++;
});

const running = fetch(`${url}/quotes`);
const { end } = await job('calculateQuote');
assert.equal(CreditCheckGuard.checks, 1);
const refused = await fetch(`${url}/quotes`);
assert.equal(refused.status, 429);
assert.equal(CreditCheckGuard.checks, 1, 'the guards after it did not run');
await occupied(service, key, 1);
end('12 EUR');
assert.equal(await (await running).text(), '12 EUR');
await free(service, key);
assert.equal(taken, 1, 'one request, one permit');

CreditCheckGuard.isCreditGood = false;
assert.equal((await fetch(`${url}/quotes`)).status, 403);
assert.equal(CreditCheckGuard.checks, 2);
await free(service, key);
assert.equal(all('calculateQuote').length, 1);
await close();
