import { StringDecoder } from 'node:string_decoder';

/** A longer event is none of ours. */
const MAX_EVENT_LENGTH = 1_000_000;

/** Reads server-sent events out of the pieces in which they arrive. */
export class EventParser {
  private readonly decoder = new StringDecoder('utf8');
  private rest = '';

  /** @returns the events that are complete now, with their data parsed as JSON */
  push(chunk: Buffer): { event: string; data: unknown }[] {
    const blocks = (this.rest + this.decoder.write(chunk)).split('\n\n');
    this.rest = blocks.pop() as string;
    if (this.rest.length > MAX_EVENT_LENGTH) throw new Error('an event is too long');
    return blocks.flatMap((block) => {
      let event = '';
      let data = '';
      for (const line of block.split('\n')) {
        if (line.startsWith('event: ')) event = line.slice(7);
        else if (line.startsWith('data: ')) data += line.slice(6);
      }
      return event === '' ? [] : [{ event, data: JSON.parse(data) as unknown }];
    });
  }
}
