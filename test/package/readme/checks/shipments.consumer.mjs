import { RmqContext, Server } from '@nestjs/microservices';
import assert from 'node:assert/strict';
import { Shipments, ShipmentsConsumer } from '../dist/shipments.consumer.js';
import { at, eventually, job, occupied, startApp } from './support.mjs';

/** Delivers as Nest's server for RabbitMQ does, and notes what becomes of the messages. */
class Broker extends Server {
  done = [];
  channel = {
    ack: ({ order }) => this.done.push(`${order} acked`),
    nack: ({ order }, all, again) =>
      this.done.push(`${order} ${again ? 'comes again' : 'dropped'}`),
    cancel: async (consumerTag) => this.done.push(`${consumerTag} cancelled`),
  };

  listen(callback) {
    callback();
  }

  close() {
    this.done.push('closed');
  }

  deliver(order) {
    const message = { order, fields: { consumerTag: 'consumer' } };
    const context = new RmqContext([message, this.channel, 'shipments']);
    void this.handleEvent('shipments', { pattern: 'shipments', data: order }, context);
  }
}

const { app, service, close } = await startApp({
  providers: [Shipments],
  controllers: [ShipmentsConsumer],
});
const broker = new Broker();
app.connectMicroservice({ strategy: broker });
await app.startAllMicroservices();
const key = 'Shipments.ship';

for (const order of ['first', 'second', 'third', 'fourth']) broker.deliver(order);
await occupied(service, key, 2, 2);
assert.equal(at('shipOrder').length, 2);

// One that is refused comes again.
const { waiters } = await service.inspect(key);
await service.forceRelease(key, waiters[1].id);
await eventually('the refused one was given back', () => broker.done.length === 1);
assert.deepEqual(broker.done, ['fourth comes again']);

(await job('shipOrder', 1)).fail(new Error('cannot be shipped'));
await job('shipOrder', 3);
const closed = close();
await eventually('nothing comes any more', () => broker.done.includes('consumer cancelled'));
(await job('shipOrder', 2)).end();
(await job('shipOrder', 3)).end();
await closed;
assert.deepEqual(broker.done, [
  'fourth comes again',
  'first dropped',
  'consumer cancelled',
  'second acked',
  'third acked',
  'closed',
]);
