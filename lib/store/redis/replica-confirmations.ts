import type { Connection } from './redis.connection.js';

/**
 * WAIT holds up whatever is sent after it on its connection, and covers whatever was sent before: one is under way on a
 * connection at a time, and those who come meanwhile share the next.
 */
export class ReplicaConfirmations {
  private readonly current = new WeakMap<Connection, Promise<number>>();
  private readonly next = new WeakMap<Connection, Promise<number>>();

  /** How many replicas have confirmed what was written on the connection before this call. */
  of(connection: Connection, replicas: number, timeoutMs: number): Promise<number> {
    const current = this.current.get(connection);
    if (current === undefined) return this.begin(connection, replicas, timeoutMs);
    let next = this.next.get(connection);
    if (next === undefined) {
      const begin = (): Promise<number> => {
        this.next.delete(connection);
        return this.begin(connection, replicas, timeoutMs);
      };
      next = current.then(begin, begin);
      this.next.set(connection, next);
    }
    return next;
  }

  private begin(connection: Connection, replicas: number, timeoutMs: number): Promise<number> {
    const confirmed = connection.wait(replicas, timeoutMs);
    const over = (): void => {
      this.current.delete(connection);
    };
    this.current.set(connection, confirmed);
    confirmed.then(over, over);
    return confirmed;
  }
}
