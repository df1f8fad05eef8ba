import type { Connection } from './redis.connection.js';

/** How the server names a connection. After its restart another one may have the id, but not the address beside. */
interface ServerName {
  id: string;
  address: string;
}

/**
 * Of a connection that is opened again and again: lets the server close the one before, which broke. What was sent over that
 * one and lies unread somewhere would otherwise be run after what is sent over the new one, and undo it.
 *
 * Where the server does not let its users do that, operations are safe for other reasons, most of them: see `doubted`.
 */
export class Predecessor {
  private name: ServerName | undefined;

  /** To be called when the connection is ready, before anything else is sent over it. */
  end(connection: Connection): void {
    const { name } = this;
    this.name = undefined;
    if (name !== undefined) {
      const { id, address } = name;
      connection.client('KILL', 'ID', id, 'ADDR', address).catch(() => undefined);
    }
    connection.client('INFO').then(
      (info) => (this.name = nameIn(String(info))),
      () => undefined,
    );
  }
}

/** @param info `id=3 addr=127.0.0.1:40000 laddr=…` */
function nameIn(info: string): ServerName | undefined {
  const [, id, address] = /^id=(\d+) addr=(\S+)/.exec(info) ?? [];
  return id === undefined || address === undefined ? undefined : { id, address };
}
