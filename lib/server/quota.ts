import { retriableProblem } from './problems.js';

/** Counts what each caller has open, and refuses more than the bound. */
export class Quota {
  private readonly counts = new Map<string, number>();

  constructor(
    private readonly most: number,
    private readonly code: string,
    private readonly what: string,
  ) {}

  /** @returns what ends it @throws {HttpProblem} 429 */
  enter(name: string): () => void {
    const count = this.counts.get(name) ?? 0;
    if (count >= this.most) {
      const message = `This API key has ${this.most} ${this.what} open already`;
      throw retriableProblem(429, this.code, message);
    }
    this.counts.set(name, count + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.counts.set(name, (this.counts.get(name) ?? 1) - 1);
    };
  }
}
