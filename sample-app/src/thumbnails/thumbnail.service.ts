import { Injectable } from '@nestjs/common';
import { byArgs, Semaphore } from 'nestjs-semaphore';
import { setTimeout as delay } from 'node:timers/promises';

export interface ThumbnailOrder {
  image: string;
  width: number;
}

export interface Thumbnail extends ThumbnailOrder {
  /** Which rendering of this image it was, in this process. */
  rendering: number;
}

const WORK_MS = 300;

@Injectable()
export class ThumbnailService {
  private readonly done = new Map<string, Thumbnail>();
  private readonly renderings = new Map<string, number>();

  /** One rendering at a time for each image, whoever calls: whoever waited for the same size finds it done. */
  @Semaphore({ key: byArgs((order: ThumbnailOrder) => `thumbnail:${order.image}`) })
  async get(order: ThumbnailOrder): Promise<Thumbnail> {
    const name = `${order.width}:${order.image}`;
    const known = this.done.get(name);
    if (known !== undefined) return known;
    const thumbnail = await this.render(order);
    this.done.set(name, thumbnail);
    return thumbnail;
  }

  private async render(order: ThumbnailOrder): Promise<Thumbnail> {
    const rendering = (this.renderings.get(order.image) ?? 0) + 1;
    await delay(WORK_MS);
    this.renderings.set(order.image, rendering);
    return { ...order, rendering };
  }
}
