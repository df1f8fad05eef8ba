/** The broker of live-mutex in a process of its own, as Redis is one. */
import lmx from 'live-mutex';

process.on('disconnect', () => process.exit());
const broker = new lmx.Broker({ host: '127.0.0.1', port: Number(process.argv[2]), noDelay: true });
broker.emitter.on('warning', () => {});
await broker.ensure();
process.send('ready');
