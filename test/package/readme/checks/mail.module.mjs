import assert from 'node:assert/strict';
import { MailModule, MailService } from '../dist/mail.module.js';
import { all, job, occupied, startApp } from './support.mjs';

const { app, service, close } = await startApp({ imports: [MailModule] });
const mail = app.get(MailService, { strict: false });

const sending = [mail.send('first'), mail.send('second')];
await occupied(service, 'smtp', 2);
sending.push(mail.send('later'));
await occupied(service, 'smtp', 2, 1);
sending.push(mail.send('urgent', true));
await occupied(service, 'smtp', 2, 2);
for (const n of [1, 2, 3, 4]) (await job('sendMail', n)).end();
await Promise.all(sending);
assert.deepEqual(
  all('sendMail').map(({ args: [to] }) => to),
  ['first', 'second', 'urgent', 'later'],
);
await close();
