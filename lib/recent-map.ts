const MOST = 10_000;

/** Remembers what was made of the strings that were asked for last: of as many as `most`, and of less than twice as many. */
export class RecentMap<T> {
  private recent = new Map<string, T>();
  private older = new Map<string, T>();

  constructor(
    private readonly make: (from: string) => T,
    private readonly most = MOST,
  ) {}

  get(from: string): T {
    const known = this.recent.get(from);
    if (known !== undefined) return known;
    const value = this.older.get(from) ?? this.make(from);
    if (this.recent.size >= this.most) {
      this.older = this.recent;
      this.recent = new Map();
    }
    this.recent.set(from, value);
    return value;
  }
}
