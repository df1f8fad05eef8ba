import { PGlite } from '@electric-sql/pglite';
import { SemaphoreService } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setBalance } from '../dist/accounts.js';

const db = await PGlite.create();
await db.exec(await readFile(new URL('../src/accounts.sql', import.meta.url), 'utf8'));
await db.query('INSERT INTO accounts (id, balance) VALUES ($1, 0)', ['ann']);
const balance = async () =>
  Number((await db.query('SELECT balance FROM accounts')).rows[0].balance);

const semaphores = new SemaphoreService();
const frozen = await semaphores.acquire('account:ann');
await setBalance(db, frozen, 'ann', 10);
await setBalance(db, frozen, 'ann', 20);
assert.equal(await balance(), 20, 'one holder may write more than once');

await semaphores.forceRelease('account:ann', frozen.id);
const next = await semaphores.acquire('account:ann');
await setBalance(db, next, 'ann', 30);
await assert.rejects(setBalance(db, frozen, 'ann', 99), /A newer holder/);
assert.equal(await balance(), 30);
await setBalance(db, next, 'ann', 40);
assert.equal(await balance(), 40);
await next.release();
await semaphores.close();
await db.close();
